//! What a test owns: a database, a bucket, an api, and clients of it.

use std::time::Duration;

use futures::{Stream, StreamExt};
use loggia_api::{CdnConfig, Config, MailConfig, MailWay, RateConfig, SignUpMode};
use loggia_client::{ApiClient, BuilderClient, EdgeClient};
use loggia_runtime::{AdminListen, Secret, TrustedHops};
use loggia_storage::embedded::{EmbeddedS3, EmbeddedS3Config};
use loggia_storage::{Store, StoreConfig};
use loggia_types::api::{CreateProject, CreatedProject, Role, TokenScope};
use loggia_types::build::BuildLimits;
use loggia_types::event::{EdgeEvent, Told};
use loggia_types::{ApiTokenId, OrganizationId, ProjectSlug, UserId};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_util::sync::CancellationToken;

use crate::database::TestDatabase;

pub(crate) const ADMIN: &str = "admin-token-of-the-tests-0123456789";
pub(crate) const SETUP: &str = "setup-token-of-the-tests-0123456789";
pub(crate) const BUILDER: &str = "builder-token-of-the-tests-0123456789";
pub(crate) const EDGE: &str = "edge-token-of-the-tests-0123456789";

pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) api: ApiClient,
    pub(crate) builder: BuilderClient,
    pub(crate) edge: EdgeClient,
    pub(crate) store: Store,
    pub(crate) database: TestDatabase,
    pub(crate) http: reqwest::Client,
    config: Config,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _bucket: EmbeddedS3,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        loggia_runtime::install_crypto_provider();
        let database = TestDatabase::create().await;
        let folder = tempfile::tempdir().unwrap();
        let bucket = EmbeddedS3::start(EmbeddedS3Config {
            root: folder.path().join("objects"),
            listen: ([127, 0, 0, 1], 0).into(),
            access_key: "tests".into(),
            secret_key: "secret-of-the-tests".into(),
            buckets: vec!["loggia".into()],
        })
        .await
        .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let listen = listener.local_addr().unwrap();
        let url = format!("http://{listen}");
        let store = StoreConfig {
            endpoint_url: Some(bucket.endpoint_url()),
            region: "us-east-1".into(),
            bucket: "loggia".into(),
            access_key: "tests".into(),
            secret_key: "secret-of-the-tests".into(),
        };
        let mut config = Config {
            listen,
            public_url: url.clone(),
            database: database.config.clone(),
            database_connections: 8,
            base_domain: "localhost".parse().unwrap(),
            edge_url: "http://localhost:8080".parse().unwrap(),
            store: store.clone(),
            temp_dir: folder.path().to_owned(),
            dns_resolver: None,
            edge_cname: None,
            edge_addresses: Vec::new(),
            build_lease: Duration::from_secs(30),
            build_limits: BuildLimits {
                memory_bytes: 1 << 30,
                cpu_millis: 1000,
                processes: 100,
                total_secs: 60,
            },
            builder_token: Secret::new(BUILDER),
            edge_token: Secret::new(EDGE),
            admin_token: Some(Secret::new(ADMIN)),
            cdn: CdnConfig::default(),
            mail: MailConfig {
                way: MailWay::Folder(folder.path().join("mail")),
                from: "Loggia <loggia@localhost>".parse().unwrap(),
            },
            secrets: format!("tests:{}", "a1".repeat(32)).parse().unwrap(),
            setup_token: Some(Secret::new(SETUP)),
            sign_up: SignUpMode::Invite,
            admin_listen: AdminListen::Off,
            trusted_hops: TrustedHops::default(),
            rates: RateConfig {
                account: "600000/10000".parse().unwrap(),
                address: "600000/10000".parse().unwrap(),
                webhooks: "600000/10000".parse().unwrap(),
            },
        };
        change(&mut config);
        let stop = CancellationToken::new();
        let running = run(listener, &config, &stop);
        let http = reqwest::Client::new();
        // The listener is bound: the first request waits until the api takes it.
        assert!(http.get(format!("{url}/readyz")).send().await.unwrap().status().is_success());
        Self {
            api: ApiClient::new(&url, ADMIN),
            builder: BuilderClient::new(&url, BUILDER),
            edge: EdgeClient::new(&url, EDGE),
            store: Store::connect(&store),
            database,
            http,
            config,
            stop,
            running,
            url,
            _bucket: bucket,
            _folder: folder,
        }
    }

    /// Another process over the same database, as far as one can tell from outside.
    pub(crate) async fn restart(&mut self) {
        self.stop.cancel();
        (&mut self.running).await.unwrap();
        self.stop = CancellationToken::new();
        let listener = TcpListener::bind(self.config.listen).await.unwrap();
        self.running = run(listener, &self.config, &self.stop);
    }

    /// As [`World::restart`], with other settings.
    pub(crate) async fn restart_with(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.restart().await;
    }

    /// One more api over the same database and bucket. It ends with the test.
    pub(crate) async fn start_another(&self) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let config = Config { listen: listener.local_addr().unwrap(), ..self.config.clone() };
        run(listener, &config, &self.stop);
    }

    pub(crate) async fn project(&self, slug: &str) -> CreatedProject {
        self.api.create_project(&new_project(slug)).await.unwrap()
    }

    /// A person with a personal organization, and a token of theirs for everything. No mail, no password.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let user_id = UserId::generate();
        let email = format!("{name}@example.org");
        let client = self.database.connect().await;
        let rows = [
            format!("insert into users (user_id, email, name) values ('{user_id}', '{email}', '{name}')"),
            format!(
                "insert into organizations (organization_id, slug, name, personal_of)
                 values ('{}', '{name}', '{name}', '{user_id}')",
                OrganizationId::generate()
            ),
            format!(
                "insert into members select organization_id, '{user_id}', 'owner' from organizations where slug = '{name}'"
            ),
        ];
        client.batch_execute(&rows.join(";")).await.unwrap();
        let token = self.token(user_id, TokenScope::Admin, "").await;
        Person { user_id, api: ApiClient::new(&self.url, &token), email, token }
    }

    /// Makes a person a member of an organization.
    pub(crate) async fn join(&self, person: &Person, organization: &str, role: Role) {
        let sql = "insert into members select organization_id, $1, $2 from organizations where slug = $3";
        let client = self.database.connect().await;
        let added = client.execute(sql, &[&person.user_id.as_str(), &role.as_str(), &organization]).await;
        assert_eq!(added.unwrap(), 1, "the organization {organization} exists");
    }

    /// One more token; `columns` sets others, e.g. `expires_at = now()`.
    pub(crate) async fn token(&self, user_id: UserId, scope: TokenScope, columns: &str) -> String {
        let token = format!("loggia_user_{:032x}", rand::random::<u128>());
        let id = ApiTokenId::generate();
        let client = self.database.connect().await;
        let sql = "insert into api_tokens (api_token_id, token_hash, kind, name, scope, user_id)
                   values ($1, sha256($2), 'user', 'tests', $3, $4)";
        let parameters: [&(dyn ToSql + Sync); 4] =
            [&id.as_str(), &token.as_bytes(), &scope.as_str(), &user_id.as_str()];
        client.execute(sql, &parameters).await.unwrap();
        if !columns.is_empty() {
            let sql = format!("update api_tokens set {columns} where api_token_id = '{id}'");
            client.batch_execute(&sql).await.unwrap();
        }
        token
    }

    /// One number from the database.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.database.connect().await.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// Somebody who uses the api.
pub(crate) struct Person {
    pub(crate) user_id: UserId,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) api: ApiClient,
}

fn run(listener: TcpListener, config: &Config, stop: &CancellationToken) -> JoinHandle<()> {
    let running = loggia_api::run_on(listener, config.clone(), stop.clone());
    tokio::spawn(async move { running.await.unwrap() })
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn slug(text: &str) -> ProjectSlug {
    text.parse().unwrap()
}

pub(crate) fn new_project(name: &str) -> CreateProject {
    CreateProject {
        repository_url: Some(format!("https://github.com/acme/{name}.git").parse().unwrap()),
        ..CreateProject::new(slug(name))
    }
}

/// `a` becomes a commit id of forty times `a`.
pub(crate) fn sha(digit: char) -> String {
    digit.to_string().repeat(40)
}

/// Only the events of a stream, without what it tells of its position.
pub(crate) fn changes<E>(
    stream: impl Stream<Item = Result<Told, E>>,
) -> impl Stream<Item = Result<EdgeEvent, E>> {
    stream.filter_map(|told| {
        std::future::ready(match told {
            Ok(Told::Event(event)) => Some(Ok(event)),
            Ok(Told::Position(_)) => None,
            Err(error) => Some(Err(error)),
        })
    })
}
