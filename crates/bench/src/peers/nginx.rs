//! nginx, in all the ways that the edge is compared with: one process, one worker, a port for each way.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::edge::Certificate;
use crate::machine::LOGS;
use crate::process::{Process, free_addr};
use crate::sites::{COLD, HOT, HUGE_HOST, RULES, SPA, STATIC_REDIRECTS, Sites};
use crate::tools::{self, CIPHER};
use crate::world::{BUCKET, World};

#[derive(Debug)]
pub(crate) struct Nginx {
    pub process: Process,
    pub ports: Ports,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    /// Files with `sendfile`.
    pub with_sendfile: SocketAddr,
    /// The same, with a log that says as much as ours.
    pub with_json_log: SocketAddr,
    /// The same files, read and written.
    pub without_sendfile: SocketAddr,
    pub tls: SocketAddr,
    /// `proxy_cache` before S3.
    pub cache: SocketAddr,
    /// `proxy_pass` to S3.
    pub pass: SocketAddr,
    pub redirects: SocketAddr,
    pub spa: SocketAddr,
    pub huge: SocketAddr,
}

impl Ports {
    fn free() -> anyhow::Result<Self> {
        Ok(Self {
            with_sendfile: free_addr()?,
            with_json_log: free_addr()?,
            without_sendfile: free_addr()?,
            tls: free_addr()?,
            cache: free_addr()?,
            pass: free_addr()?,
            redirects: free_addr()?,
            spa: free_addr()?,
            huge: free_addr()?,
        })
    }
}

impl Nginx {
    /// `command` makes the one that runs the program it is given: on a core, or under valgrind.
    pub(crate) async fn start(
        name: &str,
        dir: &Path,
        world: &World,
        sites: &Sites,
        certificate: &Certificate,
        command: impl FnOnce(&Path) -> Command,
    ) -> anyhow::Result<Self> {
        let program = tools::find("nginx").context("nginx is missing: run scripts/setup.sh --bench")?;
        let ports = Ports::free()?;
        let own = dir.join(name);
        std::fs::create_dir_all(&own)?;
        std::fs::write(own.join("redirects.map"), redirects_map()?)?;
        let file = own.join("nginx.conf");
        std::fs::write(&file, config(&own, dir, world, sites, certificate, ports)?)?;
        let mut command = command(&program);
        command.arg("-p").arg(&own).arg("-c").arg(&file).args(["-e", "stderr"]);
        let mut process = Process::start(name, dir, &mut command)?;
        process.listens(ports.with_sendfile).await?;
        Ok(Self { process, ports })
    }
}

fn redirects_map() -> Result<String, std::fmt::Error> {
    let mut map = String::new();
    for n in 0..STATIC_REDIRECTS {
        let (from, to) = Sites::redirect(n);
        writeln!(map, "{from} {to};")?;
    }
    Ok(map)
}

fn config(
    own: &Path,
    dir: &Path,
    world: &World,
    sites: &Sites,
    certificate: &Certificate,
    ports: Ports,
) -> anyhow::Result<String> {
    let own = own.display();
    let log = dir.join(LOGS[1]).display().to_string();
    let (cert, key) = (certificate.cert.display(), certificate.key.display());
    let root = |host: &str| sites.folder(host).display().to_string();
    let (hot, rules, spa, huge) = (root(HOT), root(RULES), root(SPA), root(HUGE_HOST));
    let (hot_prefix, cold_prefix) = (sites.prefix(HOT)?, sites.prefix(COLD)?);
    let s3 = world.s3;
    // Run by root, its worker would become somebody who may not read our folder.
    let user = if nix::unistd::Uid::effective().is_root() { "user root;" } else { "" };
    let Ports {
        with_sendfile,
        with_json_log,
        without_sendfile,
        tls,
        cache,
        pass,
        redirects,
        spa: spa_port,
        huge: huge_port,
    } = ports;
    Ok(format!(
        r#"daemon off;
{user}
worker_processes 1;
# For 5,000 idle connections, with as many files open.
worker_rlimit_nofile 20000;
pid {own}/nginx.pid;
error_log stderr warn;
events {{
    worker_connections 20000;
    multi_accept on;
}}
http {{
    types {{ text/html html; font/woff2 woff2; }}
    default_type application/octet-stream;

    # Head and start of the body leave in one packet, and the last one leaves at once.
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;

    # The default closes a connection after 1,000 requests.
    keepalive_requests 1000000000;
    keepalive_timeout 600s;

    # Descriptors, sizes and times are kept: no system call but `sendfile` for a file.
    open_file_cache max=100000 inactive=600s;
    open_file_cache_valid 600s;
    open_file_cache_min_uses 1;
    open_file_cache_errors on;

    # Written in large pieces, as ours is, in its own default format, which is the cheapest for it.
    access_log {log} combined buffer=64k flush=1s;

    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;

    server {{
        listen {with_sendfile};
        root {hot};
    }}

    # What a line of ours says, but for what only a host of many sites knows.
    log_format json escape=json '{{"time":"$time_iso8601","request_id":"$request_id","client":"$remote_addr",'
        '"method":"$request_method","host":"$host","path":"$uri","protocol":"$server_protocol",'
        '"status":$status,"bytes":$body_bytes_sent,"duration_s":$request_time,'
        '"user_agent":"$http_user_agent","referer":"$http_referer"}}';
    server {{
        listen {with_json_log};
        root {hot};
        access_log {log} json buffer=64k flush=1s;
    }}

    server {{
        listen {without_sendfile};
        root {hot};
        sendfile off;
    }}

    server {{
        # One port for both: ALPN decides.
        listen {tls} ssl http2;
        root {hot};
        ssl_certificate {cert};
        ssl_certificate_key {key};
        # What all contenders use.
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites {CIPHER};
        ssl_session_cache shared:tls:10m;
        # A head and 10 KB in one record, as is the default.
        ssl_buffer_size 16k;
        http2_chunk_size 16k;
    }}

    upstream s3 {{
        server {s3};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    # A 1 MB object is passed on from memory as it comes, not by way of a file.
    proxy_buffers 16 16k;
    proxy_max_temp_file_size 0;

    proxy_cache_path {own}/cache levels=1:2 keys_zone=s3:64m max_size=1g inactive=1d use_temp_path=off;
    server {{
        listen {cache};
        location / {{
            proxy_pass http://s3/{BUCKET}/{hot_prefix}/;
            proxy_cache s3;
            proxy_cache_key $uri;
            proxy_cache_valid 200 1d;
            proxy_cache_lock on;
            proxy_max_temp_file_size 1024m;
        }}
    }}

    server {{
        listen {pass};
        location / {{
            proxy_pass http://s3/{BUCKET}/{cold_prefix}/;
        }}
    }}

    # The documentation's own way to many redirects: one look-up by hash.
    map_hash_max_size 32768;
    map_hash_bucket_size 128;
    map $uri $moved_to {{
        default "";
        include {own}/redirects.map;
    }}
    server {{
        listen {redirects};
        root {rules};
        if ($moved_to) {{
            return 301 $moved_to;
        }}
    }}

    server {{
        listen {spa_port};
        root {spa};
        location / {{
            try_files $uri /index.html;
        }}
    }}

    server {{
        listen {huge_port};
        root {huge};
    }}
}}
"#
    ))
}
