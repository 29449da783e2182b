//! What people want mail about, and who gets it.

use loggia_types::api::Notifications;
use loggia_types::{EmailAddress, ProjectId, UserId};

use super::{DbError, GenericClient, statements, text};

/// Somebody who wants a mail.
#[derive(Debug)]
pub(crate) struct RecipientRow {
    pub(crate) email: EmailAddress,
    pub(crate) name: String,
    pub(crate) unsubscribe_token: String,
}

statements! {
    /// Everybody has a row, and so a token to unsubscribe with, before the first mail.
    ENSURE_OF_PROJECT = "
        insert into mail_preferences (user_id)
        select m.user_id from projects p join members m on m.organization_id = p.organization_id where p.project_id = $1
        union select c.user_id from collaborators c where c.project_id = $1
        on conflict do nothing";

    LIST_RECIPIENTS = "
        select u.email, u.name, s.unsubscribe_token
        from mail_preferences s join users u on u.user_id = s.user_id
        where u.disabled_at is null
          and case $2 when 'deployment_failed' then s.deployment_failed
                      when 'deployment_recovered' then s.deployment_recovered
                      else s.domain_lost end
          and (exists (select from collaborators c where c.project_id = $1 and c.user_id = s.user_id and c.role <> 'viewer')
               or exists (select from projects p join members m on m.organization_id = p.organization_id
                          where p.project_id = $1 and m.user_id = s.user_id and m.role <> 'viewer'))
        order by u.user_id";

    GET = "
        select deployment_failed, deployment_recovered, domain_lost from mail_preferences where user_id = $1";

    SET = "
        insert into mail_preferences (user_id, deployment_failed, deployment_recovered, domain_lost)
        values ($1, $2, $3, $4)
        on conflict (user_id) do update set deployment_failed = excluded.deployment_failed,
            deployment_recovered = excluded.deployment_recovered, domain_lost = excluded.domain_lost";

    UNSUBSCRIBE = "
        update mail_preferences set deployment_failed = deployment_failed and $2 <> 'deployment_failed',
            deployment_recovered = deployment_recovered and $2 <> 'deployment_recovered',
            domain_lost = domain_lost and $2 <> 'domain_lost'
        where unsubscribe_token = $1";
}

/// Who works on a project and wants mail of this kind: everybody but viewers.
pub(crate) async fn list_recipients(
    db: &impl GenericClient,
    project: ProjectId,
    kind: &str,
) -> Result<Vec<RecipientRow>, DbError> {
    db.execute(&db.prepare_cached(ENSURE_OF_PROJECT).await?, &[&project.as_str()]).await?;
    let rows = db.query(&db.prepare_cached(LIST_RECIPIENTS).await?, &[&project.as_str(), &kind]).await?;
    let recipients = rows.iter().map(|row| {
        Ok(RecipientRow {
            email: text(row, "email")?,
            name: row.try_get("name")?,
            unsubscribe_token: row.try_get("unsubscribe_token")?,
        })
    });
    recipients.collect()
}

/// Who never chose gets all of it.
pub(crate) async fn get(db: &impl GenericClient, user: UserId) -> Result<Notifications, DbError> {
    let row = db.query_opt(&db.prepare_cached(GET).await?, &[&user.as_str()]).await?;
    Ok(match row {
        Some(row) => Notifications {
            deployment_failed: row.try_get("deployment_failed")?,
            deployment_recovered: row.try_get("deployment_recovered")?,
            domain_lost: row.try_get("domain_lost")?,
        },
        None => Notifications { deployment_failed: true, deployment_recovered: true, domain_lost: true },
    })
}

pub(crate) async fn set(db: &impl GenericClient, user: UserId, wanted: Notifications) -> Result<(), DbError> {
    db.execute(
        &db.prepare_cached(SET).await?,
        &[&user.as_str(), &wanted.deployment_failed, &wanted.deployment_recovered, &wanted.domain_lost],
    )
    .await?;
    Ok(())
}

/// No more of one kind. False when nobody has this token.
pub(crate) async fn unsubscribe(db: &impl GenericClient, token: &str, kind: &str) -> Result<bool, DbError> {
    Ok(db.execute(&db.prepare_cached(UNSUBSCRIBE).await?, &[&token, &kind]).await? == 1)
}
