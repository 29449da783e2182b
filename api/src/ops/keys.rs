//! The keys that seal secrets: which are in use, and sealing anew with the one that is used now.

use std::time::Duration;

use loggia_types::api::{KeyRotation, SecretsKey};
use tokio::time::Instant;

use crate::app::App;
use crate::db::sealed::{self, BEGINNING, SealedTable};
use crate::db::{DbError, GenericClient};
use crate::error::ApiError;

/// Locked at one time: whoever sets one of these variables meanwhile waits some 50 ms.
const BATCH: i64 = 100;
/// Well within the time of a request. The caller calls again.
const WORK_FOR: Duration = Duration::from_secs(5);

/// The keys of the ring, the active one first, then those that are used and missing.
pub(crate) async fn list(app: &App, db: &impl GenericClient) -> Result<Vec<SecretsKey>, DbError> {
    let used = sealed::count(db).await?;
    let active = app.vault.active();
    let count = |id: &str| used.iter().find(|(key, _)| key == id).map_or(0, |(_, secrets)| *secrets);
    let of_ring = app.vault.key_ids().map(|id| SecretsKey {
        id: id.to_owned(),
        active: id == active,
        known: true,
        secrets: count(id),
    });
    let mut keys: Vec<SecretsKey> = of_ring.collect();
    for (id, secrets) in &used {
        if !keys.iter().any(|key| key.id == *id) {
            keys.push(SecretsKey { id: id.clone(), active: false, known: false, secrets: *secrets });
        }
    }
    keys.sort_by_key(|key| (!key.active, !key.known));
    Ok(keys)
}

/// Seals what is sealed with other keys anew, a batch at a time, for some seconds. What is done is done, whenever this
/// is stopped; while it goes on everything can be read and set.
pub(crate) async fn rotate(app: &App) -> Result<KeyRotation, ApiError> {
    let active = app.vault.active();
    let old: Vec<&str> = app.vault.key_ids().filter(|id| *id != active).collect();
    let stop_at = Instant::now() + WORK_FOR;
    let (mut resealed, mut broken) = (0, 0);
    for table in SealedTable::ALL {
        let mut after = BEGINNING.to_owned();
        while Instant::now() < stop_at {
            let batch = reseal_batch(app, table, &old, &after).await?;
            resealed += batch.resealed;
            broken += batch.broken;
            let Some(last) = batch.last else { break };
            after = last;
        }
    }
    let keys = list(app, &app.db().await?).await?;
    let sum = |is_known: bool| -> u64 {
        keys.iter().filter(|key| !key.active && key.known == is_known).map(|key| key.secrets).sum()
    };
    Ok(KeyRotation {
        active: active.to_owned(),
        resealed,
        remaining: sum(true).saturating_sub(broken),
        unreadable: sum(false) + broken,
    })
}

struct Batch {
    resealed: u64,
    broken: u64,
    /// Where it ended; `None` after the last row.
    last: Option<String>,
}

async fn reseal_batch(app: &App, table: SealedTable, old: &[&str], after: &str) -> Result<Batch, ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    let rows = sealed::lock(&transaction, table, old, after, BATCH).await?;
    let mut batch = Batch { resealed: 0, broken: 0, last: rows.last().map(|row| row.position.clone()) };
    for row in rows {
        match app.vault.open(&row.place, &row.secret.key_id, &row.secret.bytes) {
            Ok(secret) => {
                let sealed = app.vault.seal(&row.place, &secret);
                sealed::reseal(&transaction, table, &row.position, &sealed).await?;
                batch.resealed += 1;
            }
            Err(error) => {
                let (table, place) = (table.name(), row.place);
                tracing::error!(table, place, %error, "The secret «{place}» in {table} cannot be opened: {error}");
                batch.broken += 1;
            }
        }
    }
    transaction.commit().await?;
    Ok(batch)
}

/// At the start: a key that was forgotten is noticed before somebody needs what it seals.
pub(crate) async fn report_missing(app: &App) -> Result<(), DbError> {
    for key in list(app, &app.db().await?).await?.into_iter().filter(|key| !key.known) {
        let (id, secrets) = (&key.id, key.secrets);
        tracing::error!(
            key = id,
            secrets,
            "{secrets} secrets are sealed with the key {id}, which is not in LOGGIA_SECRETS_KEYS: they cannot be read until it \
             is put back, behind the one that is used now"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use loggia_types::{OrganizationId, ProjectId, UserId};

    use super::*;
    use crate::db::variables::{self, Owner, Stored};
    use crate::db::{self, two_factors};
    use crate::ops;
    use crate::ops::second_factor;
    use crate::ops::variables::Setting;
    use crate::test_database::TestDatabase;
    use crate::vault::Vault;

    /// The database and the code name a secret's place alike; otherwise a rotation could open nothing.
    #[tokio::test]
    async fn what_is_sealed_by_the_code_opens_at_the_place_that_the_database_names() {
        let database = TestDatabase::create().await;
        let pool = db::pool(&database.config, 1);
        let client = pool.get().await.expect("a connection");
        let vault = Vault::new(format!("k:{}", "1".repeat(64)).parse().expect("a ring"));
        let (organization, project, user) =
            (OrganizationId::from_parts(1, 1), ProjectId::from_parts(1, 2), UserId::from_parts(1, 3));
        let rows = format!(
            "insert into organizations (organization_id, slug, name) values ('{organization}', 'a', 'A');
             insert into projects (project_id, organization_id, slug, name, webhook_secret)
                 values ('{project}', '{organization}', 's', 'S', 'x');
             insert into users (user_id, email) values ('{user}', 'a@example.org')"
        );
        client.batch_execute(&rows).await.expect("rows");
        for owner in [Owner::Platform, Owner::Organization(organization), Owner::Project(project)] {
            for context in ["all", "branch:a/b_c%"] {
                let context = context.parse().expect("a context");
                let setting = Setting { owner, context: &context, by: None };
                let (name, value) = ("NAME".parse().expect("a name"), "secret".parse().expect("a value"));
                ops::variables::set(&vault, &client, setting, &name, value, true).await.expect("sets");
                let row = variables::find(&client, owner, &context, &name).await.expect("reads");
                assert!(matches!(row.expect("it is there").stored, Stored::Secret(_)));
            }
        }
        let sealed = second_factor::seal(&vault, user, b"secret");
        assert!(two_factors::begin(&client, user, &sealed).await.expect("begins"));
        let mut opened = Vec::new();
        for table in SealedTable::ALL {
            for row in sealed::lock(&client, table, &["k"], BEGINNING, 100).await.expect("reads") {
                let secret = vault.open(&row.place, &row.secret.key_id, &row.secret.bytes);
                assert_eq!(secret.as_deref(), Ok(b"secret".as_slice()), "{}", row.place);
                opened.push(row.place);
            }
        }
        assert_eq!(opened.len(), 7, "{opened:?}");
        assert_eq!(sealed::count(&client).await.expect("counts"), [("k".to_owned(), 7)]);
    }
}
