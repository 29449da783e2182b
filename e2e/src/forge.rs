//! A forge: bare repositories behind Git's own smart HTTP server, and webhooks in GitHub's shape.

use std::path::{Path, PathBuf};
use std::process::Command;

use hmac::{Hmac, KeyInit, Mac};
use loggia_types::api::WebhookAnswer;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::eventually;
use crate::fleet::SOON;
use crate::process::{Process, free_port, loggia};

pub struct Forge {
    root: PathBuf,
    port: u16,
    _server: Process,
}

/// What a push did.
#[derive(Debug, Clone)]
pub struct Pushed {
    pub repository: String,
    pub clone_url: String,
    pub branch: String,
    pub before: String,
    pub after: String,
    pub delivery: String,
}

impl Forge {
    pub async fn start(dir: &Path) -> Self {
        let root = dir.join("repositories");
        std::fs::create_dir_all(&root).unwrap();
        let port = free_port();
        let args = ["git-server", "--root", root.to_str().unwrap(), "--port", &port.to_string()];
        let server = Process::start("forge", dir, &loggia(), &args, &[]);
        let asking = reqwest::Client::new();
        eventually("the forge listens", SOON, || async {
            asking.get(format!("http://127.0.0.1:{port}/")).send().await.ok()
        })
        .await;
        Self { root, port, _server: server }
    }

    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/{repository}.git", self.authority())
    }

    /// Makes the branch hold exactly the folder's content, by a real `git push`.
    pub fn push(&self, repository: &str, folder: &Path, branch: &str) -> Pushed {
        let bare = self.root.join(format!("{repository}.git"));
        if !bare.exists() {
            git(
                &self.root,
                &["init", "--quiet", "--bare", "--initial-branch", "main", bare.to_str().unwrap()],
            );
            git(&bare, &["config", "http.receivepack", "true"]);
        }
        let before = try_git(&bare, &["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")]);
        let work = tempfile::tempdir().unwrap();
        let tree = work.path();
        if before.is_some() {
            git(tree, &["clone", "--quiet", "--branch", branch, &self.url(repository), "."]);
            git(tree, &["rm", "-r", "--quiet", "."]);
        } else {
            git(tree, &["init", "--quiet", "--initial-branch", branch]);
        }
        copy(folder, tree);
        git(tree, &["add", "--all"]);
        git(tree, &["commit", "--quiet", "--allow-empty", "--message", "Change"]);
        git(tree, &["push", "--quiet", &self.url(repository), branch]);
        Pushed {
            repository: repository.to_owned(),
            clone_url: self.url(repository),
            branch: branch.to_owned(),
            before: before.unwrap_or_else(|| "0".repeat(40)),
            after: git(tree, &["rev-parse", "HEAD"]),
            delivery: format!("{:016x}", rand::random::<u64>()),
        }
    }

    /// Delivers a push event, and expects it to be taken.
    pub async fn deliver(&self, api_url: &str, secret: &str, push: &Pushed) -> WebhookAnswer {
        let response = send(api_url, secret, push).await;
        assert_eq!(response.status(), 202, "the webhook is accepted");
        response.json().await.unwrap()
    }
}

/// Sends a push event with a signature made from `secret`.
pub async fn send(api_url: &str, secret: &str, push: &Pushed) -> reqwest::Response {
    send_event(api_url, secret, "push", &push.delivery, payload(push).to_string()).await
}

/// Sends any event as GitHub does.
pub async fn send_event(
    api_url: &str,
    secret: &str,
    event: &str,
    delivery: &str,
    body: String,
) -> reqwest::Response {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    reqwest::Client::new()
        .post(format!("{api_url}/api/v1/webhooks/github"))
        .header("content-type", "application/json")
        .header("user-agent", "GitHub-Hookshot/044aadd")
        .header("x-github-event", event)
        .header("x-github-delivery", delivery)
        .header("x-github-hook-id", "292430182")
        .header("x-hub-signature-256", format!("sha256={signature}"))
        .body(body)
        .send()
        .await
        .unwrap()
}

/// The fields of GitHub's `push` event (docs.github.com, «Webhook events and payloads», push).
fn payload(push: &Pushed) -> Value {
    let person = json!({ "name": "Ada", "email": "ada@example.com", "username": "ada" });
    let commit = json!({
        "id": push.after, "tree_id": push.after, "distinct": true, "message": "Change",
        "timestamp": "2026-01-01T12:00:00+01:00", "url": format!("{}/commit/{}", push.clone_url, push.after),
        "author": person, "committer": person, "added": [], "removed": [], "modified": ["index.html"],
    });
    json!({
        "ref": format!("refs/heads/{}", push.branch),
        "before": push.before,
        "after": push.after,
        "repository": {
            "id": 186_853_002, "node_id": "MDEwOlJlcG9zaXRvcnkxODY4NTMwMDI=", "name": push.repository,
            "full_name": format!("acme/{}", push.repository), "private": false,
            "owner": { "name": "acme", "email": null, "login": "acme", "id": 21_031_067, "type": "Organization" },
            "html_url": push.clone_url.trim_end_matches(".git"), "description": null, "fork": false,
            "url": push.clone_url.trim_end_matches(".git"), "created_at": 1_557_933_565,
            "updated_at": "2019-05-15T15:20:41Z", "pushed_at": 1_557_933_657,
            "git_url": push.clone_url, "ssh_url": format!("git@example.com:acme/{}.git", push.repository),
            "clone_url": push.clone_url, "default_branch": "main", "master_branch": "main",
        },
        "pusher": { "name": "ada", "email": "ada@example.com" },
        "sender": { "login": "ada", "id": 21_031_067, "type": "User", "site_admin": false },
        "created": push.before.bytes().all(|b| b == b'0'), "deleted": false, "forced": false, "base_ref": null,
        "compare": push.clone_url, "commits": [commit], "head_commit": commit,
    })
}

fn git(dir: &Path, args: &[&str]) -> String {
    try_git(dir, args).unwrap_or_else(|| panic!("git {args:?} failed in {}", dir.display()))
}

fn try_git(dir: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Copies a project, without what its package manager and its builds left there.
pub fn copy(from: &Path, to: &Path) {
    let wanted = |entry: &walkdir::DirEntry| {
        !matches!(entry.file_name().to_str(), Some("node_modules" | "dist" | ".git"))
    };
    for entry in walkdir::WalkDir::new(from).min_depth(1).into_iter().filter_entry(wanted) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
