//! From what name servers said about a domain to what its owner can do.

mod pointing;
mod proof;
#[cfg(test)]
mod tests;

pub(super) use proof::doubled;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use loggia_types::api::{
    Diagnosis, Finding, FindingCode, FindingLevel, Pointing, ProofSeen, RecordType, SeenRecord,
};
use loggia_types::{DomainName, Hostname, Timestamp};

use super::platform::Target;
use super::standing::Proof;
use crate::dns::Answer;

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) name: DomainName,
    /// What the organization was told to put into the record.
    pub(crate) token: String,
    /// What proves it as well: the value that a domain of an earlier release was given.
    pub(crate) former_token: String,
    pub(crate) target: Target,
    /// It was proven before.
    pub(crate) is_proven: bool,
}

/// What the name servers said.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    /// The proof's record of the hostname, and of each name above it whose owner is the same.
    pub(crate) proofs: Vec<(Hostname, Answer<String>)>,
    /// Where else it may have got to by mistake. Only looked at when it is not where it belongs.
    pub(crate) astray: Option<Astray>,
    /// The name that was asked for the following: of a wildcard, one that it covers.
    pub(crate) asked: String,
    pub(crate) cname: Answer<String>,
    pub(crate) a: Answer<Ipv4Addr>,
    pub(crate) aaaa: Answer<Ipv6Addr>,
}

#[derive(Debug, Clone)]
pub(crate) struct Astray {
    /// `_loggia.example.com.example.com`
    pub(crate) doubled: (String, Answer<String>),
    pub(crate) at_hostname: Answer<String>,
    /// The zone's own record at the apex.
    pub(crate) apex: Answer<()>,
}

/// What a look comes to.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) proof: Proof,
    /// `None` when it could not be found out.
    pub(crate) pointing: Option<Pointing>,
    pub(crate) diagnosis: Diagnosis,
}

pub(crate) fn diagnose(subject: &Subject, observed: &Observed, now: Timestamp) -> Verdict {
    let (proof, mut findings) = proof::judge(subject, observed);
    let (pointing, about_pointing) = pointing::judge(subject, observed);
    let takes_time = change_takes_time(observed, &findings, &about_pointing);
    findings.extend(about_pointing);
    findings.extend(takes_time);
    let proof_seen = match &proof {
        Proof::FoundAt(_) => ProofSeen::Found,
        Proof::Missing => ProofSeen::Missing,
        Proof::Unknown => ProofSeen::Unknown,
    };
    let diagnosis = Diagnosis {
        checked_at: now,
        proof: proof_seen,
        pointing: pointing.unwrap_or_default(),
        seen: seen(subject, observed),
        findings,
    };
    Verdict { proof, pointing, diagnosis }
}

fn finding(level: FindingLevel, code: FindingCode, message: String) -> Finding {
    Finding { code, level, message }
}

/// Resolvers go on telling what was there, or that nothing was, for as long as the zone allowed.
fn change_takes_time(
    observed: &Observed,
    about_proof: &[Finding],
    about_pointing: &[Finding],
) -> Option<Finding> {
    let is_wrong =
        |findings: &[Finding]| findings.iter().any(|finding| finding.level == FindingLevel::Problem);
    let of_proof = observed.proofs.first().and_then(|(_, answer)| answer.ttl_secs());
    let of_pointing = [observed.cname.ttl_secs(), observed.a.ttl_secs(), observed.aaaa.ttl_secs()]
        .into_iter()
        .flatten()
        .max();
    let longest =
        of_proof.filter(|_| is_wrong(about_proof)).max(of_pointing.filter(|_| is_wrong(about_pointing)));
    let longest = longest.filter(|secs| *secs > 0)?;
    let message = format!(
        "A change is not seen everywhere at once: resolvers may go on telling what there was for up to {}.",
        in_words(longest)
    );
    Some(finding(FindingLevel::Hint, FindingCode::ChangeTakesTime, message))
}

fn in_words(secs: u32) -> String {
    let (number, unit) = match secs {
        0..=90 => (1, "minute"),
        91..=3599 => (secs.div_ceil(60), "minute"),
        3600..=129_600 => (secs.div_ceil(3600), "hour"),
        _ => (secs.div_ceil(86_400), "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// Every record that was found, for whoever wants to compare by themselves.
fn seen(subject: &Subject, observed: &Observed) -> Vec<SeenRecord> {
    let mut seen = Vec::new();
    for (name, answer) in &observed.proofs {
        push(&mut seen, RecordType::Txt, &super::records::proof_name(name), answer);
    }
    if let Some(astray) = &observed.astray {
        push(&mut seen, RecordType::Txt, &astray.doubled.0, &astray.doubled.1);
        if let Answer::Found { values, ttl_secs } = &astray.at_hostname {
            // What else is there, mail policies say, is nobody's business here.
            let values = values.iter().filter(|value| proof::is_ours(value)).cloned().collect();
            let answer = Answer::Found { values, ttl_secs: *ttl_secs };
            push(&mut seen, RecordType::Txt, subject.name.base().as_str(), &answer);
        }
    }
    push(&mut seen, RecordType::Cname, &observed.asked, &observed.cname);
    push(&mut seen, RecordType::A, &observed.asked, &observed.a);
    push(&mut seen, RecordType::Aaaa, &observed.asked, &observed.aaaa);
    seen
}

/// A zone may hold any number of records, each of up to 64 KiB.
const SEEN_MAX: usize = 20;
const VALUE_LEN_MAX: usize = 255;

fn push<T: ToString>(seen: &mut Vec<SeenRecord>, kind: RecordType, name: &str, answer: &Answer<T>) {
    let Answer::Found { values, ttl_secs } = answer else { return };
    for value in values.iter().take(SEEN_MAX) {
        let value = shortened(&value.to_string());
        seen.push(SeenRecord { kind, name: name.to_owned(), value, ttl_secs: *ttl_secs });
    }
}

/// A value as it can be shown: what is in a zone is anybody's text.
fn shortened(value: &str) -> String {
    let clean = value.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char });
    clean.take(VALUE_LEN_MAX).collect()
}

/// `a`, `a and b`, `a, b and c`.
fn listed<T: ToString>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [firsts @ .., last] => format!("{} and {last}", firsts.join(", ")),
    }
}

fn v4(addresses: &[IpAddr]) -> Vec<Ipv4Addr> {
    addresses
        .iter()
        .filter_map(|address| if let IpAddr::V4(v4) = address { Some(*v4) } else { None })
        .collect()
}

fn v6(addresses: &[IpAddr]) -> Vec<Ipv6Addr> {
    addresses
        .iter()
        .filter_map(|address| if let IpAddr::V6(v6) = address { Some(*v6) } else { None })
        .collect()
}
