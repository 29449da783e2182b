//! `loggia deploy DIR`: hash, send what the platform does not have, finish.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use futures::stream::{self, StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use loggia_client::{ApiClient, ClientError};
use loggia_types::alias::AliasName;
use loggia_types::api::{CreateDeployment, CreateProject, Deployment, UploadStarted};
use loggia_types::publish::SiteFile;
use loggia_types::{ContentHash, DeploymentId, ProjectSlug};

use crate::api::Api;
use crate::local_site::{self, Folder};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder with the built site.
    dir: PathBuf,
    /// The project, by its slug.
    #[arg(long)]
    project: ProjectSlug,
    /// Create the project if there is none.
    #[arg(long)]
    create: bool,
    /// Deploy to a preview of this name instead of production.
    #[arg(long)]
    alias: Option<AliasName>,
    /// Shown with the deployment.
    #[arg(long, default_value = "")]
    message: String,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: Api,
}

/// Small files are bound by latency.
const UPLOADS_IN_FLIGHT: usize = 16;
/// A platform that restarts is back within this: 0.5 + 1 + 2 + 4 s.
const TRIES_MAX: u32 = 5;
const RETRY_AFTER: Duration = Duration::from_millis(500);

struct LocalFile {
    site: SiteFile,
    file: PathBuf,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let api = options.api.client()?;
    let dir = options.dir.clone();
    let files = tokio::task::spawn_blocking(move || read_folder(&dir)).await??;
    if options.create {
        create_project(&api, &options.project).await?;
    }
    let started = announce(&api, &options, &files).await?;
    send(&api, &options, &started, &files).await?;
    let deployment = retry(|| api.finish_upload(&options.project, started.id))
        .await
        .context("finishing the deployment")?;
    print(&options, &deployment);
    Ok(())
}

/// Every file of the folder that a site may have, hashed.
fn read_folder(dir: &Path) -> anyhow::Result<Vec<LocalFile>> {
    let folder = Folder::read(dir)?;
    for link in &folder.links {
        eprintln!("skipped, a link: {}", dir.join(link).display());
    }
    if folder.files.is_empty() {
        bail!("{} has no files; was the site built?", dir.display());
    }
    let hashed = folder.files.into_iter().map(|found| {
        let file = dir.join(&found.relative);
        let opened = local_site::open(dir, &found.relative);
        let (hash, size) =
            opened.and_then(local_site::hash).with_context(|| format!("reading {}", file.display()))?;
        Ok(LocalFile { site: SiteFile { path: found.path, hash, size }, file })
    });
    hashed.collect()
}

async fn create_project(api: &ApiClient, slug: &ProjectSlug) -> anyhow::Result<()> {
    if api.find_project(slug).await?.is_some() {
        return Ok(());
    }
    let body = CreateProject::new(slug.clone());
    match api.create_project(&body).await {
        Ok(_) => Ok(()),
        // Somebody was faster: just what was wanted.
        Err(error) if error.code() == Some("slug_taken") => Ok(()),
        Err(error) => Err(error).context("creating the project"),
    }
}

async fn announce(api: &ApiClient, options: &Options, files: &[LocalFile]) -> anyhow::Result<UploadStarted> {
    let body = CreateDeployment::Upload {
        files: files.iter().map(|file| file.site.clone()).collect(),
        alias: options.alias.clone(),
        message: options.message.clone(),
    };
    match api.start_upload(&options.project, &body).await {
        Err(ClientError::Refused { status: 404, .. }) => {
            bail!(
                "there is no project {0}; create it with `loggia deploy … --project {0} --create`",
                options.project
            )
        }
        other => other.context("announcing the files"),
    }
}

async fn send(
    api: &ApiClient,
    options: &Options,
    started: &UploadStarted,
    files: &[LocalFile],
) -> anyhow::Result<()> {
    let by_hash: HashMap<ContentHash, &LocalFile> = files.iter().map(|file| (file.site.hash, file)).collect();
    let missing: Vec<&LocalFile> =
        started.missing.iter().filter_map(|hash| by_hash.get(hash).copied()).collect();
    let progress = progress_bar(options.json, missing.iter().map(|file| file.site.size).sum());
    let uploads =
        missing.into_iter().map(|file| send_one(api, &options.project, started.id, file, &progress));
    stream::iter(uploads).buffer_unordered(UPLOADS_IN_FLIGHT).try_collect::<()>().await?;
    progress.finish_and_clear();
    Ok(())
}

async fn send_one(
    api: &ApiClient,
    project: &ProjectSlug,
    id: DeploymentId,
    file: &LocalFile,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    retry(|| api.upload_file(project, id, file.site.hash, &file.file))
        .await
        .with_context(|| format!("uploading {}", file.site.path))?;
    progress.inc(file.site.size);
    Ok(())
}

/// Repeats a call that may be repeated, while the platform is away.
async fn retry<T, F: Future<Output = Result<T, ClientError>>>(
    call: impl Fn() -> F,
) -> Result<T, ClientError> {
    let mut pause = RETRY_AFTER;
    for _ in 1..TRIES_MAX {
        match call().await {
            Err(error) if error.is_temporary() => tokio::time::sleep(pause).await,
            other => return other,
        }
        pause *= 2;
    }
    call().await
}

fn progress_bar(json: bool, bytes: u64) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "uploading {bar:30} {bytes}/{total_bytes} {bytes_per_sec}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}

fn print(options: &Options, deployment: &Deployment) {
    let counts = deployment.counts.unwrap_or_default();
    if options.json {
        let answer = serde_json::json!({
            "deployment_id": deployment.id,
            "url": deployment.url,
            "alias_url": deployment.alias_url,
            "files": counts.files,
            "uploaded": counts.uploaded,
            "reused": counts.reused,
            "problems": deployment.problems,
        });
        println!("{answer}");
        return;
    }
    println!("{} files, {} uploaded, {} unchanged", counts.files, counts.uploaded, counts.reused);
    for problem in &deployment.problems {
        println!("problem: {problem}");
    }
    println!("live:      {}", deployment.alias_url);
    println!("permanent: {}", deployment.url);
}
