//! Second factors and their recovery codes.

use loggia_types::UserId;

use super::{DbError, GenericClient, statements};
use crate::vault::Sealed;

#[derive(Debug)]
pub(crate) struct TwoFactorRow {
    pub(crate) secret: Sealed,
    pub(crate) is_confirmed: bool,
}

statements! {
    /// Begun anew as often as one likes, until it is confirmed.
    BEGIN = "
        insert into two_factors (user_id, sealed, key_id) values ($1, $2, $3)
        on conflict (user_id) do update
        set sealed = excluded.sealed, key_id = excluded.key_id, last_step = 0, created_at = now()
        where two_factors.confirmed_at is null";

    FIND = "select sealed, key_id, confirmed_at is not null as is_confirmed from two_factors where user_id = $1";

    /// No row: this step, or a later one, was used before.
    USE_STEP = "update two_factors set last_step = $2 where user_id = $1 and last_step < $2";

    CONFIRM = "update two_factors set confirmed_at = now() where user_id = $1 and confirmed_at is null";

    DELETE = "delete from two_factors where user_id = $1";

    DELETE_CODES = "delete from recovery_codes where user_id = $1";

    INSERT_CODES = "insert into recovery_codes (user_id, code_hash) select $1, unnest($2::bytea[])";

    USE_CODE = "delete from recovery_codes where user_id = $1 and code_hash = $2";
}

/// False when there is one in force.
pub(crate) async fn begin(db: &impl GenericClient, user: UserId, secret: &Sealed) -> Result<bool, DbError> {
    let statement = db.prepare_cached(BEGIN).await?;
    Ok(db.execute(&statement, &[&user.as_str(), &secret.bytes, &secret.key_id]).await? == 1)
}

pub(crate) async fn find(db: &impl GenericClient, user: UserId) -> Result<Option<TwoFactorRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND).await?, &[&user.as_str()]).await?;
    row.map(|row| {
        Ok(TwoFactorRow {
            secret: Sealed { key_id: row.try_get("key_id")?, bytes: row.try_get("sealed")? },
            is_confirmed: row.try_get("is_confirmed")?,
        })
    })
    .transpose()
}

/// False when a code of this step, or of a later one, was used before.
pub(crate) async fn use_step(db: &impl GenericClient, user: UserId, step: i64) -> Result<bool, DbError> {
    Ok(db.execute(&db.prepare_cached(USE_STEP).await?, &[&user.as_str(), &step]).await? == 1)
}

/// Puts it into force. False when it is already.
pub(crate) async fn confirm(db: &impl GenericClient, user: UserId) -> Result<bool, DbError> {
    Ok(db.execute(&db.prepare_cached(CONFIRM).await?, &[&user.as_str()]).await? == 1)
}

/// Also the recovery codes. False when there was none.
pub(crate) async fn delete(db: &impl GenericClient, user: UserId) -> Result<bool, DbError> {
    db.execute(&db.prepare_cached(DELETE_CODES).await?, &[&user.as_str()]).await?;
    Ok(db.execute(&db.prepare_cached(DELETE).await?, &[&user.as_str()]).await? == 1)
}

pub(crate) async fn replace_codes(
    db: &impl GenericClient,
    user: UserId,
    hashes: &[Vec<u8>],
) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DELETE_CODES).await?, &[&user.as_str()]).await?;
    db.execute(&db.prepare_cached(INSERT_CODES).await?, &[&user.as_str(), &hashes]).await?;
    Ok(())
}

/// True once for each code.
pub(crate) async fn use_code(db: &impl GenericClient, user: UserId, hash: &[u8]) -> Result<bool, DbError> {
    Ok(db.execute(&db.prepare_cached(USE_CODE).await?, &[&user.as_str(), &hash]).await? == 1)
}
