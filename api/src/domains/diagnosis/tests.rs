use std::fmt::Write as _;

use super::*;
use crate::domains::words::assert_words;

const OURS: &str = "loggia-verify=of-this-organization";

/// A zone in one line: `TXT _loggia.example.com=value`, `A example.com=192.0.2.1`, `NX name`, `SILENT name`, `SOA name`.
/// What is not said is not there; a name without any record does not exist.
struct Zone<'z>(&'z [&'z str]);

impl Zone<'_> {
    fn ask<T>(&self, kind: &str, name: &str, parse: impl Fn(&str) -> T) -> Answer<T> {
        let of = |word: &str| {
            let prefix = format!("{word} {name}");
            self.0.iter().filter_map(move |line| {
                let rest = line.strip_prefix(prefix.as_str())?;
                (rest.is_empty() || rest.starts_with('=')).then(|| rest.trim_start_matches('=').to_owned())
            })
        };
        if of("SILENT").next().is_some() {
            return Answer::Failed("no answer in time".to_owned());
        }
        let values: Vec<T> = of(kind).map(|value| parse(&value)).collect();
        let exists = |line: &&str| {
            let owner = line.split(' ').nth(1).unwrap_or_default().split('=').next().unwrap_or_default();
            owner == name || owner.ends_with(&format!(".{name}"))
        };
        match values.is_empty() {
            false => Answer::Found { values, ttl_secs: 3600 },
            true if self.0.iter().any(exists) => Answer::Nothing { ttl_secs: Some(300) },
            true => Answer::NoSuchName { ttl_secs: Some(300) },
        }
    }

    fn observe(&self, name: &DomainName) -> Observed {
        let base = name.base();
        let text = |value: &str| value.to_owned();
        let proofs: Vec<_> = crate::domains::names::provers(base)
            .into_iter()
            .map(|name| (name.clone(), self.ask("TXT", &format!("_loggia.{name}"), text)))
            .collect();
        let asked = name.exact().map_or_else(|| format!("loggia-check.{base}"), ToString::to_string);
        let is_there =
            proofs.iter().any(|(_, answer)| answer.values().iter().any(|value| value.starts_with("loggia-")));
        let astray = (!is_there).then(|| Astray {
            doubled: (doubled(base), self.ask("TXT", &doubled(base), text)),
            at_hostname: self.ask("TXT", base.as_str(), text),
            apex: self.ask("SOA", crate::domains::names::apex(base).as_str(), |_| ()),
        });
        Observed {
            proofs,
            astray,
            cname: self.ask("CNAME", &asked, text),
            a: self.ask("A", &asked, |value| value.parse().expect("an address")),
            aaaa: self.ask("AAAA", &asked, |value| value.parse().expect("an address")),
            asked,
        }
    }
}

fn subject(name: &str, addresses: &[&str], is_proven: bool) -> Subject {
    Subject {
        name: name.parse().expect("valid"),
        token: "of-this-organization".into(),
        former_token: "of-an-earlier-release".into(),
        target: Target {
            name: "edge.example.net".parse().expect("valid"),
            addresses: addresses.iter().map(|text| text.parse().expect("valid")).collect(),
            base: "pages.example.net".parse().expect("valid"),
        },
        is_proven,
    }
}

const BOTH: &[&str] = &["192.0.2.1", "2001:db8::1"];
const V4: &[&str] = &["192.0.2.1"];

fn told(subject: &Subject, zone: &[&str]) -> String {
    let now = Timestamp::from_unix_secs(0).expect("a time");
    let verdict = diagnose(subject, &Zone(zone).observe(&subject.name), now);
    let proof = match &verdict.proof {
        Proof::FoundAt(name) => format!("found at {name}"),
        other => format!("{other:?}").to_lowercase(),
    };
    let pointing = verdict.pointing.map_or("could not be asked", Pointing::as_str);
    let mut told = format!("  proof {proof}, pointing {pointing}\n");
    for Finding { code, level, message } in verdict.diagnosis.findings {
        let (level, code) =
            (format!("{level:?}").to_lowercase(), serde_json::to_string(&code).expect("text"));
        writeln!(told, "  {level} {}: {message}", code.trim_matches('"')).expect("memory");
    }
    told
}

#[test]
fn the_words_for_what_is_wrong_with_a_proof() {
    let elsewhere = "A www.example.com=192.0.2.1";
    let cases: &[(&str, &str, bool, &[&str])] = &[
        ("nothing yet", "www.example.com", false, &["SOA example.com"]),
        ("gone", "www.example.com", true, &["SOA example.com"]),
        ("not registered", "www.exmaple.com", false, &[]),
        (
            "found",
            "www.example.com",
            false,
            &["TXT _loggia.www.example.com=loggia-verify=of-this-organization", elsewhere],
        ),
        (
            "found with quotes",
            "www.example.com",
            false,
            &["TXT _loggia.www.example.com= \"loggia-verify=of-this-organization\" ", elsewhere],
        ),
        (
            "found by the value of an earlier release",
            "www.example.com",
            false,
            &["TXT _loggia.www.example.com=loggia-verify=of-an-earlier-release", elsewhere],
        ),
        (
            "found above",
            "www.example.com",
            false,
            &["TXT _loggia.example.com=loggia-verify=of-this-organization", elsewhere],
        ),
        (
            "a wildcard",
            "*.example.com",
            false,
            &["TXT _loggia.example.com=loggia-verify=of-this-organization"],
        ),
        (
            "several values with ours among them",
            "www.example.com",
            false,
            &[
                "TXT _loggia.www.example.com=something",
                "TXT _loggia.www.example.com=loggia-verify=of-this-organization",
                elsewhere,
            ],
        ),
        ("another value", "www.example.com", false, &["TXT _loggia.www.example.com=something"]),
        (
            "the value of another organization",
            "www.example.com",
            false,
            &["TXT _loggia.www.example.com=loggia-verify=of-another"],
        ),
        (
            "several other values",
            "www.example.com",
            false,
            &["TXT _loggia.www.example.com=a", "TXT _loggia.www.example.com=b\n<script>"],
        ),
        (
            "the zone's name twice",
            "shop.example.com",
            false,
            &[
                "SOA example.com",
                "TXT _loggia.shop.example.com.example.com=loggia-verify=of-this-organization",
            ],
        ),
        (
            "the zone's name twice, of an apex",
            "example.com",
            false,
            &["SOA example.com", "TXT _loggia.example.com.example.com=loggia-verify=of-this-organization"],
        ),
        (
            "at the hostname itself",
            "shop.example.com",
            false,
            &["SOA example.com", "TXT shop.example.com=loggia-verify=of-this-organization"],
        ),
        (
            "silence",
            "www.example.com",
            false,
            &["SILENT _loggia.www.example.com", "SILENT _loggia.example.com"],
        ),
        ("silence above", "www.example.com", true, &["SOA example.com", "SILENT _loggia.example.com"]),
        (
            "silence above a name that is proven",
            "www.example.com",
            true,
            &[
                "TXT _loggia.www.example.com=loggia-verify=of-this-organization",
                "SILENT _loggia.example.com",
                elsewhere,
            ],
        ),
    ];
    let mut table = String::new();
    for (what, name, is_proven, zone) in cases {
        let subject = subject(name, V4, *is_proven);
        writeln!(table, "{what}: {name}\n{}", told(&subject, zone)).expect("memory");
    }
    assert_words("proof.txt", &table);
}

#[test]
fn the_words_for_where_a_domain_leads() {
    let cases: &[(&str, &str, &[&str], &[&str])] = &[
        (
            "an alias of the edge",
            "www.example.com",
            BOTH,
            &["CNAME www.example.com=edge.example.net", "A www.example.com=192.0.2.1"],
        ),
        (
            "an alias of a project's name",
            "www.example.com",
            BOTH,
            &["CNAME www.example.com=shop.pages.example.net"],
        ),
        (
            "an alias that leads here by a detour",
            "www.example.com",
            V4,
            &["CNAME www.example.com=a.example.org", "A www.example.com=192.0.2.1"],
        ),
        ("both addresses", "example.com", BOTH, &["A example.com=192.0.2.1", "AAAA example.com=2001:db8::1"]),
        ("no IPv6", "example.com", BOTH, &["A example.com=192.0.2.1"]),
        ("nothing", "www.example.com", BOTH, &[]),
        ("nothing at an apex", "example.com", BOTH, &["TXT example.com=x"]),
        ("nothing at an apex, IPv4 alone", "example.com", V4, &["TXT example.com=x"]),
        ("nothing at an apex, addresses unknown", "example.com", &[], &["TXT example.com=x"]),
        ("an address, ours unknown", "example.com", &[], &["A example.com=198.51.100.7"]),
        (
            "an alias of something else",
            "www.example.com",
            BOTH,
            &["CNAME www.example.com=old.example.org", "A www.example.com=198.51.100.7"],
        ),
        ("an alias of nothing", "www.example.com", BOTH, &["CNAME www.example.com=gone.example.org"]),
        ("an alias at an apex, leading here", "example.com", BOTH, &["CNAME example.com=edge.example.net"]),
        (
            "an alias at an apex, leading elsewhere",
            "example.com",
            BOTH,
            &["CNAME example.com=old.example.org", "A example.com=198.51.100.7"],
        ),
        ("an alias at an apex, leading nowhere", "example.com", BOTH, &["CNAME example.com=old.example.org"]),
        ("another address", "www.example.com", BOTH, &["A www.example.com=198.51.100.7"]),
        (
            "other addresses at an apex",
            "example.com",
            BOTH,
            &["A example.com=198.51.100.7", "A example.com=198.51.100.8", "AAAA example.com=2001:db8:bad::1"],
        ),
        (
            "the old address too",
            "example.com",
            BOTH,
            &["A example.com=192.0.2.1", "A example.com=198.51.100.7", "AAAA example.com=2001:db8::1"],
        ),
        (
            "IPv6 elsewhere",
            "example.com",
            BOTH,
            &["A example.com=192.0.2.1", "AAAA example.com=2001:db8:bad::1"],
        ),
        (
            "IPv6 elsewhere, and none here",
            "example.com",
            V4,
            &["A example.com=192.0.2.1", "AAAA example.com=2001:db8:bad::1"],
        ),
        (
            "IPv6 both",
            "example.com",
            BOTH,
            &["A example.com=192.0.2.1", "AAAA example.com=2001:db8::1", "AAAA example.com=2001:db8:bad::1"],
        ),
        (
            "IPv4 elsewhere",
            "example.com",
            BOTH,
            &["A example.com=198.51.100.7", "AAAA example.com=2001:db8::1"],
        ),
        (
            "Cloudflare",
            "example.com",
            BOTH,
            &["A example.com=104.16.1.2", "A example.com=104.17.1.2", "AAAA example.com=2606:4700::1"],
        ),
        ("silence", "www.example.com", BOTH, &["SILENT www.example.com"]),
        ("a wildcard's", "*.example.com", BOTH, &["A loggia-check.example.com=198.51.100.7"]),
        (
            "a wildcard that leads here",
            "*.example.com",
            BOTH,
            &["CNAME loggia-check.example.com=edge.example.net"],
        ),
    ];
    let mut table = String::new();
    for (what, name, addresses, zone) in cases {
        let subject = subject(name, addresses, false);
        let proof = format!("TXT _loggia.{}={OURS}", subject.name.base());
        let zone: Vec<&str> = zone.iter().copied().chain([proof.as_str()]).collect();
        let told = told(&subject, &zone);
        let rest = told.split_inclusive('\n').filter(|line| !line.contains("proof_found"));
        writeln!(table, "{what}: {name}\n{}", rest.collect::<String>()).expect("memory");
    }
    assert_words("pointing.txt", &table);
}

#[test]
fn what_was_seen_is_told_in_full_but_not_without_end() {
    let subject = subject("www.example.com", BOTH, false);
    let txt: Vec<String> =
        (0..100).map(|n| format!("TXT _loggia.www.example.com={n}\u{7}{}", "x".repeat(1000))).collect();
    let mut zone: Vec<&str> = txt.iter().map(String::as_str).collect();
    zone.extend([
        "TXT www.example.com=v=spf1 -all",
        "A www.example.com=192.0.2.1",
        "AAAA www.example.com=2001:db8::1",
    ]);
    let now = Timestamp::from_unix_secs(0).expect("a time");
    let seen = diagnose(&subject, &Zone(&zone).observe(&subject.name), now).diagnosis.seen;
    assert_eq!(seen.len(), SEEN_MAX + 2);
    assert!(
        seen.iter()
            .all(|record| record.value.chars().count() <= VALUE_LEN_MAX && !record.value.contains('\u{7}'))
    );
    let addresses: Vec<_> =
        seen[SEEN_MAX..].iter().map(|record| (record.kind.as_str(), record.value.as_str())).collect();
    assert_eq!(addresses, [("A", "192.0.2.1"), ("AAAA", "2001:db8::1")]);
}

#[test]
fn times_in_words() {
    let cases = [
        (1, "1 minute"),
        (90, "1 minute"),
        (300, "5 minutes"),
        (3600, "1 hour"),
        (86_400, "24 hours"),
        (604_800, "7 days"),
    ];
    for (secs, words) in cases {
        assert_eq!(in_words(secs), words);
    }
}
