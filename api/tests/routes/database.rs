//! A database of its own for every test, cloned from a migrated template.

use tokio_postgres::{Client, Config, NoTls};

/// Dropped with its server; a test never meets another's rows.
pub(crate) struct TestDatabase {
    pub(crate) config: Config,
}

const TEMPLATE_LOCK: i64 = 7_024_512;

impl TestDatabase {
    /// Migrated, empty.
    pub(crate) async fn create() -> Self {
        let server = server();
        let admin = connect(&server).await;
        let template = format!("template_{:08x}", migrations_hash());
        // Tests run in processes of their own; the first one makes the template.
        admin.execute("select pg_advisory_lock($1)", &[&TEMPLATE_LOCK]).await.expect("lock");
        let known =
            admin.query_opt("select from pg_database where datname = $1", &[&template]).await.expect("query");
        if known.is_none() {
            let unfinished = format!("{template}_new");
            admin.batch_execute(&format!("drop database if exists {unfinished}")).await.expect("drop");
            admin.batch_execute(&format!("create database {unfinished}")).await.expect("create");
            let mut config = server.clone();
            crate::migrate_for_tests(config.dbname(&unfinished)).await;
            let rename = format!("alter database {unfinished} rename to {template}");
            admin.batch_execute(&rename).await.expect("rename");
        }
        let database = Self::clone_of(&admin, &server, &template).await;
        admin.execute("select pg_advisory_unlock($1)", &[&TEMPLATE_LOCK]).await.expect("unlock");
        database
    }

    /// Without any table.
    #[allow(dead_code, reason = "used by one of the two test binaries that share this file")]
    pub(crate) async fn create_empty() -> Self {
        let server = server();
        let admin = connect(&server).await;
        Self::clone_of(&admin, &server, "template0").await
    }

    async fn clone_of(admin: &Client, server: &Config, template: &str) -> Self {
        let name = format!("test_{:016x}", rand::random::<u64>());
        admin.batch_execute(&format!("create database {name} template {template}")).await.expect("create");
        let mut config = server.clone();
        config.dbname(&name);
        Self { config }
    }

    pub(crate) async fn connect(&self) -> Client {
        connect(&self.config).await
    }
}

/// In the order in which they run.
pub(crate) fn migrations() -> Vec<std::path::PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let entries = std::fs::read_dir(folder).expect("the migrations");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort_by_key(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let number = name.strip_prefix('V').and_then(|rest| rest.split_once("__")).map(|(number, _)| number);
        number.and_then(|number| number.parse::<u32>().ok()).expect("V<number>__<name>.sql")
    });
    paths
}

/// A template is of one set of migrations.
fn migrations_hash() -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for path in migrations() {
        hasher.update(&std::fs::read(path).expect("a migration"));
    }
    hasher.finalize()
}

fn server() -> Config {
    let url = std::env::var("LOGGIA_TEST_DATABASE_URL")
        .expect("LOGGIA_TEST_DATABASE_URL names a Postgres: run `make test`, or scripts/test-postgres.sh");
    url.parse().expect("LOGGIA_TEST_DATABASE_URL parses")
}

async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("the test Postgres answers");
    tokio::spawn(connection);
    client
}
