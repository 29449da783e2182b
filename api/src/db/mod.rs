//! Postgres: one function per statement, the statement right above its function.
//!
//! Invariants live in `schema.sql` first. A function returns an `Option` for «not found»; what a broken
//! constraint means is said by the function that can break it.

pub(crate) mod aliases;
pub(crate) mod audit_log;
pub(crate) mod builds;
pub(crate) mod cdn_hooks;
pub(crate) mod deliveries;
pub(crate) mod deployments;
pub(crate) mod device_codes;
pub(crate) mod domains;
pub(crate) mod events;
pub(crate) mod failed_attempts;
pub(crate) mod idempotent_calls;
pub(crate) mod invitations;
pub(crate) mod log_lines;
pub(crate) mod mail_preferences;
pub(crate) mod mails;
pub(crate) mod members;
pub(crate) mod one_time_tokens;
pub(crate) mod organizations;
pub(crate) mod projects;
pub(crate) mod routes;
pub(crate) mod sealed;
pub(crate) mod sessions;
pub(crate) mod state;
pub(crate) mod tokens;
pub(crate) mod two_factors;
pub(crate) mod uploads;
pub(crate) mod users;
pub(crate) mod variables;

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::{Config, NoTls, Row};

pub(crate) use deadpool_postgres::GenericClient;

/// Declares the statements of a module, and lists them so that a test can prepare each one.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:literal;)*) => {
        $($(#[$doc])* const $name: &str = $sql;)*
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use statements;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DbError {
    #[error("no connection to Postgres: {0}")]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error("Postgres: {}", describe(.0))]
    Query(#[from] tokio_postgres::Error),
    /// A value in the database is not what its column promises.
    #[error("column {column} holds {value:?}: {cause}")]
    Decode { column: &'static str, value: String, cause: String },
}

/// The driver's own text hides the server's message in its source.
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => error.to_string(),
    }
}

impl DbError {
    /// The constraint that a statement broke.
    pub(crate) fn constraint(&self) -> Option<&str> {
        match self {
            Self::Query(error) => error.as_db_error()?.constraint(),
            _ => None,
        }
    }
}

/// The slowest statement of ours takes milliseconds; one that takes seconds holds a connection that others need.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two statements of one transaction nothing slow happens, only compressing a page's worth at most.
const IDLE_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a request waits for a connection before it is told that we are overloaded.
const CONNECTION_WAIT: Duration = Duration::from_secs(3);

/// A pool of at most `size` connections.
pub(crate) fn pool(config: &Config, size: usize) -> Pool {
    let mut config = config.clone();
    // A transaction that waits for us holds what others wait for.
    config.options(format!(
        "-c statement_timeout={0} -c lock_timeout={0} -c idle_in_transaction_session_timeout={1}",
        STATEMENT_TIMEOUT.as_millis(),
        IDLE_TRANSACTION_TIMEOUT.as_millis(),
    ));
    config.application_name("loggia-api");
    let manager =
        Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(size)
        .wait_timeout(Some(CONNECTION_WAIT))
        .create_timeout(Some(CONNECTION_WAIT))
        .runtime(Runtime::Tokio1)
        .build()
        .expect("a runtime is given")
}

/// Decodes a text column into one of our types.
pub(crate) fn text<T>(row: &Row, column: &'static str) -> Result<T, DbError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    parse(column, row.try_get::<_, &str>(column)?)
}

/// Decodes a nullable text column.
pub(crate) fn optional_text<T>(row: &Row, column: &'static str) -> Result<Option<T>, DbError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    row.try_get::<_, Option<&str>>(column)?.map(|value| parse(column, value)).transpose()
}

/// Decodes a jsonb column.
pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, DbError> {
    let value: serde_json::Value = row.try_get(column)?;
    let shown = value.to_string();
    serde_json::from_value(value).map_err(|error| DbError::Decode {
        column,
        value: shown,
        cause: error.to_string(),
    })
}

/// Decodes a nullable jsonb column.
pub(crate) fn optional_json<T: serde::de::DeserializeOwned>(
    row: &Row,
    column: &'static str,
) -> Result<Option<T>, DbError> {
    match row.try_get::<_, Option<serde_json::Value>>(column)? {
        None => Ok(None),
        Some(_) => json(row, column).map(Some),
    }
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("our own shapes have only string keys")
}

fn parse<T>(column: &'static str, value: &str) -> Result<T, DbError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    value.parse().map_err(|error: T::Err| DbError::Decode {
        column,
        value: value.to_owned(),
        cause: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
