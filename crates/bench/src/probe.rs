//! One request ahead of a measurement: contenders that answer differently are not compared.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use crate::contender::{Ask, Contender, Expected, Scheme};

const ANSWER_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body_bytes: u64,
}

/// Asks the first and the last of a contender's requests.
pub(crate) async fn check(contender: &Contender<'_>, expected: Expected) -> anyhow::Result<()> {
    for asked in contender.asks.first().into_iter().chain(contender.asks.last()) {
        let answer = ask(contender, asked).await?;
        let found =
            Expected { status: answer.status, body_bytes: expected.body_bytes.and(Some(answer.body_bytes)) };
        ensure!(found == expected, "{} on {}: {found:?} instead of {expected:?}", contender.name, asked.path);
    }
    Ok(())
}

pub(crate) async fn ask(contender: &Contender<'_>, ask: &Ask) -> anyhow::Result<Answer> {
    // By address, as `wrk` does, so that nothing has to know the names. Nobody vouches for the certificate.
    let client = reqwest::Client::builder()
        .timeout(ANSWER_MAX)
        .redirect(Policy::none())
        .tls_danger_accept_invalid_certs(contender.scheme == Scheme::Https)
        .build()?;
    let url = format!("{}://{}{}", contender.scheme.text(), contender.addr, ask.path);
    let mut request = client.get(url).header("host", &ask.host);
    for (name, value) in &ask.headers {
        request = request.header(name.parse::<HeaderName>()?, HeaderValue::from_str(value)?);
    }
    let answer =
        request.send().await.with_context(|| format!("asking {} for {}", contender.name, ask.path))?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Ok(Answer { status, headers, body_bytes: answer.bytes().await?.len() as u64 })
}
