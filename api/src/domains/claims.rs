//! Who else has a right to a name.

use loggia_types::api::{Finding, FindingCode, FindingLevel};
use loggia_types::{DomainId, DomainName, OrganizationId, ProjectSlug, Timestamp};

use super::names::provers;
use crate::db::{self, DbError, GenericClient};
use crate::error::ApiError;

/// What is in the way of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Another project of the same organization has it.
    OwnProject(ProjectSlug),
    OtherOrganization,
    /// Another organization has proven a name above it, and with it everything below.
    Protected {
        by: DomainName,
    },
    /// Another organization gave it up not long ago.
    Quarantined {
        until: Timestamp,
    },
}

/// Looks for it. Whoever calls holds [`db::domains::lock_names`] until the name is taken.
///
/// A domain of a project that is deleted, and only waits to be gone, makes room for another project of the same organization.
pub(crate) async fn find(
    db: &impl GenericClient,
    id: DomainId,
    name: &DomainName,
    organization_id: OrganizationId,
) -> Result<Option<Obstacle>, DbError> {
    let provers = provers(name.base());
    while let Some(holder) = db::domains::find_holder(db, id, name, &provers, organization_id).await? {
        let is_own = holder.organization_id == organization_id;
        if is_own && holder.is_deleted {
            db::domains::delete(db, holder.id).await?;
            continue;
        }
        return Ok(Some(match (is_own, holder.hostname == *name) {
            (true, _) => Obstacle::OwnProject(holder.slug),
            (false, true) => Obstacle::OtherOrganization,
            (false, false) => Obstacle::Protected { by: holder.proof_name },
        }));
    }
    let until = db::domains::find_held(db, name, organization_id).await?;
    Ok(until.map(|until| Obstacle::Quarantined { until }))
}

impl Obstacle {
    /// For a person: whose it is, and what would be right.
    fn words(&self, name: &DomainName) -> String {
        match self {
            // Not which one: whoever works on one project need not know of the others.
            Self::OwnProject(_) => {
                format!("{name} is a domain of another project of your organization; remove it there first.")
            }
            Self::OtherOrganization => format!(
                "{name} is proven by another organization. If it is yours now, take that one's TXT record out of the zone: \
                 without it the name is given up after two days, and after 30 more you can have it. Whoever runs this \
                 installation can hand it over earlier."
            ),
            Self::Protected { by } => format!(
                "{name} is below {by}, which another organization has proven: only that one can have names below it."
            ),
            Self::Quarantined { until } => format!(
                "{name} was given up by another organization a while ago, and is kept for it until {}, so that nobody who still \
                 comes there lands on somebody else's site. Whoever runs this installation can hand it over earlier.",
                until.0.date()
            ),
        }
    }

    /// `own` is the project in the way, if the caller may see it.
    pub(crate) fn error(&self, name: &DomainName, own: Option<&ProjectSlug>) -> ApiError {
        let code = match self {
            Self::OwnProject(_) | Self::OtherOrganization => "domain_taken",
            Self::Protected { .. } => "domain_protected",
            Self::Quarantined { .. } => "domain_quarantined",
        };
        let message = match own {
            Some(slug) => format!("{name} is a domain of your project {slug}; remove it there first."),
            None => self.words(name),
        };
        ApiError::conflict(code, message).about("hostname")
    }

    pub(crate) fn finding(&self, name: &DomainName) -> Finding {
        let code = match self {
            Self::OwnProject(_) | Self::OtherOrganization | Self::Protected { .. } => FindingCode::Taken,
            Self::Quarantined { .. } => FindingCode::Quarantined,
        };
        Finding { code, level: FindingLevel::Problem, message: self.words(name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::words::assert_words;

    #[test]
    fn the_words_for_what_is_in_the_way() {
        let name: DomainName = "shop.example.com".parse().expect("valid");
        let until = Timestamp::from_unix_secs(1_800_000_000).expect("a time");
        let table: String = [
            Obstacle::OwnProject("blog".parse().expect("valid")),
            Obstacle::OtherOrganization,
            Obstacle::Protected { by: "example.com".parse().expect("valid") },
            Obstacle::Quarantined { until },
        ]
        .iter()
        .map(|obstacle| format!("{}\n", obstacle.words(&name)))
        .collect();
        assert_words("claims.txt", &table);
    }
}
