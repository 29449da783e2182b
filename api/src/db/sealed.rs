//! Everything that is sealed, wherever it is: how many secrets each key holds, and the means to seal them anew.

use super::{DbError, GenericClient, statements};
use crate::vault::Sealed;

/// A table with the columns `sealed` and `key_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealedTable {
    EnvironmentVariables,
    TwoFactors,
}

impl SealedTable {
    /// By name.
    pub(crate) const ALL: [Self; 2] = [Self::EnvironmentVariables, Self::TwoFactors];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EnvironmentVariables => "environment_variables",
            Self::TwoFactors => "two_factors",
        }
    }

    fn lock(self) -> &'static str {
        match self {
            Self::EnvironmentVariables => LOCK_VARIABLES,
            Self::TwoFactors => LOCK_TWO_FACTORS,
        }
    }

    fn reseal(self) -> &'static str {
        match self {
            Self::EnvironmentVariables => RESEAL_VARIABLES,
            Self::TwoFactors => RESEAL_TWO_FACTORS,
        }
    }
}

/// A row that is locked until the transaction ends.
#[derive(Debug)]
pub(crate) struct SealedRow {
    /// Where it lies in its table: holds for as long as it is locked.
    pub(crate) position: String,
    /// What the vault was told when it sealed this.
    pub(crate) place: String,
    pub(crate) secret: Sealed,
}

/// Before every row.
pub(crate) const BEGINNING: &str = "(0,0)";

statements! {
    COUNT = "
        select key_id, count(*) as secrets from (
            select key_id from environment_variables where key_id is not null
            union all select key_id from two_factors
        ) sealed group by key_id order by key_id";

    /// The place is spelled as in `ops::variables::place`. A row that somebody changes just now is left for the next pass.
    LOCK_VARIABLES = "
        select ctid::text as position, sealed, key_id,
               'variable ' || case when project_id is not null then 'project ' || project_id
                                   when organization_id is not null then 'organization ' || organization_id
                                   else 'platform -' end || ' ' || name || ' ' || context as place
        from environment_variables
        where key_id = any($1) and ctid > $2::text::tid
        order by ctid limit $3 for update skip locked";

    /// The place is spelled as in `ops::second_factor::place`.
    LOCK_TWO_FACTORS = "
        select ctid::text as position, sealed, key_id, 'two-factor ' || user_id as place
        from two_factors
        where key_id = any($1) and ctid > $2::text::tid
        order by ctid limit $3 for update skip locked";

    RESEAL_VARIABLES = "update environment_variables set sealed = $2, key_id = $3 where ctid = $1::text::tid";

    RESEAL_TWO_FACTORS = "update two_factors set sealed = $2, key_id = $3 where ctid = $1::text::tid";
}

/// How many secrets are sealed with each key that is in use.
pub(crate) async fn count(db: &impl GenericClient) -> Result<Vec<(String, u64)>, DbError> {
    let rows = db.query(&db.prepare_cached(COUNT).await?, &[]).await?;
    let count = |row: &tokio_postgres::Row| {
        let secrets: i64 = row.try_get("secrets")?;
        Ok((row.try_get("key_id")?, u64::try_from(secrets).unwrap_or_default()))
    };
    rows.iter().map(count).collect()
}

/// Locks the next rows behind a position that are sealed with one of these keys.
pub(crate) async fn lock(
    db: &impl GenericClient,
    table: SealedTable,
    keys: &[&str],
    after: &str,
    limit: i64,
) -> Result<Vec<SealedRow>, DbError> {
    let rows = db.query(&db.prepare_cached(table.lock()).await?, &[&keys, &after, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(SealedRow {
                position: row.try_get("position")?,
                place: row.try_get("place")?,
                secret: Sealed { key_id: row.try_get("key_id")?, bytes: row.try_get("sealed")? },
            })
        })
        .collect()
}

/// Only for a row that this transaction locked.
pub(crate) async fn reseal(
    db: &impl GenericClient,
    table: SealedTable,
    position: &str,
    secret: &Sealed,
) -> Result<(), DbError> {
    let statement = db.prepare_cached(table.reseal()).await?;
    db.execute(&statement, &[&position, &secret.bytes, &secret.key_id]).await?;
    Ok(())
}
