//! Asks the name servers everything that a diagnosis needs.

use futures::future::join_all;
use loggia_types::Hostname;

use super::diagnosis::{Astray, Observed, doubled};
use super::names::{apex, provers};
use super::records::{VALUE_PREFIX, proof_name};
use crate::dns::{Answer, Resolver};

/// Which of the names below a wildcard is asked for: any would do that has no record of its own.
const WILDCARD_SAMPLE: &str = "loggia-check";

/// A name of any depth may be added; each level above it costs one question.
const PROVERS_MAX: usize = 5;

/// At most two rounds of questions, all of one round at once.
pub(super) async fn observe(name: &loggia_types::DomainName, resolver: &Resolver) -> Observed {
    let base = name.base();
    let asked = match name.exact() {
        Some(hostname) => hostname.to_string(),
        None => format!("{WILDCARD_SAMPLE}.{base}"),
    };
    let (proofs, cname, a, aaaa) = tokio::join!(
        proofs(base, resolver),
        resolver.cname(&asked),
        resolver.a(&asked),
        resolver.aaaa(&asked)
    );
    // Nobody waits twice for servers that are silent.
    let is_over = |answer: &Answer<String>| has_one_of_ours(answer) || answer.failure().is_some();
    let astray = match proofs.iter().any(|(_, answer)| is_over(answer)) {
        true => None,
        false => Some(astray(base, resolver).await),
    };
    Observed { proofs, astray, asked, cname, a, aaaa }
}

fn has_one_of_ours(answer: &Answer<String>) -> bool {
    answer.values().iter().any(|value| value.contains(VALUE_PREFIX))
}

/// The name's own first, then those above it, the apex among them.
async fn proofs(base: &Hostname, resolver: &Resolver) -> Vec<(Hostname, Answer<String>)> {
    let mut provers = provers(base);
    if provers.len() > PROVERS_MAX {
        let apex = provers.pop();
        provers.truncate(PROVERS_MAX - 1);
        provers.extend(apex);
    }
    let asked = provers.into_iter().map(async |name| {
        let answer = resolver.txt(&proof_name(&name)).await;
        (name, answer)
    });
    join_all(asked).await
}

async fn astray(base: &Hostname, resolver: &Resolver) -> Astray {
    let (doubled, apex) = (doubled(base), apex(base));
    let (at_doubled, at_hostname, apex) = tokio::join!(
        txt_if_it_fits(&doubled, resolver),
        resolver.txt(base.as_str()),
        resolver.soa(apex.as_str())
    );
    Astray { doubled: (doubled, at_doubled), at_hostname, apex }
}

async fn txt_if_it_fits(name: &str, resolver: &Resolver) -> Answer<String> {
    match name.len() > loggia_types::hostname::HOSTNAME_LEN_MAX {
        true => Answer::NoSuchName { ttl_secs: None },
        false => resolver.txt(name).await,
    }
}
