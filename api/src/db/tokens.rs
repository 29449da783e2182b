//! Bearer tokens, by their hash.

use loggia_types::api::{ApiToken, TokenScope};
use loggia_types::{ApiTokenId, OrganizationId, ProjectId, Timestamp, UserId};
use tokio_postgres::types::ToSql;

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

    INSERT = "
        insert into api_tokens (api_token_id, token_hash, kind, name, scope, user_id, organization_id, project_id,
                                hint, expires_at)
        values ($1, $2, 'user', $3, $4, $5, $6, $7, $8, now() + make_interval(days => $9))";

    LIST_OF_USER = "
        select t.api_token_id, t.name, t.scope, o.slug as organization, p.slug as project, t.hint, t.created_at,
               t.expires_at, t.last_used_at
        from api_tokens t
        left join organizations o on o.organization_id = t.organization_id
        left join projects p on p.project_id = t.project_id
        where t.user_id = $1 and ($2::text is null or t.api_token_id = $2)
        order by t.api_token_id desc";

    DELETE_OF_USER = "delete from api_tokens where user_id = $1 and api_token_id = $2 returning name";

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

#[derive(Debug)]
pub(crate) struct NewToken<'a> {
    pub(crate) id: ApiTokenId,
    pub(crate) hash: &'a [u8],
    pub(crate) name: &'a str,
    pub(crate) scope: TokenScope,
    pub(crate) user_id: UserId,
    pub(crate) organization_id: Option<OrganizationId>,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) hint: &'a str,
    /// None: it never expires.
    pub(crate) days: Option<i32>,
}

pub(crate) async fn insert(db: &impl GenericClient, new: &NewToken<'_>) -> Result<(), DbError> {
    let parameters: [&(dyn ToSql + Sync); 9] = [
        &new.id.as_str(),
        &new.hash,
        &new.name,
        &new.scope.as_str(),
        &new.user_id.as_str(),
        &new.organization_id.as_ref().map(OrganizationId::as_str),
        &new.project_id.as_ref().map(ProjectId::as_str),
        &new.hint,
        &new.days,
    ];
    db.execute(&db.prepare_cached(INSERT).await?, &parameters).await?;
    Ok(())
}

/// A person's tokens, the newest first, or one of them.
pub(crate) async fn list_of_user(
    db: &impl GenericClient,
    user: UserId,
    id: Option<ApiTokenId>,
) -> Result<Vec<ApiToken>, DbError> {
    let id = id.as_ref().map(ApiTokenId::as_str);
    let rows = db.query(&db.prepare_cached(LIST_OF_USER).await?, &[&user.as_str(), &id]).await?;
    let tokens = rows.iter().map(|row| {
        Ok(ApiToken {
            id: text(row, "api_token_id")?,
            name: row.try_get("name")?,
            scope: text(row, "scope")?,
            organization: optional_text(row, "organization")?,
            project: optional_text(row, "project")?,
            hint: row.try_get("hint")?,
            created_at: Timestamp(row.try_get("created_at")?),
            expires_at: row.try_get::<_, Option<_>>("expires_at")?.map(Timestamp),
            last_used_at: row.try_get::<_, Option<_>>("last_used_at")?.map(Timestamp),
        })
    });
    tokens.collect()
}

/// Its name, if the person had it.
pub(crate) async fn delete_of_user(
    db: &impl GenericClient,
    user: UserId,
    id: ApiTokenId,
) -> Result<Option<String>, DbError> {
    let statement = db.prepare_cached(DELETE_OF_USER).await?;
    let row = db.query_opt(&statement, &[&user.as_str(), &id.as_str()]).await?;
    Ok(row.map(|row| row.try_get("name")).transpose()?)
}
