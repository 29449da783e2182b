//! What the owner of a domain has to put into its zone.

use std::net::IpAddr;

use loggia_types::api::{Diagnosis, DomainRecord, Pointing, ProofSeen, RecordType};
use loggia_types::{DomainName, Hostname};

use super::names::{PROOF_PREFIX, apex};
use super::platform::Target;

/// The name at which a proof of `hostname` lies.
pub(crate) fn proof_name(hostname: &Hostname) -> String {
    format!("{PROOF_PREFIX}{hostname}")
}

/// What an organization puts there; the same for all of its domains.
pub(crate) fn proof_value(token: &str) -> String {
    format!("{VALUE_PREFIX}{token}")
}

pub(super) const VALUE_PREFIX: &str = "loggia-verify=";

/// Whether a CNAME may stand there: not at the top of a zone (RFC 1034, 3.6.2). Where a subdomain is a zone of its own we do
/// not know it, and its owner does.
pub(super) fn is_apex(name: &DomainName) -> bool {
    name.exact().is_some_and(|hostname| apex(hostname) == *hostname)
}

/// The records, those of the last diagnosis marked.
pub(crate) fn wanted(
    name: &DomainName,
    token: &str,
    target: &Target,
    diagnosis: Option<&Diagnosis>,
) -> Vec<DomainRecord> {
    let is_proven = diagnosis.is_some_and(|diagnosis| diagnosis.proof == ProofSeen::Found);
    let leads_here = diagnosis.is_some_and(|diagnosis| diagnosis.pointing == Pointing::Here);
    let mut records = vec![DomainRecord {
        kind: RecordType::Txt,
        name: proof_name(name.base()),
        value: proof_value(token),
        why: why_proof(name.base()),
        is_seen: is_proven,
    }];
    let record = |kind, value: String, why: String| DomainRecord {
        kind,
        name: name.to_string(),
        value,
        why,
        is_seen: leads_here,
    };
    if !is_apex(name) || target.addresses.is_empty() {
        let why = match is_apex(name) {
            false => "Leads visitors here, also when this platform's addresses change.".to_owned(),
            true => format!(
                "Leads visitors here. A CNAME must not stand at the top of a zone: enter it as ALIAS or ANAME, or where \
                 your DNS provider flattens CNAMEs. Otherwise add the addresses of {} as A and AAAA records.",
                target.name
            ),
        };
        records.push(record(RecordType::Cname, target.name.to_string(), why));
    } else {
        for address in &target.addresses {
            let (kind, whom) = match address {
                IpAddr::V4(_) => (RecordType::A, "visitors"),
                IpAddr::V6(_) => (RecordType::Aaaa, "visitors with IPv6"),
            };
            let why = format!(
                "Leads {whom} here. If your DNS provider has ALIAS or ANAME records, or flattens CNAMEs, one that says {} will \
                 do instead.",
                target.name
            );
            records.push(record(kind, address.to_string(), why));
        }
    }
    records
}

fn why_proof(hostname: &Hostname) -> String {
    let apex = apex(hostname);
    let above = match apex == *hostname {
        true => String::new(),
        false => format!(" With the same value at {} it proves all of {apex} at once.", proof_name(&apex)),
    };
    format!(
        "Proves that {hostname} is yours, and with it every name below.{above} Leave it there: it is looked for again and again."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::words::assert_words;

    #[test]
    fn records_that_are_wanted() {
        let target = |addresses: &[&str]| Target {
            name: "edge.example.net".parse().expect("valid"),
            addresses: addresses.iter().map(|text| text.parse().expect("valid")).collect(),
            base: "pages.example.net".parse().expect("valid"),
        };
        let both = target(&["192.0.2.1", "2001:db8::1"]);
        let cases = [
            ("www.example.com", &both),
            ("*.example.com", &both),
            ("example.com", &both),
            ("example.com", &target(&["192.0.2.1"])),
            ("example.com", &target(&[])),
        ];
        let mut table = String::new();
        for (name, target) in cases {
            for record in wanted(&name.parse().expect("valid"), "abc", target, None) {
                let DomainRecord { kind, name, value, why, .. } = record;
                table.push_str(&format!("{} {name} {value}\n    {why}\n", kind.as_str()));
            }
            table.push('\n');
        }
        assert_words("records.txt", &table);
    }
}
