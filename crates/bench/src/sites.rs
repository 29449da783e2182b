//! What is served: real deployments, made the way a build makes them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use loggia_publish::Compressors;
use loggia_publish::complete::complete;
use loggia_publish::sources::Sources;
use loggia_publish::upload::upload_all;
use loggia_storage::publish::write_manifest;
use loggia_types::build::Environment;
use loggia_types::manifest::{Facts, HtmlHandling, NewEntry, NotFound};
use loggia_types::publish::{SiteFile, plan};
use loggia_types::route::{Route, ServeSettings, SurrogateKeys};
use loggia_types::rules::Dialect;
use loggia_types::{
    ContentHash, DeploymentId, DeploymentRef, EventPosition, FolderRef, ProjectId, SitePath, Timestamp,
};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::options::{Options, Scale};
use crate::world::World;

/// Random bytes in a font: nobody compresses it, so all contenders send the same.
pub(crate) const FILE: &str = "/assets/file.woff2";
pub(crate) const FILE_BYTES: u64 = 10 * 1024;
pub(crate) const LARGE: &str = "/assets/large.woff2";
pub(crate) const LARGE_BYTES: u64 = 1 << 20;
pub(crate) const HUGE: &str = "/huge.bin";
pub(crate) const SHELL_BYTES: u64 = 4 * 1024;

pub(crate) const HOT: &str = "hot.localhost";
pub(crate) const SPA: &str = "spa.localhost";
pub(crate) const RULES: &str = "rules.localhost";
pub(crate) const ONE_RULE: &str = "one-rule.localhost";
/// Differ in the number of their files and in nothing else.
pub(crate) const FEW_FILES: &str = "few-files.localhost";
pub(crate) const MANY_FILES: &str = "many-files.localhost";
pub(crate) const HUGE_HOST: &str = "huge.localhost";
pub(crate) const COLD: &str = "cold.localhost";

pub(crate) const STATIC_REDIRECTS: usize = 5_000;
const DYNAMIC_REDIRECTS: usize = 500;
const HEADER_BLOCKS: usize = 500;

/// Deployments under way at once; each uploads with more.
const PUBLISHED_AT_ONCE: usize = 8;

/// A path of the site and the file that holds its content.
pub(crate) type Files = Vec<(String, PathBuf)>;

#[derive(Debug)]
pub(crate) struct Sites {
    /// One folder for each site, also what file servers serve.
    dir: PathBuf,
    /// Where each hostname's objects lie in the bucket.
    prefixes: HashMap<String, String>,
    pub hosts: Vec<String>,
    /// Distinct objects of [`COLD`].
    pub cold: usize,
}

impl Sites {
    pub(crate) async fn publish(
        dir: &Path,
        world: &World,
        options: &Options,
        scale: &Scale,
    ) -> anyhow::Result<Self> {
        // Two rows ask for cold objects, which are cold only once.
        let cold = scale.cold_per_turn * options.rounds * 2;
        let hosts: Vec<String> = (0..scale.hosts).map(|n| format!("host-{n}.localhost")).collect();
        let mut sites = Self { dir: dir.join("sites"), prefixes: HashMap::new(), hosts, cold };
        let mut random = SmallRng::seed_from_u64(1);
        let mut wanted = vec![
            (HOT.to_owned(), sites.hot(&mut random)?),
            (SPA.to_owned(), sites.spa()?),
            (RULES.to_owned(), sites.rules(&mut random)?),
            (ONE_RULE.to_owned(), sites.one_rule(&mut random)?),
            (FEW_FILES.to_owned(), sites.files(FEW_FILES, &mut random, 10)?),
            (MANY_FILES.to_owned(), sites.files(MANY_FILES, &mut random, scale.files)?),
            (HUGE_HOST.to_owned(), sites.huge(scale.huge_bytes)?),
            (COLD.to_owned(), sites.cold_objects(&mut random)?),
        ];
        for host in &sites.hosts {
            wanted.push((host.clone(), sites.simple(host, &mut random)?));
        }
        let numbered = wanted.into_iter().zip(1..);
        let publish = |((host, files), number): ((String, Files), u64)| {
            let folder = sites.folder(&host);
            async move {
                let prefix = publish(world, number, &host, &folder, files).await;
                prefix.with_context(|| format!("publishing {host}")).map(|prefix| (host, prefix))
            }
        };
        let published = stream::iter(numbered).map(publish).buffer_unordered(PUBLISHED_AT_ONCE);
        sites.prefixes = published.try_collect().await?;
        Ok(sites)
    }

    /// What a file server has as its root.
    pub(crate) fn folder(&self, host: &str) -> PathBuf {
        self.dir.join(host)
    }

    /// Of the keys of a hostname's files, without a slash at the end.
    pub(crate) fn prefix(&self, host: &str) -> anyhow::Result<&str> {
        self.prefixes.get(host).map(String::as_str).with_context(|| format!("{host} was not published"))
    }

    /// The path of redirect rule `n` and where it leads. Short, since 5,000 of them have to fit into 64 KiB.
    pub(crate) fn redirect(n: usize) -> (String, String) {
        (format!("/r{n}"), format!("/{n}"))
    }

    /// Ten files with some rules, as small sites have.
    fn hot(&self, random: &mut SmallRng) -> anyhow::Result<Files> {
        let mut site = self.new_site(HOT)?;
        site.write(FILE, &noise(random, FILE_BYTES))?;
        site.write(LARGE, &noise(random, LARGE_BYTES))?;
        for n in 0..6 {
            site.write(&format!("/page-{n}.html"), page(n, SHELL_BYTES).as_bytes())?;
        }
        site.write("/_headers", b"/assets/*\n  Cache-Control: public, max-age=31536000, immutable\n")?;
        site.write("/_redirects", b"/old /page-1 301\n/blog/* /news/:splat 302\n")?;
        Ok(site.files)
    }

    fn spa(&self) -> anyhow::Result<Files> {
        let mut site = self.new_site(SPA)?;
        site.write("/index.html", page(0, SHELL_BYTES).as_bytes())?;
        Ok(site.files)
    }

    /// As many rules as a site may have.
    fn rules(&self, random: &mut SmallRng) -> anyhow::Result<Files> {
        let mut site = self.new_site(RULES)?;
        let (mut redirects, mut settings, mut headers) = (String::new(), String::new(), String::new());
        for n in 0..STATIC_REDIRECTS {
            let (from, to) = Self::redirect(n);
            writeln!(redirects, "{from} {to}")?;
        }
        for n in 0..DYNAMIC_REDIRECTS {
            writeln!(
                settings,
                "[[redirects]]\nfrom = \"/moved/{n}/*\"\nto = \"/to/{n}/:splat\"\nstatus = 301"
            )?;
        }
        for n in 0..HEADER_BLOCKS {
            writeln!(headers, "/section-{n}/*\n  X-Section: {n}")?;
        }
        site.write(FILE, &noise(random, FILE_BYTES))?;
        site.write("/_redirects", redirects.as_bytes())?;
        site.write("/loggia.toml", settings.as_bytes())?;
        site.write("/_headers", headers.as_bytes())?;
        Ok(site.files)
    }

    fn one_rule(&self, random: &mut SmallRng) -> anyhow::Result<Files> {
        let mut site = self.new_site(ONE_RULE)?;
        let (from, to) = Self::redirect(STATIC_REDIRECTS - 1);
        site.write(FILE, &noise(random, FILE_BYTES))?;
        site.write("/_redirects", format!("{from} {to}\n").as_bytes())?;
        Ok(site.files)
    }

    /// Many paths of one content: what they cost is the manifest's to show, not the bucket's.
    fn files(&self, host: &str, random: &mut SmallRng, files: usize) -> anyhow::Result<Files> {
        let mut site = self.new_site(host)?;
        site.write(FILE, &noise(random, FILE_BYTES))?;
        let content = self.folder(host).join(&FILE[1..]);
        site.files.extend((1..files).map(|n| (format!("/docs/{}/page-{n}.woff2", n % 100), content.clone())));
        Ok(site.files)
    }

    /// A hole: reading it costs what reading any cached file costs.
    fn huge(&self, bytes: u64) -> anyhow::Result<Files> {
        let mut site = self.new_site(HUGE_HOST)?;
        site.write(HUGE, b"")?;
        fs::File::options().write(true).open(self.folder(HUGE_HOST).join(&HUGE[1..]))?.set_len(bytes)?;
        Ok(site.files)
    }

    fn cold_objects(&self, random: &mut SmallRng) -> anyhow::Result<Files> {
        let mut site = self.new_site(COLD)?;
        site.write(FILE, &noise(random, FILE_BYTES))?;
        for n in 0..self.cold {
            site.write(&Self::cold_path(&n.to_string()), &noise(random, FILE_BYTES))?;
        }
        Ok(site.files)
    }

    pub(crate) fn cold_path(n: &str) -> String {
        format!("/cold/{n}.woff2")
    }

    fn simple(&self, host: &str, random: &mut SmallRng) -> anyhow::Result<Files> {
        let mut site = self.new_site(host)?;
        site.write(FILE, &noise(random, FILE_BYTES))?;
        Ok(site.files)
    }

    fn new_site(&self, host: &str) -> anyhow::Result<NewSite> {
        let dir = self.folder(host);
        fs::create_dir_all(&dir)?;
        Ok(NewSite { dir, files: Vec::new() })
    }
}

struct NewSite {
    dir: PathBuf,
    files: Files,
}

impl NewSite {
    fn write(&mut self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        let file = self.dir.join(path.trim_start_matches('/'));
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&file, content)?;
        self.files.push((path.to_owned(), file));
        Ok(())
    }
}

/// Gives the prefix of its objects' keys.
pub(crate) async fn publish(
    world: &World,
    number: u64,
    host: &str,
    folder: &Path,
    files: Files,
) -> anyhow::Result<String> {
    let (project_id, deployment_id) = (ProjectId::from_parts(number, 1), DeploymentId::from_parts(number, 1));
    let files = tokio::task::spawn_blocking(move || hashed(files)).await??;
    let sources: HashMap<SitePath, PathBuf> =
        files.iter().map(|(file, source)| (file.path.clone(), source.clone())).collect();
    let files = files.into_iter().map(|(file, _)| file).collect();
    let mut plan = plan(files, FolderRef::of_attempt(deployment_id, 1), None)?;
    let locate = |entry: &NewEntry| sources.get(&entry.path).cloned().unwrap_or_default();
    upload_all(&world.store, &Compressors::default(), project_id, &mut plan, locate, |_| {}).await?;
    let rules = Sources::read(folder, &[])?.compile()?;
    let deployment = DeploymentRef { project_id, deployment_id };
    let manifest = complete(facts(deployment), rules, plan.entries, None, Timestamp::now());
    write_manifest(&world.store, manifest).await?;
    world.set_route(&route(host, deployment)?).await?;
    Ok(format!("{project_id}/{deployment_id}"))
}

fn hashed(files: Files) -> anyhow::Result<Vec<(SiteFile, PathBuf)>> {
    let mut known: HashMap<PathBuf, (ContentHash, u64)> = HashMap::new();
    let mut hashed = Vec::with_capacity(files.len());
    for (path, source) in files {
        let (hash, size) = match known.get(&source) {
            Some(found) => *found,
            None => {
                let content = fs::read(&source)?;
                *known.entry(source.clone()).or_insert((ContentHash::of(&content), content.len() as u64))
            }
        };
        hashed.push((SiteFile { path: path.trim_start_matches('/').parse()?, hash, size }, source));
    }
    Ok(hashed)
}

fn facts(deployment: DeploymentRef) -> Facts {
    Facts {
        deployment,
        created_at: Timestamp::now(),
        commit: None,
        branch: None,
        framework: None,
        dialect: Dialect::default(),
        html_handling: HtmlHandling::default(),
        not_found: NotFound::Auto,
        permanent: false,
        problems: Vec::new(),
    }
}

pub(crate) fn route(host: &str, deployment: DeploymentRef) -> anyhow::Result<Route> {
    Ok(Route {
        hostname: host.parse()?,
        project_id: deployment.project_id,
        slug: host.trim_end_matches(".localhost").parse()?,
        deployment_id: Some(deployment.deployment_id),
        environment: Environment::Production,
        indexable: true,
        serve: ServeSettings::default(),
        surrogate_keys: SurrogateKeys::OfProduction,
        redirect: None,
        version: EventPosition(1),
    })
}

fn noise(random: &mut SmallRng, bytes: u64) -> Vec<u8> {
    (0..bytes).map(|_| random.random()).collect()
}

/// A page of a given length.
fn page(n: u64, bytes: u64) -> String {
    let start = format!("<!doctype html><title>Page {n}</title><div id=app></div>\n");
    let line = "<p>A paragraph of a page that is as long as others are.</p>\n";
    let mut page = start + &line.repeat(usize::try_from(bytes).unwrap_or(0) / line.len());
    page.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
    page.extend(std::iter::repeat_n(' ', usize::try_from(bytes).unwrap_or(0).saturating_sub(page.len())));
    page
}
