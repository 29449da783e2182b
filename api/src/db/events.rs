//! The event stream of the edges.

use loggia_types::event::{Change, EdgeEvent};
use loggia_types::{EventPosition, Hostname, ProjectId};

use super::{DbError, GenericClient, statements, text};

statements! {
    /// Takes the stream's lock until the transaction ends: call it last.
    PUBLISH = "select publish_event($1, $2) as position";

    LIST_AFTER = "
        select position, project_id, hostnames from events where position > $1 order by position limit $2";

    /// The oldest and the newest position that can be read; zero when there are none.
    BOUNDS = "select coalesce(min(position), 0) as first, coalesce(max(position), 0) as last from events";

    /// The newest one stays: it is the stream's position.
    PRUNE = "
        delete from events where created_at < now() - interval '1 day'
        and position < (select max(position) from events)";
}

/// Tells every edge that routes of a project changed. The last statement of a transaction.
pub(crate) async fn publish(
    db: &impl GenericClient,
    project_id: ProjectId,
    appeared: &[Hostname],
) -> Result<EventPosition, DbError> {
    let appeared: Vec<&str> = appeared.iter().map(Hostname::as_str).collect();
    let row = db.query_one(&db.prepare_cached(PUBLISH).await?, &[&project_id.as_str(), &appeared]).await?;
    Ok(position(row.try_get("position")?))
}

pub(crate) async fn list_after(
    db: &impl GenericClient,
    after: EventPosition,
    limit: i64,
) -> Result<Vec<EdgeEvent>, DbError> {
    let after = i64::try_from(after.0).unwrap_or(i64::MAX);
    let rows = db.query(&db.prepare_cached(LIST_AFTER).await?, &[&after, &limit]).await?;
    rows.iter()
        .map(|row| {
            let hostnames: Vec<String> = row.try_get("hostnames")?;
            let hostnames = hostnames.iter().filter_map(|name| name.parse().ok()).collect();
            let change = Change::Routes { project_id: text(row, "project_id")?, hostnames };
            Ok(EdgeEvent { position: position(row.try_get("position")?), change })
        })
        .collect()
}

pub(crate) async fn bounds(db: &impl GenericClient) -> Result<(EventPosition, EventPosition), DbError> {
    let row = db.query_one(&db.prepare_cached(BOUNDS).await?, &[]).await?;
    Ok((position(row.try_get("first")?), position(row.try_get("last")?)))
}

pub(crate) async fn prune(db: &impl GenericClient) -> Result<u64, DbError> {
    Ok(db.execute(&db.prepare_cached(PRUNE).await?, &[]).await?)
}

pub(crate) fn position(value: i64) -> EventPosition {
    EventPosition(u64::try_from(value).unwrap_or(0))
}
