//! Tokens that are good once: links in mails, challenges between a password and its second factor.

use std::time::Duration;

use loggia_types::{EmailAddress, UserId};

use super::{DbError, GenericClient, optional_text, statements};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    PasswordReset,
    EmailChange,
    SignUp,
    SecondFactor,
}

impl Purpose {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 4] =
        [Self::PasswordReset, Self::EmailChange, Self::SignUp, Self::SecondFactor];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailChange => "email_change",
            Self::SignUp => "sign_up",
            Self::SecondFactor => "second_factor",
        }
    }
}

#[derive(Debug)]
pub(crate) struct NewToken<'a> {
    pub(crate) hash: &'a [u8],
    pub(crate) purpose: Purpose,
    pub(crate) user_id: Option<UserId>,
    pub(crate) email: Option<&'a EmailAddress>,
    pub(crate) details: &'a serde_json::Value,
    pub(crate) good_for: Duration,
}

#[derive(Debug)]
pub(crate) struct TokenRow {
    pub(crate) user_id: Option<UserId>,
    pub(crate) email: Option<EmailAddress>,
    pub(crate) details: serde_json::Value,
}

statements! {
    INSERT = "
        insert into one_time_tokens (token_hash, purpose, user_id, email, details, expires_at)
        values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))";

    /// Two at once: the second finds nothing.
    TAKE = "
        delete from one_time_tokens where token_hash = $1 and purpose = $2 and expires_at > now()
        returning user_id, email, details";

    FIND = "
        select user_id, email, details from one_time_tokens
        where token_hash = $1 and purpose = $2 and expires_at > now()";

    DROP_OF_USER = "delete from one_time_tokens where user_id = $1";

    PRUNE = "delete from one_time_tokens where expires_at < now()";
}

pub(crate) async fn insert(db: &impl GenericClient, new: &NewToken<'_>) -> Result<(), DbError> {
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] = [
        &new.hash,
        &new.purpose.as_str(),
        &new.user_id.as_ref().map(UserId::as_str),
        &new.email.map(EmailAddress::as_str),
        new.details,
        &new.good_for.as_secs_f64(),
    ];
    db.execute(&db.prepare_cached(INSERT).await?, &parameters).await?;
    Ok(())
}

/// The token is gone afterwards.
pub(crate) async fn take(
    db: &impl GenericClient,
    hash: &[u8],
    purpose: Purpose,
) -> Result<Option<TokenRow>, DbError> {
    one(db, TAKE, hash, purpose).await
}

/// Without using it up.
pub(crate) async fn find(
    db: &impl GenericClient,
    hash: &[u8],
    purpose: Purpose,
) -> Result<Option<TokenRow>, DbError> {
    one(db, FIND, hash, purpose).await
}

async fn one(
    db: &impl GenericClient,
    sql: &'static str,
    hash: &[u8],
    purpose: Purpose,
) -> Result<Option<TokenRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(sql).await?, &[&hash, &purpose.as_str()]).await?;
    row.map(|row| {
        Ok(TokenRow {
            user_id: optional_text(&row, "user_id")?,
            email: optional_text(&row, "email")?,
            details: row.try_get("details")?,
        })
    })
    .transpose()
}

/// All links that were sent to a person are dead.
pub(crate) async fn drop_of_user(db: &impl GenericClient, user: UserId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DROP_OF_USER).await?, &[&user.as_str()]).await?;
    Ok(())
}

pub(crate) async fn prune(db: &impl GenericClient) -> Result<u64, DbError> {
    Ok(db.execute(&db.prepare_cached(PRUNE).await?, &[]).await?)
}
