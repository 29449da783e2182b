//! Api, builder and edge as separate processes, over a database and a bucket of their own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use loggia_client::ApiClient;
use loggia_storage::embedded::{EmbeddedS3, EmbeddedS3Config};
use loggia_storage::{Store, StoreConfig};
use loggia_types::api::{CreateDeployment, CreateProject, CreatedProject, Deployment};
use loggia_types::publish::SiteFile;
use loggia_types::{ContentHash, DeploymentId, ProjectSlug};
use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::eventually;
use crate::forge::Forge;
use crate::process::{Process, free_port, loggia};
use crate::visitor::Visitor;

const ADMIN: &str = "admin-token-of-the-journey-0123456789";
const BUILDER: &str = "builder-token-of-the-journey-0123456789";
const EDGE: &str = "edge-token-of-the-journey-0123456789";
const SECRET_KEY: &str = "secret-key-of-the-journey";

/// A first install on a slow registry.
pub const BUILD_WITHIN: Duration = Duration::from_secs(300);
pub const SOON: Duration = Duration::from_secs(20);

pub struct Fleet {
    pub dir: TempDir,
    pub api: ApiClient,
    pub api_url: String,
    pub store: Store,
    pub forge: Forge,
    pub visitor: Visitor,
    bucket: EmbeddedS3,
    database_url: String,
    edge_port: u16,
    edge_tls_port: u16,
    settings: Vec<(&'static str, String)>,
}

impl Fleet {
    /// Prepares everything that the processes need; start them one by one.
    pub async fn new() -> Self {
        let server = std::env::var("LOGGIA_TEST_DATABASE_URL").expect(
            "LOGGIA_TEST_DATABASE_URL names a Postgres: run `make test`, or scripts/test-postgres.sh",
        );
        let database_url = create_database(&server).await;
        Self::with_database(database_url).await
    }

    pub async fn with_database(database_url: String) -> Self {
        loggia_runtime::install_crypto_provider();
        let dir = tempfile::Builder::new().prefix("loggia-journey-").tempdir().unwrap();
        // Builds run as another user, who must be able to reach what is theirs.
        open_to_all(dir.path());
        let bucket = EmbeddedS3::start(EmbeddedS3Config {
            root: dir.path().join("objects"),
            listen: ([127, 0, 0, 1], 0).into(),
            access_key: "journey".into(),
            secret_key: SECRET_KEY.into(),
            buckets: vec!["loggia".into()],
        })
        .await
        .unwrap();
        let store = Store::connect(&StoreConfig {
            endpoint_url: Some(bucket.endpoint_url()),
            region: "us-east-1".into(),
            bucket: "loggia".into(),
            access_key: "journey".into(),
            secret_key: SECRET_KEY.into(),
        });
        let (api_port, edge_port) = (free_port(), free_port());
        let api_url = format!("http://127.0.0.1:{api_port}");
        let forge = Forge::start(dir.path()).await;
        Self {
            api: ApiClient::new(&api_url, ADMIN),
            visitor: Visitor::new(edge_port),
            edge_tls_port: free_port(),
            settings: Vec::new(),
            dir,
            api_url,
            store,
            forge,
            bucket,
            database_url,
            edge_port,
        }
    }

    /// Sets a variable for every process started from here on.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.push((name, value.into()));
    }

    pub async fn start_api(&self) -> Process {
        let process = self.start("api", "api");
        let url = format!("{}/readyz", self.api_url);
        let asking = reqwest::Client::new();
        eventually("the api is ready", SOON, || async {
            asking.get(&url).send().await.ok().filter(|response| response.status().is_success())
        })
        .await;
        process
    }

    pub async fn start_edge(&self) -> Process {
        self.start_edge_at(&loggia()).await
    }

    /// Starts an edge by a path to the binary.
    pub async fn start_edge_at(&self, program: &Path) -> Process {
        let process = Process::start("edge", self.dir.path(), program, &["proxy"], &self.environment("edge"));
        eventually("the edge listens", SOON, || self.visitor.try_get("localhost", "/.loggia/health")).await;
        process
    }

    /// Builders differ by name.
    pub fn start_builder(&self, name: &str) -> Process {
        self.start(name, "builder")
    }

    fn start(&self, name: &str, role: &str) -> Process {
        Process::start(name, self.dir.path(), &loggia(), &[role], &self.environment(name))
    }

    fn environment(&self, name: &str) -> Vec<(&'static str, String)> {
        let folder = |name: &str| {
            let folder = self.dir.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            folder.display().to_string()
        };
        let mut env = vec![
            ("DATABASE_URL", self.database_url.clone()),
            ("LOGGIA_API_LISTEN", self.api_url.replace("http://", "")),
            ("LOGGIA_API_PUBLIC_URL", self.api_url.clone()),
            ("LOGGIA_API_URL", self.api_url.clone()),
            ("LOGGIA_API_TEMP_DIR", folder("tmp")),
            ("LOGGIA_EDGE_PUBLIC_URL", format!("http://localhost:{}", self.edge_port)),
            ("LOGGIA_ADMIN_TOKEN", ADMIN.into()),
            ("LOGGIA_SECRETS_KEYS", format!("journey:{}", "5a".repeat(32))),
            ("LOGGIA_API_ADMIN_LISTEN", "127.0.0.1:0".into()),
            ("LOGGIA_BUILDER_TOKEN", BUILDER.into()),
            ("LOGGIA_EDGE_TOKEN", EDGE.into()),
            ("LOGGIA_S3_ENDPOINT", self.bucket.endpoint_url()),
            ("LOGGIA_S3_ACCESS_KEY", "journey".into()),
            ("LOGGIA_S3_SECRET_KEY", SECRET_KEY.into()),
            ("LOGGIA_PROXY_LISTEN", format!("127.0.0.1:{}", self.edge_port)),
            ("LOGGIA_PROXY_ADMIN_LISTEN", "127.0.0.1:0".into()),
            ("LOGGIA_PROXY_STATE_DIR", folder("edge-state")),
            // Builders of one machine keep apart by name.
            ("LOGGIA_BUILDER_NAME", format!("{name}-{}", self.edge_port)),
            ("LOGGIA_BUILDER_WORK_DIR", folder(&format!("{name}-work"))),
            ("LOGGIA_GIT_HTTP_HOSTS", self.forge.authority()),
            ("LOGGIA_BUILD_EXECUTOR", "sandbox".into()),
            ("LOGGIA_BUILD_LEASE_SECS", "3".into()),
        ];
        env.extend(ca_file().map(|file| ("LOGGIA_BUILD_CA_FILE", file)));
        env.extend(self.settings.iter().cloned());
        // The last one of a name counts.
        let mut seen = std::collections::HashSet::new();
        env.reverse();
        env.retain(|(name, _)| seen.insert(*name));
        env
    }

    /// Builds in containers of the engine that `make test` started.
    pub fn use_docker(&mut self) {
        for (setting, variable) in
            [("DOCKER_HOST", "DOCKER_HOST"), ("LOGGIA_BUILD_IMAGE", "LOGGIA_TEST_BUILD_IMAGE")]
        {
            let value = std::env::var(variable).unwrap_or_else(|_| {
                panic!("{variable} is not set: run `make test`, or scripts/test-engine.sh")
            });
            self.set(setting, value);
        }
        self.set("LOGGIA_BUILD_EXECUTOR", "docker");
    }

    /// A project that builds from a repository of the forge of the same name.
    pub async fn project(&self, name: &str) -> CreatedProject {
        self.api
            .create_project(&CreateProject {
                repository_url: Some(self.forge.url(name).parse().unwrap()),
                ..CreateProject::new(slug(name))
            })
            .await
            .unwrap()
    }

    /// Uploads files and lets them go live, in production unless an alias is named.
    pub async fn upload(
        &self,
        project: &CreatedProject,
        files: &[(&str, &str)],
        alias: Option<&str>,
    ) -> DeploymentId {
        let project = &project.project.slug;
        let site_file = |(path, content): &(&str, &str)| SiteFile {
            path: path.parse().unwrap(),
            hash: ContentHash::of(content.as_bytes()),
            size: content.len() as u64,
        };
        let body = CreateDeployment::Upload {
            files: files.iter().map(site_file).collect(),
            alias: alias.map(|alias| alias.parse().unwrap()),
            message: String::new(),
        };
        let started = self.api.start_upload(project, &body).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (_, content) in files {
            let hash = ContentHash::of(content.as_bytes());
            if started.missing.contains(&hash) {
                let file = folder.path().join(hash.to_string());
                std::fs::write(&file, content).unwrap();
                self.api.upload_file(project, started.id, hash, &file).await.unwrap();
            }
        }
        self.api.finish_upload(project, started.id).await.unwrap().id
    }

    /// Pushes a folder's content to a branch and delivers the webhook. Gives the deployment.
    pub async fn push(&self, project: &CreatedProject, folder: &Path, branch: &str) -> DeploymentId {
        let push = self.forge.push(project.project.slug.as_str(), folder, branch);
        let answer = self.forge.deliver(&self.api_url, &project.webhook_secret, &push).await;
        assert_eq!(answer.outcome, "queued");
        answer.deployments[0]
    }

    /// Waits until the deployment has ended.
    pub async fn ended(&self, project: &CreatedProject, id: DeploymentId) -> Deployment {
        eventually("the deployment ends", BUILD_WITHIN, || async {
            let deployment = self.api.get_deployment(&project.project.slug, id).await.ok()?;
            deployment.status.is_final().then_some(deployment)
        })
        .await
    }

    /// The log of a build as text.
    pub async fn log(&self, project: &CreatedProject, id: DeploymentId) -> String {
        let lines = self.api.deployment_log(&project.project.slug, id, 0).await.unwrap();
        lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// How many objects a deployment's own folder has.
    pub async fn objects(&self, project: &CreatedProject, id: DeploymentId) -> Vec<String> {
        self.store.list_keys(&format!("{}/{id}", project.project.id)).await.unwrap()
    }

    /// Changes the database behind everybody's back: time that passes, say.
    pub async fn sql(&self, statements: &str) {
        let config: tokio_postgres::Config = self.database_url.parse().unwrap();
        let (client, connection) = config.connect(NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(statements).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    }

    /// How `psql` and its like reach the database.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    pub fn edge_port(&self) -> u16 {
        self.edge_port
    }

    /// What the command line needs to know about this fleet.
    pub fn command_line(&self) -> [(&'static str, String); 2] {
        [("LOGGIA_API_URL", self.api_url.clone()), ("LOGGIA_TOKEN", ADMIN.to_owned())]
    }

    pub fn edge_tls_port(&self) -> u16 {
        self.edge_tls_port
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("edge-state")
    }
}

pub fn slug(text: &str) -> ProjectSlug {
    text.parse().unwrap()
}

/// Where the network inspects TLS, builds have to trust what this machine trusts.
pub fn ca_file() -> Option<String> {
    ["LOGGIA_BUILD_CA_FILE", "SSL_CERT_FILE"].iter().find_map(|name| std::env::var(name).ok())
}

fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o711)).unwrap();
}

async fn create_database(server: &str) -> String {
    let config: tokio_postgres::Config = server.parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let name = format!("journey_{:016x}", rand::random::<u64>());
    client.batch_execute(&format!("create database {name}")).await.unwrap();
    // The last `dbname` of a connection string counts.
    format!("{server} dbname={name}")
}
