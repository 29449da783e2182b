//! Domains: hostnames that users attach to a project.

use serde::{Deserialize, Serialize};

use crate::id::DomainId;
use crate::route::RedirectStatus;
use crate::{DomainName, Hostname, Timestamp};

/// How far a domain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DomainState {
    /// Not proven yet, so nothing is shown at it.
    Pending,
    /// Proven and shown.
    Verified,
    /// Proven, and shown to whoever comes; but its records lead visitors elsewhere.
    Misconfigured,
    /// The proof was gone for days. Nothing is shown at it until the proof is back.
    Lost,
}

/// What a visitor of a domain gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum DomainRole {
    /// What production shows.
    Serve,
    /// A redirect to the project's primary domain, path and query kept. While that one is not proven, or does not lead
    /// here, it serves.
    RedirectToPrimary {
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = u16, example = 308))]
        status: RedirectStatus,
    },
    /// A redirect to any other hostname, path and query kept.
    Redirect {
        to: Hostname,
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = u16, example = 308))]
        status: RedirectStatus,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Domain {
    pub id: DomainId,
    /// `www.example.com`, or `*.example.com` for every name directly below `example.com`.
    pub hostname: DomainName,
    pub state: DomainState,
    /// The one that search engines list, and that others lead to. A project with domains has one.
    pub is_primary: bool,
    pub role: DomainRole,
    /// What has to be in the zone: the proof first, then what leads visitors here.
    pub records: Vec<DomainRecord>,
    /// What there was when it was last looked at; absent until then.
    pub diagnosis: Option<Diagnosis>,
    /// The same name with `www.` before it, or without: visitors type both.
    pub counterpart: Option<Hostname>,
    pub created_at: Timestamp,
    pub verified_at: Option<Timestamp>,
    pub lost_at: Option<Timestamp>,
    /// When it is looked at again by itself. Absent for one that was pending for too long: it is only looked at when asked.
    pub next_check_at: Option<Timestamp>,
    /// What can be done with it now: `verify`, `make_primary`, `update`, `add_counterpart`, `remove`.
    #[cfg_attr(feature = "openapi", schema(example = json!(["verify", "update", "remove"])))]
    pub actions: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RecordType {
    #[serde(rename = "TXT")]
    Txt,
    #[serde(rename = "CNAME")]
    Cname,
    A,
    #[serde(rename = "AAAA")]
    Aaaa,
}

impl RecordType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Txt => "TXT",
            Self::Cname => "CNAME",
            Self::A => "A",
            Self::Aaaa => "AAAA",
        }
    }
}

/// A record that the owner of a domain puts into its zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DomainRecord {
    #[serde(rename = "type")]
    pub kind: RecordType,
    /// In full. Many panels want it without the zone's name at its end.
    #[cfg_attr(feature = "openapi", schema(example = "_loggia.www.example.com"))]
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(example = "loggia-verify=0e8400e29b41d4a716446655440000aa"))]
    pub value: String,
    #[cfg_attr(
        feature = "openapi",
        schema(example = "Proves that www.example.com is yours, and with it every name below.")
    )]
    pub why: String,
    /// It was there when it was last looked for, or something that does the same.
    pub is_seen: bool,
}

/// A record that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeenRecord {
    #[serde(rename = "type")]
    pub kind: RecordType,
    #[cfg_attr(feature = "openapi", schema(example = "_loggia.www.example.com"))]
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(example = "loggia-verify=0e8400e29b41d4a716446655440000aa"))]
    pub value: String,
    /// For how long resolvers may go on telling it after it was changed.
    #[cfg_attr(feature = "openapi", schema(example = 3600))]
    pub ttl_secs: u32,
}

/// Whether a domain's zone proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProofSeen {
    Found,
    Missing,
    /// Its name servers could not be asked: that says nothing.
    Unknown,
}

/// Where a domain's records lead visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Pointing {
    Here,
    Elsewhere,
    /// Not looked at, not to be asked, or hidden behind somebody's proxy.
    #[default]
    Unknown,
}

impl Pointing {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Elsewhere => "elsewhere",
            Self::Unknown => "unknown",
        }
    }
}

/// A value that no release knows of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no pointing {0:?}")]
pub struct UnknownPointing(String);

impl std::str::FromStr for Pointing {
    type Err = UnknownPointing;

    fn from_str(text: &str) -> Result<Self, UnknownPointing> {
        let known = [Self::Here, Self::Elsewhere, Self::Unknown];
        let found = known.into_iter().find(|pointing| pointing.as_str() == text);
        found.ok_or_else(|| UnknownPointing(text.to_owned()))
    }
}

/// What was found when a domain was last looked at, and what its owner can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diagnosis {
    pub checked_at: Timestamp,
    pub proof: ProofSeen,
    pub pointing: Pointing,
    pub seen: Vec<SeenRecord>,
    pub findings: Vec<Finding>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// For programs. Never changes its meaning.
    pub code: FindingCode,
    pub level: FindingLevel,
    /// For people: what is there, and what to do.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "The TXT record at _loggia.www.example.com proves that www.example.com is yours.")
    )]
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum FindingLevel {
    /// As it has to be.
    Ok,
    /// It works, and could be better.
    Hint,
    /// Somebody has to change something.
    Problem,
    /// It could not be found out.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FindingCode {
    ProofFound,
    ProofMissing,
    /// At the name that a panel makes which appends the zone's name by itself.
    ProofNameDoubled,
    /// At the hostname itself.
    ProofAtHostname,
    ProofOtherValue,
    ProofUnknown,
    /// Nothing at all has this name: it is misspelled, or not registered.
    NoSuchDomain,
    PointsHere,
    /// No address yet.
    NotPointing,
    CnameElsewhere,
    CnameAtApex,
    AddressElsewhere,
    /// Ours and others.
    AddressMixed,
    Ipv6Elsewhere,
    Ipv6Missing,
    ProxiedByCloudflare,
    PointingUnknown,
    /// The platform does not know its own addresses.
    PlatformAddressesUnknown,
    /// How long a change may take to be seen.
    ChangeTakesTime,
    /// Proven, and held by another project or organization, or protected by a proof of that one.
    Taken,
    /// Released by another organization not long ago.
    Quarantined,
}

/// `POST /api/v1/projects/{slug}/domains`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddDomain {
    pub hostname: DomainName,
    /// Adds the same name with `www.` before it, or without, as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_www: bool,
    /// Unless it is said, the first domain of a project and wildcards serve, and others redirect to the primary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<DomainRole>,
}

impl AddDomain {
    /// With every default.
    pub fn new(hostname: impl Into<DomainName>) -> Self {
        Self { hostname: hostname.into(), with_www: false, role: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AddedDomain {
    #[serde(flatten)]
    pub domain: Domain,
    /// What `with_www` added beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_www: Option<Domain>,
}

/// `PATCH /api/v1/projects/{slug}/domains/{id}`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateDomain {
    pub role: DomainRole,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_on_the_wire() {
        let cases = [
            (r#"{"type":"serve"}"#, DomainRole::Serve),
            (
                r#"{"type":"redirect_to_primary","status":308}"#,
                DomainRole::RedirectToPrimary { status: RedirectStatus::Permanent },
            ),
            (
                r#"{"type":"redirect","to":"example.org","status":307}"#,
                DomainRole::Redirect {
                    to: "example.org".parse().expect("valid"),
                    status: RedirectStatus::Temporary,
                },
            ),
        ];
        for (json, role) in cases {
            assert_eq!(serde_json::to_string(&role).expect("JSON"), json);
            assert_eq!(serde_json::from_str::<DomainRole>(json).expect("a role"), role);
        }
        let short: DomainRole = serde_json::from_str(r#"{"type":"redirect_to_primary"}"#).expect("a role");
        assert_eq!(short, DomainRole::RedirectToPrimary { status: RedirectStatus::Permanent });
        for wrong in [
            r#"{"type":"redirect_to_primary","status":301}"#,
            r#"{"type":"redirect_to_primary","to":"a.b"}"#,
            r#"{"type":"redirect"}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<DomainRole>(wrong).is_err(), "{wrong}");
        }
    }
}
