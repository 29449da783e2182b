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
use loggia_types::content_hash::ContentHasher;
use loggia_types::publish::SiteFile;
use loggia_types::{ContentHash, DeploymentId, ProjectSlug, SitePath};

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
    #[arg(long, env = "LOGGIA_API_URL", default_value = "http://127.0.0.1:3000")]
    api_url: String,
    #[arg(long, env = "LOGGIA_TOKEN", hide_env_values = true)]
    token: String,
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
    let api = ApiClient::new(&options.api_url, &options.token);
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

/// Every file of the folder that a site may have, hashed. Hidden files stay at home, `.well-known` goes along.
fn read_folder(dir: &Path) -> anyhow::Result<Vec<LocalFile>> {
    if !dir.is_dir() {
        bail!("{} is not a folder; name the one with the built site, for example dist", dir.display());
    }
    let wanted = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !name.starts_with('.') || name == ".well-known"
    };
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().filter_entry(wanted) {
        let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
        if entry.path_is_symlink() {
            eprintln!("skipped, a link: {}", entry.path().display());
        }
        if !entry.file_type().is_file() {
            continue;
        }
        let relative = entry.path().strip_prefix(dir).context("walked out of the folder")?;
        let path = site_path(relative).with_context(|| format!("the file {}", entry.path().display()))?;
        let (hash, size) =
            hash_file(entry.path()).with_context(|| format!("reading {}", entry.path().display()))?;
        files.push(LocalFile { site: SiteFile { path, hash, size }, file: entry.into_path() });
    }
    if files.is_empty() {
        bail!("{} has no files; was the site built?", dir.display());
    }
    Ok(files)
}

fn site_path(relative: &Path) -> anyhow::Result<SitePath> {
    let text = relative.to_str().context("its name is not UTF-8")?;
    Ok(text.parse()?)
}

fn hash_file(file: &Path) -> std::io::Result<(ContentHash, u64)> {
    let mut reader = std::fs::File::open(file)?;
    let mut hasher = ContentHasher::default();
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        let read = std::io::Read::read(&mut reader, &mut buffer)?;
        if read == 0 {
            return Ok((hasher.finish(), size));
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
}

async fn create_project(api: &ApiClient, slug: &ProjectSlug) -> anyhow::Result<()> {
    if api.find_project(slug).await?.is_some() {
        return Ok(());
    }
    let body = CreateProject {
        slug: slug.clone(),
        name: None,
        repository_url: None,
        production_branch: None,
        build: loggia_types::build::BuildSettings::default(),
        not_found: loggia_types::manifest::NotFound::default(),
        webhook_secret: None,
    };
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
        println!("problem: {} {}", problem.file, problem.message);
    }
    println!("live:      {}", deployment.alias_url);
    println!("permanent: {}", deployment.url);
}
