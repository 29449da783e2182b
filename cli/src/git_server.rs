//! Git's own smart HTTP server (`git http-backend`) behind a small HTTP listener.
//!
//! For the sample of `loggia up` and for tests. Anyone who reaches it may push: it binds to loopback only.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use futures::StreamExt;
use loggia_runtime::shutdown;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder with bare repositories, each served as /NAME.git
    #[arg(long)]
    root: PathBuf,
    #[arg(long, default_value_t = 0)]
    port: u16,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    println!("http://{}", listener.local_addr()?);
    serve(listener, options.root, None, shutdown::on_signal()?).await
}

struct Server {
    root: PathBuf,
    /// Told after every request that may have changed a repository.
    pushed: Option<mpsc::Sender<()>>,
}

/// Serves until `shutdown`.
pub(crate) async fn serve(
    listener: TcpListener,
    root: PathBuf,
    pushed: Option<mpsc::Sender<()>>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let root = root.canonicalize().with_context(|| format!("serving repositories of {}", root.display()))?;
    let router = Router::new().fallback(answer).with_state(Arc::new(Server { root, pushed }));
    axum::serve(listener, router).with_graceful_shutdown(async move { shutdown.cancelled().await }).await?;
    Ok(())
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response<Body> {
    let receives = request.uri().path().ends_with("/git-receive-pack");
    match run_backend(&server.root, request).await {
        Ok((response, mut child)) => {
            if receives && let Some(pushed) = server.pushed.clone() {
                tokio::spawn(async move {
                    let _ = child.wait().await;
                    let _ = pushed.send(()).await;
                });
            }
            response
        }
        Err(error) => {
            tracing::warn!("git http-backend: {error:#}");
            let mut response = Response::new(Body::from("git http-backend failed\n"));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

/// Runs git's CGI program (git-http-backend(1), RFC 3875) for one request.
async fn run_backend(root: &Path, request: Request) -> anyhow::Result<(Response<Body>, Child)> {
    let mut child = backend(root, &request).spawn().context("starting git http-backend")?;
    let stdin = child.stdin.take().context("a pipe was asked for")?;
    tokio::spawn(feed(stdin, request.into_body()));
    let mut stdout = BufReader::new(child.stdout.take().context("a pipe was asked for")?);
    let mut response = Response::new(Body::empty());
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).await? == 0 {
            bail!("it ended without an answer");
        }
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(": ") else { break };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            *response.status_mut() = code.parse().context("the status of git http-backend")?;
        } else {
            response.headers_mut().insert(name.parse::<HeaderName>()?, HeaderValue::from_str(value)?);
        }
    }
    *response.body_mut() = Body::from_stream(ReaderStream::new(stdout));
    Ok((response, child))
}

fn backend(root: &Path, request: &Request) -> Command {
    let header =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REQUEST_METHOD", request.method().as_str())
        .env("PATH_INFO", request.uri().path())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        // git takes pushes from named users only.
        .env("REMOTE_USER", "loopback")
        .env("REMOTE_ADDR", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).ip().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if !header("content-length").is_empty() {
        command.env("CONTENT_LENGTH", header("content-length"));
    }
    command
}

async fn feed(mut stdin: ChildStdin, body: Body) {
    let mut pieces = body.into_data_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        if stdin.write_all(&piece).await.is_err() {
            return;
        }
    }
}
