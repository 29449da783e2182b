//! The api over HTTP, against a real Postgres and a real S3 server.
#![allow(clippy::unwrap_used, clippy::large_futures, reason = "a test that fails should say where")]

mod access;
mod browser;
mod builds;
mod cdn;
mod database;
mod deployments;
mod domains;
mod edges;
mod fake_cdn;
mod mail;
mod name_server;
mod people;
mod platform;
mod projects;
mod purges;
mod smtp_server;
mod teams;
mod variables;
mod walk;
mod webhooks;
mod world;

async fn migrate_for_tests(config: &tokio_postgres::Config) {
    loggia_api::migrate(config).await.unwrap();
}
