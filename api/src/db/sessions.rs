//! Sessions of browsers, by their cookie's hash.

use loggia_types::{SessionId, UserId};

use super::{DbError, GenericClient, statements, text};

#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionRow {
    pub(crate) id: SessionId,
    pub(crate) user_id: UserId,
    pub(crate) is_operator: bool,
}

statements! {
    FIND = "
        select s.session_id, s.user_id, u.is_operator
        from sessions s join users u on u.user_id = s.user_id
        where s.token_hash = $1 and s.expires_at > now() and u.disabled_at is null";
}

pub(crate) async fn find(db: &impl GenericClient, hash: &[u8]) -> Result<Option<SessionRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND).await?, &[&hash]).await?;
    row.map(|row| {
        Ok(SessionRow {
            id: text(&row, "session_id")?,
            user_id: text(&row, "user_id")?,
            is_operator: row.try_get("is_operator")?,
        })
    })
    .transpose()
}
