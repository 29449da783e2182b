//! What every handler shares.

use std::sync::Arc;

use anyhow::Context;
use deadpool_postgres::Pool;
use loggia_publish::Compressors;
use loggia_runtime::Secret;
use loggia_storage::Store;
use loggia_types::ApiTokenId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::access::{self, Accesses};
use crate::config::Config;
use crate::db::tokens::{self, TokenKind};
use crate::db::{self, DbError, GenericClient};
use crate::domains::Platform;
use crate::mail::transport::Transport;
use crate::metrics::Metrics;
use crate::rates::Rates;
use crate::vault::Vault;
use crate::{dns, ops, routes};

/// Cheap to clone: one handle of everything.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) config: Arc<Config>,
    pub(crate) vault: Arc<Vault>,
    /// The way out for mail.
    pub(crate) mail: Arc<Transport>,
    /// Changes whenever a mail was queued.
    pub(crate) mails: watch::Sender<()>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rates: Arc<Rates>,
    /// Who may call which route.
    pub(crate) accesses: Arc<Accesses>,
    pub(crate) pool: Pool,
    pub(crate) store: Store,
    pub(crate) compressors: Compressors,
    pub(crate) resolver: dns::Resolver,
    /// What domains have to lead to.
    pub(crate) platform: Platform,
    /// Changes whenever an event was committed; streams then read the table.
    pub(crate) events: watch::Sender<()>,
    /// Changes whenever a build was queued.
    pub(crate) builds: watch::Sender<()>,
    /// Ends long polls and streams at once when the process stops.
    pub(crate) stop: CancellationToken,
    pub(crate) upload_slots: Arc<tokio::sync::Semaphore>,
}

/// Uploads wait on disk before they go to the store; 64 keep a fast disk and network busy.
const UPLOADS_AT_ONCE: usize = 64;

impl App {
    pub(crate) async fn new(config: Config, stop: CancellationToken) -> anyhow::Result<Self> {
        let pool = db::pool(&config.database, config.database_connections);
        let store = Store::connect(&config.store);
        store.ensure_bucket().await.context("preparing the bucket")?;
        let resolver = dns::Resolver::new(config.dns_resolver).context("setting up the DNS resolver")?;
        let app = Self {
            pool,
            store,
            compressors: Compressors::default(),
            resolver,
            platform: Platform::new(&config),
            events: watch::Sender::new(()),
            builds: watch::Sender::new(()),
            stop,
            upload_slots: Arc::new(tokio::sync::Semaphore::new(UPLOADS_AT_ONCE)),
            vault: Arc::new(Vault::new(config.secrets.clone())),
            mail: Arc::new(Transport::new(&config.mail)?),
            mails: watch::Sender::new(()),
            metrics: Arc::default(),
            rates: Arc::new(Rates::new(&config.rates)),
            accesses: Arc::new(routes::table().accesses()),
            config: Arc::new(config),
        };
        app.bootstrap().await.context("preparing the database")?;
        ops::keys::report_missing(&app).await.context("looking at the keys of secrets")?;
        Ok(app)
    }

    pub(crate) async fn db(&self) -> Result<deadpool_postgres::Client, DbError> {
        Ok(self.pool.get().await?)
    }

    /// The first organization, and the tokens that the configuration names.
    async fn bootstrap(&self) -> Result<(), DbError> {
        let mut client = self.db().await?;
        let transaction = client.transaction().await?;
        db::organizations::ensure_first(&transaction).await?;
        ensure_token(&transaction, &self.config.builder_token, TokenKind::Builder).await?;
        ensure_token(&transaction, &self.config.edge_token, TokenKind::Edge).await?;
        if let Some(token) = &self.config.admin_token {
            ensure_token(&transaction, token, TokenKind::User).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn ensure_token(db: &impl GenericClient, token: &Secret, kind: TokenKind) -> Result<(), DbError> {
    tokens::ensure(db, ApiTokenId::generate(), &access::hash(token.reveal()), kind, "configured").await
}
