//! Brings a database from any earlier release to this one.

use anyhow::Context;
use tokio_postgres::NoTls;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Two apis that start at once must not both migrate; any constant unlike the others will do.
const MIGRATION_LOCK: i64 = 7_024_511;

/// Applies what is missing; several at once wait for each other.
pub async fn run(config: &tokio_postgres::Config) -> anyhow::Result<()> {
    let (mut client, connection) = config.connect(NoTls).await.context("connecting to Postgres")?;
    let connection = tokio::spawn(connection);
    client.execute("select pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    let report = embedded::migrations::runner().run_async(&mut client).await?;
    for migration in report.applied_migrations() {
        tracing::info!("Applied migration {migration}");
    }
    // The lock ends with the session.
    drop(client);
    connection.await.context("closing the connection")??;
    Ok(())
}
