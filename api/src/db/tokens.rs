//! Bearer tokens, by their hash.

use loggia_types::api::TokenScope;
use loggia_types::{ApiTokenId, OrganizationId, ProjectId, UserId};

use super::{DbError, GenericClient, optional_text, statements, text};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    User,
    Builder,
    Edge,
}

impl TokenKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Builder => "builder",
            Self::Edge => "edge",
        }
    }
}

impl std::str::FromStr for TokenKind {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "user" => Ok(Self::User),
            "builder" => Ok(Self::Builder),
            "edge" => Ok(Self::Edge),
            _ => Err("not a kind of token"),
        }
    }
}

/// A token that somebody showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenRow {
    pub(crate) id: ApiTokenId,
    pub(crate) kind: TokenKind,
    pub(crate) scope: TokenScope,
    pub(crate) user_id: Option<UserId>,
    pub(crate) is_operator: bool,
    pub(crate) organization_id: Option<OrganizationId>,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) has_expired: bool,
    /// Nobody wrote down that it is used for a while.
    pub(crate) is_used_again: bool,
}

statements! {
    FIND = "
        select t.api_token_id, t.kind, t.scope, t.user_id, coalesce(u.is_operator, false) as is_operator,
               t.organization_id, t.project_id,
               coalesce(t.expires_at <= now(), false) as has_expired,
               coalesce(t.last_used_at < now() - interval '1 minute', true) as is_used_again
        from api_tokens t left join users u on u.user_id = t.user_id
        where t.token_hash = $1 and u.disabled_at is null";

    TOUCH = "update api_tokens set last_used_at = now() where api_token_id = $1";

    ENSURE = "
        insert into api_tokens (api_token_id, token_hash, kind, name) values ($1, $2, $3, $4)
        on conflict on constraint api_tokens_hash_is_unique do nothing";

    /// A configured token that was changed leaves no old one behind.
    DROP_OTHERS = "delete from api_tokens where name = $1 and kind = $2 and token_hash <> $3";
}

pub(crate) async fn find(db: &impl GenericClient, hash: &[u8]) -> Result<Option<TokenRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND).await?, &[&hash]).await?;
    row.map(|row| {
        Ok(TokenRow {
            id: text(&row, "api_token_id")?,
            kind: text(&row, "kind")?,
            scope: text(&row, "scope")?,
            user_id: optional_text(&row, "user_id")?,
            is_operator: row.try_get("is_operator")?,
            organization_id: optional_text(&row, "organization_id")?,
            project_id: optional_text(&row, "project_id")?,
            has_expired: row.try_get("has_expired")?,
            is_used_again: row.try_get("is_used_again")?,
        })
    })
    .transpose()
}

/// Writes down that a token was used now.
pub(crate) async fn touch(db: &impl GenericClient, id: ApiTokenId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(TOUCH).await?, &[&id.as_str()]).await?;
    Ok(())
}

/// Makes exactly this token the one of its name.
pub(crate) async fn ensure(
    db: &impl GenericClient,
    id: ApiTokenId,
    hash: &[u8],
    kind: TokenKind,
    name: &str,
) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DROP_OTHERS).await?, &[&name, &kind.as_str(), &hash]).await?;
    db.execute(&db.prepare_cached(ENSURE).await?, &[&id.as_str(), &hash, &kind.as_str(), &name]).await?;
    Ok(())
}
