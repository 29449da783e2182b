//! Answers that are not a file: what is unchanged, what has moved, what an application shows for any path.

use anyhow::Context as _;
use reqwest::header::ETAG;

use super::{check, compare, rate};
use crate::contender::{Ask, Contender, Expected};
use crate::probe;
use crate::report::{Goal, Report};
use crate::rounds::Generator;
use crate::run::Run;
use crate::sites::{FILE, HOT, RULES, SHELL_BYTES, SPA, STATIC_REDIRECTS, Sites};

/// Enough that no one address is all that is known.
const DEEP_LINKS: usize = 1_000;

pub(super) async fn measure(run: &Run, report: &mut Report) -> anyhow::Result<()> {
    let ports = run.nginx.ports;
    let file = Ask::new(HOT, FILE);
    let ours = unchanged(run.ours([file.clone()])).await?;
    let nginx = unchanged(run.nginx("nginx static", ports.with_sendfile, [file])).await?;
    let expected = Expected { status: 304, body_bytes: Some(0) };
    case(run, report, "304, HTTP/1.1 keep-alive", expected, &[ours, nginx]).await?;

    let asks = || (0..STATIC_REDIRECTS).map(|n| Ask::new(RULES, Sites::redirect(n).0));
    let nginx = run.nginx("nginx `map`", ports.redirects, asks());
    let name = "redirects of 5,000 rules, each in turn";
    // nginx sends a page along.
    let expected = Expected { status: 301, body_bytes: None };
    case(run, report, name, expected, &[run.ours(asks()), nginx]).await?;

    let asks = || (0..DEEP_LINKS).map(|n| Ask::new(SPA, format!("/orders/{n}")).with("Accept", "text/html"));
    let nginx = run.nginx("nginx `try_files`", ports.spa, asks());
    let expected = Expected { status: 200, body_bytes: Some(SHELL_BYTES) };
    case(run, report, "the shell (4 KB) for 1,000 paths", expected, &[run.ours(asks()), nginx]).await
}

async fn case(
    run: &Run,
    report: &mut Report,
    name: &str,
    expected: Expected,
    contenders: &[Contender<'_>; 2],
) -> anyhow::Result<()> {
    let generator = Generator::Wrk { connections: run.options.connections };
    check(expected, contenders).await?;
    let all = compare(run, report, name, generator, contenders).await?;
    report.rows.push(rate(name, &all[0], &all[1], Goal::AtLeast(1.1)));
    Ok(())
}

/// Each has a validator of its own.
async fn unchanged(mut contender: Contender<'_>) -> anyhow::Result<Contender<'_>> {
    let ask = contender.asks.first().context("nothing to ask")?.clone();
    let answer = probe::ask(&contender, &ask).await?;
    let etag = answer.headers.get(ETAG).and_then(|value| value.to_str().ok());
    let etag = etag.with_context(|| format!("{} sends no ETag", contender.name))?;
    contender.asks = vec![ask.with("If-None-Match", etag)];
    Ok(contender)
}
