//! The same file over TLS 1.3, on connections that are kept: handshakes are not what is measured.

use super::{check, compare, rate};
use crate::contender::{Ask, Contender, Expected, Scheme};
use crate::report::{Goal, Report};
use crate::rounds::Generator;
use crate::run::Run;
use crate::sites::{FILE, FILE_BYTES, HOT};

pub(super) async fn measure(run: &Run, report: &mut Report) -> anyhow::Result<()> {
    let ask = || [Ask::new(HOT, FILE)];
    let ours = Contender { scheme: Scheme::Https, addr: run.edge.https, ..run.ours(ask()) };
    let nginx = run.nginx("nginx static", run.nginx.ports.tls, ask());
    let contenders = [ours, Contender { scheme: Scheme::Https, ..nginx }];
    let expected = Expected { status: 200, body_bytes: Some(FILE_BYTES) };
    check(expected, &contenders).await?;
    let cases = [
        (
            "hot 10 KB, TLS 1.3, HTTP/1.1 keep-alive",
            Generator::Wrk { connections: run.options.connections },
            1.2,
        ),
        ("hot 10 KB, TLS 1.3, HTTP/2, 10 streams", Generator::H2Load, 1.05),
    ];
    for (name, generator, least) in cases {
        let all = compare(run, report, name, generator, &contenders).await?;
        report.rows.push(rate(name, &all[0], &all[1], Goal::AtLeast(least)));
    }
    Ok(())
}
