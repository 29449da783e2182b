//! Where a domain's records lead visitors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use loggia_types::Hostname;
use loggia_types::api::{Finding, FindingCode, FindingLevel, Pointing};
use loggia_types::hostname::HostnameKind;

use super::{Observed, Subject, finding, listed, v4, v6};
use crate::domains::records::is_apex;
use crate::domains::{Target, cloudflare};

use FindingCode as Code;
use FindingLevel::{Hint, Ok, Problem, Unknown};

/// `None` when it could not be found out.
pub(super) fn judge(subject: &Subject, observed: &Observed) -> (Option<Pointing>, Vec<Finding>) {
    let (pointing, mut findings) = judge_target(subject, observed);
    let has_cname_at_apex = is_apex(&subject.name) && !observed.cname.values().is_empty();
    if has_cname_at_apex && pointing != Some(Pointing::Elsewhere) {
        findings.push(cname_at_apex(subject, Hint));
    }
    (pointing, findings)
}

fn judge_target(subject: &Subject, observed: &Observed) -> (Option<Pointing>, Vec<Finding>) {
    let (name, target) = (&subject.name, &subject.target);
    let cname = observed.cname.values().first().map(String::as_str);
    if let Some(cname) = cname.filter(|cname| leads_here(target, cname)) {
        let message = format!("{name} is an alias (CNAME) of {cname}, so visitors come here.");
        return (Some(Pointing::Here), vec![finding(Ok, Code::PointsHere, message)]);
    }
    let addresses = Addresses::of(target, observed);
    if let Some(why) = addresses.failure(observed) {
        let message = format!(
            "The name servers of {name} could not be asked where it leads ({why}). That says nothing about its records; they \
             are asked again in a few minutes."
        );
        return (None, vec![finding(Unknown, Code::PointingUnknown, message)]);
    }
    if addresses.all().any(cloudflare::is_address_of) {
        return (Some(Pointing::Unknown), vec![behind_cloudflare(subject, &addresses)]);
    }
    if addresses.is_empty() {
        return (Some(Pointing::Elsewhere), vec![nothing(subject, cname)]);
    }
    if target.addresses.is_empty() {
        let message = format!(
            "{name} has the address {}, and this platform does not know its own: whoever runs it sets \
             LOGGIA_EDGE_ADDRESSES, or LOGGIA_EDGE_CNAME to a name that has them.",
            listed(&addresses.all().collect::<Vec<_>>())
        );
        return (Some(Pointing::Unknown), vec![finding(Unknown, Code::PlatformAddressesUnknown, message)]);
    }
    match cname {
        Some(_) if addresses.has_none_of_ours() && is_apex(name) => {
            (Some(Pointing::Elsewhere), vec![cname_at_apex(subject, Problem)])
        }
        Some(cname) if addresses.has_none_of_ours() => {
            let message = format!(
                "{name} is an alias (CNAME) of {cname}, which is not this platform. Change its value to {}.",
                target.name
            );
            (Some(Pointing::Elsewhere), vec![finding(Problem, Code::CnameElsewhere, message)])
        }
        _ => addresses.compare(subject),
    }
}

/// Any name of the platform's leads to its edges.
fn leads_here(target: &Target, cname: &str) -> bool {
    let Result::Ok(cname) = cname.parse::<Hostname>() else { return false };
    cname == target.name || target.base.classify(&cname) != HostnameKind::Domain
}

/// What there is, and whose it is.
struct Addresses {
    ours_v4: Vec<Ipv4Addr>,
    other_v4: Vec<Ipv4Addr>,
    ours_v6: Vec<Ipv6Addr>,
    other_v6: Vec<Ipv6Addr>,
    /// What there should be.
    wanted_v4: Vec<Ipv4Addr>,
    wanted_v6: Vec<Ipv6Addr>,
}

impl Addresses {
    fn of(target: &Target, observed: &Observed) -> Self {
        let is_ours = |address: &IpAddr| target.addresses.contains(address);
        let (ours_v4, other_v4) =
            observed.a.values().iter().copied().partition(|address| is_ours(&IpAddr::V4(*address)));
        let (ours_v6, other_v6) =
            observed.aaaa.values().iter().copied().partition(|address| is_ours(&IpAddr::V6(*address)));
        let (wanted_v4, wanted_v6) = (v4(&target.addresses), v6(&target.addresses));
        Self { ours_v4, other_v4, ours_v6, other_v6, wanted_v4, wanted_v6 }
    }

    fn all(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.ours_v4.iter().chain(&self.other_v4).copied().map(IpAddr::V4);
        v4.chain(self.ours_v6.iter().chain(&self.other_v6).copied().map(IpAddr::V6))
    }

    fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    fn has_none_of_ours(&self) -> bool {
        self.ours_v4.is_empty() && self.ours_v6.is_empty()
    }

    /// Why nothing can be said: one kind of address that could not be asked for may be the one that leads here, or elsewhere.
    fn failure<'o>(&self, observed: &'o Observed) -> Option<&'o str> {
        observed.a.failure().or_else(|| observed.aaaa.failure())
    }

    fn compare(&self, subject: &Subject) -> (Option<Pointing>, Vec<Finding>) {
        let name = &subject.name;
        if self.has_none_of_ours() {
            return (Some(Pointing::Elsewhere), vec![self.elsewhere(subject)]);
        }
        let mut findings = Vec::new();
        if !self.other_v4.is_empty() {
            findings.push(self.other_v4_too(subject));
        }
        if !self.other_v6.is_empty() {
            findings.push(self.other_v6_too(subject));
        }
        if !findings.is_empty() {
            return (Some(Pointing::Elsewhere), findings);
        }
        let ours: Vec<IpAddr> = self.all().collect();
        let addresses = if ours.len() == 1 { "address" } else { "addresses" };
        let message =
            format!("{name} has the {addresses} {} of this platform, so visitors come here.", listed(&ours));
        findings.push(finding(Ok, Code::PointsHere, message));
        if self.ours_v6.is_empty() && !self.wanted_v6.is_empty() {
            let message = format!(
                "Visitors who have IPv6 alone do not reach {name}. Add an AAAA record with the value {}.",
                listed(&self.wanted_v6)
            );
            findings.push(finding(Hint, Code::Ipv6Missing, message));
        }
        (Some(Pointing::Here), findings)
    }

    fn elsewhere(&self, subject: &Subject) -> Finding {
        let name = &subject.name;
        let found: Vec<IpAddr> = self.all().collect();
        let advice =
            if is_apex(name) { addresses_advice(&subject.target) } else { cname_advice(&subject.target) };
        let addresses = if found.len() == 1 { "address" } else { "addresses" };
        let message = format!(
            "{name} has the {addresses} {}, which {} not this platform's. Remove {} and {advice}.",
            listed(&found),
            if found.len() == 1 { "is" } else { "are" },
            if found.len() == 1 { "that record" } else { "those records" },
        );
        finding(Problem, Code::AddressElsewhere, message)
    }

    fn other_v4_too(&self, subject: &Subject) -> Finding {
        let (name, others) = (&subject.name, listed(&self.other_v4));
        let records = if self.other_v4.len() == 1 { "that A record" } else { "those A records" };
        if !self.ours_v4.is_empty() {
            let message = format!(
                "Some visitors of {name} still go to {others}, which is not this platform. Remove {records}, and keep {}.",
                listed(&self.ours_v4)
            );
            return finding(Problem, Code::AddressMixed, message);
        }
        let change = match self.wanted_v4.as_slice() {
            [] => format!("Remove {records}"),
            wanted => format!("Change it to {}", listed(wanted)),
        };
        let message = format!(
            "Visitors of {name} who have no IPv6 go to {others}, which is not this platform. {change}."
        );
        finding(Problem, Code::AddressElsewhere, message)
    }

    fn other_v6_too(&self, subject: &Subject) -> Finding {
        let (name, others) = (&subject.name, listed(&self.other_v6));
        let records = if self.other_v6.len() == 1 { "that AAAA record" } else { "those AAAA records" };
        let change = match (self.ours_v6.as_slice(), self.wanted_v6.as_slice()) {
            ([], []) => format!("Remove {records}"),
            ([], wanted) => format!("Change it to {}", listed(wanted)),
            (ours, _) => format!("Remove {records}, and keep {}", listed(ours)),
        };
        let message =
            format!("Visitors of {name} with IPv6 go to {others}, which is not this platform. {change}.");
        finding(Problem, Code::Ipv6Elsewhere, message)
    }
}

fn nothing(subject: &Subject, cname: Option<&str>) -> Finding {
    let (name, target) = (&subject.name, &subject.target);
    if is_apex(name) && cname.is_some() {
        return cname_at_apex(subject, Problem);
    }
    match cname {
        Some(cname) => {
            let message = format!(
                "{name} is an alias (CNAME) of {cname}, which has no address. Change its value to {}.",
                target.name
            );
            finding(Problem, Code::CnameElsewhere, message)
        }
        None => {
            let advice = if is_apex(name) { addresses_advice(target) } else { cname_advice(target) };
            let message = format!("{name} has no address. Visitors come here once you {advice}.");
            finding(Problem, Code::NotPointing, message)
        }
    }
}

fn cname_at_apex(subject: &Subject, level: FindingLevel) -> Finding {
    let message = format!(
        "{} has a CNAME record, which must not stand at the top of a zone (RFC 1034, 3.6.2): its mail and its other records may \
         stop working. Replace it: {}.",
        subject.name,
        addresses_advice(&subject.target)
    );
    finding(level, Code::CnameAtApex, message)
}

fn behind_cloudflare(subject: &Subject, addresses: &Addresses) -> Finding {
    let name = &subject.name;
    let shown =
        listed(&addresses.all().filter(|address| cloudflare::is_address_of(*address)).collect::<Vec<_>>());
    let message = format!(
        "{name} is answered by Cloudflare's proxy ({shown}), which hides where it leads. In Cloudflare's panel its record has to \
         lead to {}; with «DNS only» instead of «Proxied» it can be checked from here.",
        subject.target.name
    );
    finding(Hint, Code::ProxiedByCloudflare, message)
}

fn cname_advice(target: &Target) -> String {
    format!("add a CNAME record with the value {}", target.name)
}

/// What to add where no CNAME may stand.
fn addresses_advice(target: &Target) -> String {
    let (v4, v6) = (v4(&target.addresses), v6(&target.addresses));
    let records = |kind: &str, values: String| format!("{kind} record with the value {values}");
    match (v4.is_empty(), v6.is_empty()) {
        (true, true) => format!("add an ALIAS or ANAME record with the value {}", target.name),
        (false, true) => format!("add an {}", records("A", listed(&v4))),
        (true, false) => format!("add an {}", records("AAAA", listed(&v6))),
        (false, false) => {
            format!("add an {} and an {}", records("A", listed(&v4)), records("AAAA", listed(&v6)))
        }
    }
}
