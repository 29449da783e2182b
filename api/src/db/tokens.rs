//! Bearer tokens, by their hash.

use super::{DbError, GenericClient, statements, text};

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

statements! {
    FIND_KIND = "
        select kind from api_tokens where token_hash = $1 and (expires_at is null or expires_at > now())";

    ENSURE = "
        insert into api_tokens (api_token_id, token_hash, kind, name) values ($1, $2, $3, $4)
        on conflict on constraint api_tokens_hash_is_unique do nothing";

    /// A configured token that was changed leaves no old one behind.
    DROP_OTHERS = "delete from api_tokens where name = $1 and kind = $2 and token_hash <> $3";
}

pub(crate) async fn find_kind(db: &impl GenericClient, hash: &[u8]) -> Result<Option<TokenKind>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND_KIND).await?, &[&hash]).await?;
    row.map(|row| text(&row, "kind")).transpose()
}

/// Makes exactly this token the one of its name.
pub(crate) async fn ensure(
    db: &impl GenericClient,
    id: &str,
    hash: &[u8],
    kind: TokenKind,
    name: &str,
) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DROP_OTHERS).await?, &[&name, &kind.as_str(), &hash]).await?;
    db.execute(&db.prepare_cached(ENSURE).await?, &[&id, &hash, &kind.as_str(), &name]).await?;
    Ok(())
}
