//! Whether the zone proves the domain, and where the record has got to if it does not.

use loggia_types::Hostname;
use loggia_types::api::{Finding, FindingCode, FindingLevel};

use super::{Observed, Subject, finding, listed, shortened};
use crate::dns::Answer;
use crate::domains::names::{PROOF_PREFIX, apex};
use crate::domains::records::{VALUE_PREFIX, proof_name, proof_value};
use crate::domains::standing::Proof;

/// Values that are shown; more in one record set is somebody's joke.
const VALUES_SHOWN_MAX: usize = 3;

pub(super) fn judge(subject: &Subject, observed: &Observed) -> (Proof, Vec<Finding>) {
    for (name, answer) in &observed.proofs {
        if answer.values().iter().any(|value| is_wanted(subject, value)) {
            let found = found(subject, name);
            return (Proof::FoundAt(name.clone()), vec![found]);
        }
    }
    let Some((own, answer)) = observed.proofs.first() else {
        return (Proof::Unknown, Vec::new());
    };
    let failed = observed.proofs.iter().find_map(|(name, answer)| Some((name, answer.failure()?)));
    let own_finding = match answer {
        Answer::Failed(why) => unknown(own, why),
        Answer::Found { values, .. } => other_value(subject, own, values),
        Answer::Nothing { .. } | Answer::NoSuchName { .. } => missing(subject, observed, own),
    };
    let mut findings = vec![own_finding];
    match failed {
        None => (Proof::Missing, findings),
        Some((name, why)) => {
            // The one that did not answer may be the one that holds it.
            if name != own {
                findings.push(unknown(name, why));
            }
            (Proof::Unknown, findings)
        }
    }
}

/// People copy values with the quotes that zone files have around them.
fn bare(value: &str) -> &str {
    value.trim().trim_matches('"').trim()
}

fn is_wanted(subject: &Subject, value: &str) -> bool {
    let token = bare(value).strip_prefix(VALUE_PREFIX);
    token.is_some_and(|token| token == subject.token || token == subject.former_token)
}

/// It is meant for this platform, whoever's it is.
pub(super) fn is_ours(value: &str) -> bool {
    bare(value).starts_with(VALUE_PREFIX)
}

fn found(subject: &Subject, at: &Hostname) -> Finding {
    let (name, record) = (subject.name.base(), proof_name(at));
    let message = if at == name {
        format!("The TXT record at {record} proves that {name} is yours.")
    } else {
        format!(
            "The TXT record at {record} proves {name} too: whoever owns a name owns those below it. No other one is needed."
        )
    };
    finding(FindingLevel::Ok, FindingCode::ProofFound, message)
}

fn unknown(name: &Hostname, why: &str) -> Finding {
    let message = format!(
        "The name servers of {} could not be asked for the TXT record at {} ({why}). That says nothing about the record; they \
         are asked again in a few minutes.",
        apex(name),
        proof_name(name)
    );
    finding(FindingLevel::Unknown, FindingCode::ProofUnknown, message)
}

fn other_value(subject: &Subject, own: &Hostname, values: &[String]) -> Finding {
    let (record, value) = (proof_name(own), proof_value(&subject.token));
    let shown: Vec<String> =
        values.iter().take(VALUES_SHOWN_MAX).map(|value| format!("«{}»", shortened(value))).collect();
    let whose = match values.iter().any(|value| is_ours(value)) {
        true => ", which is the value of another organization",
        false => "",
    };
    let message = format!(
        "The TXT record at {record} says {}{whose}. Change it to {value}, or add a second TXT record with that value.",
        listed(&shown)
    );
    finding(FindingLevel::Problem, FindingCode::ProofOtherValue, message)
}

fn missing(subject: &Subject, observed: &Observed, own: &Hostname) -> Finding {
    let (record, value, zone) = (proof_name(own), proof_value(&subject.token), apex(own));
    if let Some(astray) = &observed.astray {
        let (doubled, answer) = &astray.doubled;
        if answer.values().iter().any(|value| is_ours(value)) {
            let message = format!(
                "The TXT record is at {doubled}: your DNS panel puts .{zone} behind every name by itself. Enter {} as the \
                 record's name there.",
                within(&record, &zone)
            );
            return finding(FindingLevel::Problem, FindingCode::ProofNameDoubled, message);
        }
        if astray.at_hostname.values().iter().any(|value| is_ours(value)) {
            let message = format!(
                "The TXT record is at {own} itself. Move it to {record} (in many panels that is entered as {}).",
                within(&record, &zone)
            );
            return finding(FindingLevel::Problem, FindingCode::ProofAtHostname, message);
        }
        if matches!(astray.apex, Answer::NoSuchName { .. }) {
            let message = format!(
                "Nothing in the DNS is called {zone}. Is it spelled right, and registered? A new domain is there once its \
                 registrar knows its name servers, which may take a day."
            );
            return finding(FindingLevel::Problem, FindingCode::NoSuchDomain, message);
        }
    }
    let message = if subject.is_proven {
        format!(
            "The TXT record at {record} is gone. Put it back, with the value {value}: without it {} is no longer served after \
             two days.",
            subject.name
        )
    } else {
        format!(
            "There is no TXT record at {record} yet. Add one with the value {value}; in many panels its name is entered as {}.",
            within(&record, &zone)
        )
    };
    finding(FindingLevel::Problem, FindingCode::ProofMissing, message)
}

/// A record's name as panels want it that show one zone: `_loggia.shop` in the zone `example.com`.
fn within<'r>(record: &'r str, zone: &Hostname) -> &'r str {
    record.strip_suffix(zone.as_str()).map_or(record, |rest| rest.trim_end_matches('.'))
}

/// Where the record lands when the zone's name is put behind a full one.
pub(in crate::domains) fn doubled(own: &Hostname) -> String {
    format!("{PROOF_PREFIX}{own}.{}", apex(own))
}
