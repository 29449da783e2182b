//! The sample of the first run: a project's folder becomes a local Git repository, is pushed, and goes live
//! through the same path as anybody's. The repository stays: pushing to it deploys again.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hmac::{Hmac, KeyInit, Mac};
use loggia_client::ApiClient;
use loggia_types::api::{CreateProject, Deployment, DeploymentStatus, UpdateProject, WebhookAnswer};
use loggia_types::{CommitSha, DeploymentId, ProjectSlug, RepositoryUrl};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::git_server;

const BRANCH: &str = "main";
const ASK_EVERY: Duration = Duration::from_millis(100);
/// A first build installs packages over whatever network there is.
const LIVE_WITHIN: Duration = Duration::from_secs(600);

pub(super) struct Sample {
    source: PathBuf,
    slug: ProjectSlug,
    dir: PathBuf,
    authority: String,
    pushes: mpsc::Receiver<()>,
}

impl Sample {
    /// Serves the sample's repository; nothing is pushed yet.
    pub(super) async fn start(
        source: &Path,
        data_dir: &Path,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let name = source.canonicalize().with_context(|| format!("the sample {}", source.display()))?;
        let slug: ProjectSlug = name
            .file_name()
            .and_then(|name| name.to_str())
            .context("the sample's folder has no name")?
            .parse()
            .context("the sample's folder is named after its project")?;
        let dir = data_dir.join("sample");
        std::fs::create_dir_all(&dir)?;
        let listener = bind(&dir).await?;
        let authority = listener.local_addr()?.to_string();
        let (sender, pushes) = mpsc::channel(16);
        let (root, stopped) = (dir.clone(), stop.clone());
        tokio::spawn(git_server::serve(listener, root, Some(sender), stopped));
        Ok(Self { source: name, slug, dir, authority, pushes })
    }

    pub(super) fn authority(&self) -> String {
        self.authority.clone()
    }

    fn repository(&self) -> PathBuf {
        self.dir.join(format!("{}.git", self.slug))
    }

    fn url(&self) -> String {
        format!("http://{}/{}.git", self.authority, self.slug)
    }

    /// Pushes on the first run, then turns every push into a webhook until `stop`.
    pub(super) async fn run(mut self, api: ApiClient, api_url: String, stop: CancellationToken) {
        if let Err(error) = self.follow(&api, &api_url, &stop).await {
            tracing::error!("The sample could not be shown: {error:#}");
        }
    }

    async fn follow(
        &mut self,
        api: &ApiClient,
        api_url: &str,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let first_run = !self.repository().exists();
        if first_run {
            self.create_repository().await?;
        }
        let secret = self.ensure_project(api).await?;
        if first_run {
            println!("Pushing the sample {} to {}", self.source.display(), self.url());
            self.push_source().await?;
        } else {
            println!("The sample's repository is {}: clone it, change it, push it.", self.url());
        }
        let mut before = if first_run { None } else { self.head().await? };
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                push = self.pushes.recv() => if push.is_none() { return Ok(()) },
            }
            let Some(after) = self.head().await? else { continue };
            if before.as_ref() == Some(&after) {
                continue;
            }
            let pushed = Instant::now();
            let message = self.git(&["log", "-1", "--format=%s", BRANCH]).await?;
            let id = self.deliver(api_url, &secret, before.as_ref(), &after, &message).await?;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                shown = self.show(api, id, pushed) => shown?,
            }
            before = Some(after);
        }
    }

    async fn create_repository(&self) -> anyhow::Result<()> {
        let path = self.repository();
        let path = path.to_str().context("the data folder's name is not UTF-8")?;
        run_git(&self.dir, &["init", "--quiet", "--bare", "--initial-branch", BRANCH, path]).await?;
        run_git(&self.repository(), &["config", "http.receivepack", "true"]).await.map(drop)
    }

    /// Creates the project, or tells it where its repository is this time. Gives the webhook's secret.
    async fn ensure_project(&self, api: &ApiClient) -> anyhow::Result<String> {
        let secret_file = self.dir.join("webhook-secret");
        let repository_url: RepositoryUrl = self.url().parse()?;
        if api.find_project(&self.slug).await?.is_some() {
            let change = UpdateProject { repository_url: Some(repository_url), ..UpdateProject::default() };
            api.update_project(&self.slug, &change).await?;
            return std::fs::read_to_string(&secret_file)
                .with_context(|| format!("there is a project {} that is not the sample", self.slug));
        }
        let created = api
            .create_project(&CreateProject {
                repository_url: Some(repository_url),
                production_branch: Some(BRANCH.parse()?),
                ..CreateProject::new(self.slug.clone())
            })
            .await?;
        super::secrets::write_private(&secret_file, created.webhook_secret.as_bytes())?;
        Ok(created.webhook_secret)
    }

    /// A real `git push` of the sample's folder, from a working tree of its own.
    async fn push_source(&self) -> anyhow::Result<()> {
        let work = tempfile::tempdir()?;
        copy_folder(&self.source, work.path())?;
        let (url, git) = (self.url(), |args: Vec<String>| {
            let dir = work.path().to_owned();
            async move { run_git(&dir, &args.iter().map(String::as_str).collect::<Vec<_>>()).await }
        });
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        git(words(&format!("init --quiet --initial-branch {BRANCH}"))).await?;
        git(words("add --all")).await?;
        git(words("commit --quiet --message Hello")).await?;
        git(words(&format!("push --quiet {url} {BRANCH}"))).await?;
        Ok(())
    }

    async fn head(&self) -> anyhow::Result<Option<CommitSha>> {
        // Fails while the branch does not exist.
        let head = self.git(&["rev-parse", "--verify", "--quiet", &format!("refs/heads/{BRANCH}")]).await;
        head.ok().map(|sha| sha.parse()).transpose().map_err(Into::into)
    }

    async fn git(&self, args: &[&str]) -> anyhow::Result<String> {
        run_git(&self.repository(), args).await
    }

    /// Delivers what GitHub would: the push event, signed with the project's secret.
    async fn deliver(
        &self,
        api_url: &str,
        secret: &str,
        before: Option<&CommitSha>,
        after: &CommitSha,
        message: &str,
    ) -> anyhow::Result<DeploymentId> {
        let zero = "0".repeat(40);
        let body = serde_json::to_vec(&serde_json::json!({
            "ref": format!("refs/heads/{BRANCH}"),
            "before": before.map_or(zero.as_str(), CommitSha::as_str),
            "after": after,
            "created": before.is_none(),
            "deleted": false,
            "forced": false,
            "head_commit": { "id": after, "message": message, "author": { "name": "You" } },
            "repository": { "name": self.slug, "full_name": format!("local/{}", self.slug), "clone_url": self.url() },
            "pusher": { "name": "you" },
        }))?;
        let mut mac =
            Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("a key of any length is fine")?;
        mac.update(&body);
        let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
        let response = reqwest::Client::new()
            .post(format!("{api_url}/api/v1/webhooks/github"))
            .header("content-type", "application/json")
            .header("x-github-event", "push")
            .header("x-github-delivery", DeploymentId::generate().to_string())
            .header("x-hub-signature-256", format!("sha256={signature}"))
            .body(body)
            .send()
            .await?;
        let answer: WebhookAnswer = response.error_for_status()?.json().await?;
        answer.deployments.first().copied().context("the push led to no deployment")
    }

    /// Waits for the deployment and prints what became of it, with the parts of its time.
    async fn show(&self, api: &ApiClient, id: DeploymentId, pushed: Instant) -> anyhow::Result<()> {
        println!("Deployment {id}: building…");
        let deadline = pushed + LIVE_WITHIN;
        let deployment = loop {
            // An api that is busy or restarting is asked again.
            if let Ok(deployment) = api.get_deployment(&self.slug, id).await
                && deployment.status.is_final()
            {
                break deployment;
            }
            if Instant::now() > deadline {
                bail!("deployment {id} has not ended within {} s", LIVE_WITHIN.as_secs());
            }
            tokio::time::sleep(ASK_EVERY).await;
        };
        if deployment.status != DeploymentStatus::Live {
            bail!("deployment {id}: {}", describe_failure(&deployment));
        }
        let url = deployment.alias_url.clone();
        super::ready::wait_for_site(&url).await?;
        println!("{url}  live {:.1} s after the push", pushed.elapsed().as_secs_f64());
        println!("  {}", describe_times(&deployment));
        println!("  Its repository is {}: clone it, change it, push it.", self.url());
        Ok(())
    }
}

fn describe_failure(deployment: &Deployment) -> String {
    let Some(failure) = &deployment.failure else {
        return format!("{:?}", deployment.status).to_lowercase();
    };
    let mut text = format!("{} failed: {}", failure.step.as_str(), failure.reason);
    for line in &failure.log_tail {
        text.push_str("\n  | ");
        text.push_str(line);
    }
    text
}

fn describe_times(deployment: &Deployment) -> String {
    let parts: Vec<String> = deployment
        .timings
        .iter()
        .map(|timing| {
            format!("{} {}.{:02} s", timing.step.as_str(), timing.millis / 1000, timing.millis % 1000 / 10)
        })
        .collect();
    parts.join(" · ")
}

/// The port of the last time, so that clones keep working; another one when it is taken.
async fn bind(dir: &Path) -> anyhow::Result<TcpListener> {
    let file = dir.join("port");
    let last: Option<u16> = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    let listener = match last {
        Some(port) => match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        },
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
    };
    std::fs::write(&file, listener.local_addr()?.port().to_string())?;
    Ok(listener)
}

/// Runs git without the person's own configuration.
async fn run_git(dir: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .current_dir(dir)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "You")
        .env("GIT_AUTHOR_EMAIL", "you@localhost")
        .env("GIT_COMMITTER_NAME", "You")
        .env("GIT_COMMITTER_EMAIL", "you@localhost")
        .output()
        .await
        .context("starting git; is it installed?")?;
    if !output.status.success() {
        bail!("git {}: {}", args.first().unwrap_or(&""), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What belongs to the project: not what its own builds left there.
fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    let wanted = |entry: &walkdir::DirEntry| {
        !matches!(entry.file_name().to_str(), Some("node_modules" | "dist" | ".git"))
    };
    for entry in walkdir::WalkDir::new(from).min_depth(1).into_iter().filter_entry(wanted) {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
