//! A real Git server for tests: `git http-backend` behind a small HTTP to CGI bridge, and repositories made of
//! objects that no `git add` would write.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Stdio;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use git2::{ObjectType, Oid, Repository, RepositoryInitOptions, Signature};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Serves the repositories of a folder, and misbehaves on paths that begin with the name of a fault.
pub(crate) struct GitServer {
    pub(crate) authority: String,
    root: TempDir,
    /// Rises with every request to `/hang/`.
    pub(crate) hanging: watch::Receiver<usize>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Clone)]
struct Shared {
    root: PathBuf,
    authority: String,
    hanging: watch::Sender<usize>,
}

impl GitServer {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (sender, hanging) = watch::channel(0);
        let shared = Shared { root: root.path().to_owned(), authority: authority.clone(), hanging: sender };
        let router = Router::new().fallback(answer).with_state(shared);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { authority, root, hanging, _serving: AbortOnDropHandle::new(serving) }
    }

    /// An empty bare repository at `/{name}`.
    pub(crate) fn create(&self, name: &str, hands_out_any_commit: bool) -> TestRepository {
        let mut options = RepositoryInitOptions::new();
        let path = self.root.path().join(name);
        let repository = Repository::init_opts(path, options.bare(true).external_template(false)).unwrap();
        let mut config = repository.config().unwrap();
        config.set_bool("uploadpack.allowAnySHA1InWant", hands_out_any_commit).unwrap();
        config.set_bool("uploadpack.allowReachableSHA1InWant", hands_out_any_commit).unwrap();
        config.set_bool("uploadpack.allowTipSHA1InWant", hands_out_any_commit).unwrap();
        TestRepository { repository }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.authority)
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let fault = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    match fault {
        "auth" => {
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"x\"")]).into_response()
        }
        "forbidden" => StatusCode::FORBIDDEN.into_response(),
        "broken" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "page" => ([(header::CONTENT_TYPE, "text/html")], "<h1>Hello</h1>").into_response(),
        "garbage" => advertisement("this is no pkt-line at all\n"),
        "cut" => advertisement("001e# service=git-upload-pack\n0000004"),
        "dumb" => {
            let refs = "0123456789012345678901234567890123456789\trefs/heads/main\n";
            ([(header::CONTENT_TYPE, "text/plain")], refs).into_response()
        }
        "elsewhere" => {
            let port = shared.authority.rsplit(':').next().unwrap();
            let target = format!("http://localhost:{port}/site.git/info/refs?service=git-upload-pack");
            (StatusCode::FOUND, [(header::LOCATION, target)]).into_response()
        }
        "to-file" => (StatusCode::FOUND, [(header::LOCATION, "file:///etc/passwd")]).into_response(),
        "hang" => {
            shared.hanging.send_modify(|count| *count += 1);
            std::future::pending().await
        }
        _ => http_backend(&shared.root, request).await,
    }
}

fn advertisement(body: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/x-git-upload-pack-advertisement")], body).into_response()
}

/// One CGI call (RFC 3875).
async fn http_backend(root: &Path, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap();
    let get = |name: &str| parts.headers.get(name).map_or("", |value| value.to_str().unwrap());
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", get("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", get("content-encoding"))
        .env("GIT_PROTOCOL", get("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // A backend that refuses a request closes its input early.
    let _ = child.stdin.take().unwrap().write_all(&body).await;
    let output = child.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let (mut status, mut headers) = (StatusCode::OK, HeaderMap::new());
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        match name {
            "Status" => status = value[..3].parse().unwrap(),
            _ => drop(headers.insert(name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap())),
        }
    }
    (status, headers, Body::from(output[end + 4..].to_vec())).into_response()
}

pub(crate) struct TestRepository {
    pub(crate) repository: Repository,
}

pub(crate) const FILE: i32 = 0o100_644;
pub(crate) const LINK: i32 = 0o120_000;
pub(crate) const FOLDER: i32 = 0o40_000;
pub(crate) const SUBMODULE: i32 = 0o160_000;

impl TestRepository {
    /// Commits a tree of one level on top of a branch.
    pub(crate) fn commit(&self, branch: &str, files: &[(&str, &str)]) -> String {
        let entries: Vec<_> =
            files.iter().map(|(name, content)| (FILE, *name, self.blob(content.as_bytes()))).collect();
        let tree = self.raw_tree(&entries);
        self.commit_tree(branch, tree)
    }

    pub(crate) fn blob(&self, content: &[u8]) -> Oid {
        self.repository.blob(content).unwrap()
    }

    /// A tree object as it is given, names and order included: git itself would refuse some of them.
    pub(crate) fn raw_tree(&self, entries: &[(i32, &str, Oid)]) -> Oid {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(format!("{mode:o} {name}\0").as_bytes());
            bytes.extend_from_slice(id.as_bytes());
        }
        self.repository.odb().unwrap().write(ObjectType::Tree, &bytes).unwrap()
    }

    pub(crate) fn commit_tree(&self, branch: &str, tree: Oid) -> String {
        let reference = format!("refs/heads/{branch}");
        let parent = self.repository.refname_to_id(&reference).ok();
        let parents = parent.map(|id| format!("parent {id}\n")).unwrap_or_default();
        let who = Signature::new("A", "a@example.com", &git2::Time::new(1_700_000_000, 0)).unwrap();
        let who = format!("{} <{}> 1700000000 +0000", who.name().unwrap(), who.email().unwrap());
        // Written by hand, since a tree with hostile names is not a tree to libgit2.
        let text = format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\nA commit\n");
        let commit = self.repository.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap();
        self.repository.reference(&reference, commit, true, "test").unwrap();
        commit.to_string()
    }

    pub(crate) fn delete_branch(&self, branch: &str) {
        self.repository.find_reference(&format!("refs/heads/{branch}")).unwrap().delete().unwrap();
    }
}
