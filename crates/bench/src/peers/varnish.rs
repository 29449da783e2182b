//! Varnish in front of the S3 server.

use std::net::SocketAddr;
use std::path::Path;

use super::Peer;
use crate::process::{Process, free_addr, pinned};
use crate::tools;
use crate::world::BUCKET;

pub(crate) const NAME: &str = "Varnish before the same S3";

/// `prefix`: where the objects lie in the bucket.
pub(crate) async fn start(
    dir: &Path,
    core: usize,
    s3: SocketAddr,
    prefix: &str,
) -> anyhow::Result<Option<Peer>> {
    let Some(program) = tools::find("varnishd") else { return Ok(None) };
    let addr = free_addr()?;
    let file = dir.join("bench.vcl");
    std::fs::write(&file, vcl(s3, prefix))?;
    let mut command = pinned(core, program);
    // In the foreground, with a folder of its own, without a port to manage it and without a change of user: the
    // folder belongs to whoever runs this.
    command.arg("-F").arg("-n").arg(dir.join("varnish")).args(["-j", "none", "-T", "none"]);
    command.arg("-f").arg(&file).args(["-a", &addr.to_string()]);
    // All of it in memory, as ours is. It logs to shared memory, always; nothing reads that here.
    command.args(["-s", "malloc,512m"]);
    // One pool is what one core can use; it does no compression then either.
    command.args(["-p", "thread_pools=1", "-p", "http_gzip_support=off"]);
    let mut process = Process::start("varnish", dir, &mut command)?;
    process.listens(addr).await?;
    Ok(Some(Peer { name: NAME, process, addr }))
}

fn vcl(s3: SocketAddr, prefix: &str) -> String {
    let (host, port) = (s3.ip(), s3.port());
    format!(
        "vcl 4.1;
backend s3 {{
    .host = \"{host}\";
    .port = \"{port}\";
}}
sub vcl_recv {{
    set req.url = \"/{BUCKET}/{prefix}\" + req.url;
    return (hash);
}}
sub vcl_backend_response {{
    set beresp.ttl = 1d;
}}
"
    )
}
