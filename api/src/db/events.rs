//! The event stream of the edges.

use std::time::Duration;

use loggia_types::event::{Change, EdgeEvent};
use loggia_types::{DomainName, EventPosition, Hostname, ProjectId, Purge, SurrogateKey};
use serde_json::Value;
use tokio_postgres::Row;

use super::{DbError, GenericClient, statements, text, to_json};

statements! {
    /// Takes the stream's lock until the transaction ends: call it last.
    PUBLISH = "select publish_event($1, $2, $3, null) as position";

    PUBLISH_PURGE = "select publish_event($1, '{}', '{}', $2) as position";

    LIST_AFTER = "
        select position, project_id, hostnames, purge from events where position > $1 order by position limit $2";

    /// The oldest and the newest position that can be read; zero when there are none.
    BOUNDS = "select coalesce(min(position), 0) as first, coalesce(max(position), 0) as last from events";

    LIST_STALE = "
        select position, project_id, stale_keys, purge from events
        where position > $1 and created_at <= now() - $2 * interval '1 second'
        order by position limit $3";

    /// The newest one stays: it is the stream's position. So does what a CDN was not told yet, unless the hook is no
    /// longer configured anywhere.
    PRUNE = "
        delete from events where created_at < now() - interval '1 day'
        and position < (select max(position) from events)
        and not exists (select from cdn_hooks h
                        where h.position < events.position and h.looked_at > now() - interval '1 day')";
}

/// Tells every edge that routes of a project changed. The last statement of a transaction.
///
/// `stale` are the keys of answers that a cache in front of the edges must not give any more.
pub(crate) async fn publish(
    db: &impl GenericClient,
    project_id: ProjectId,
    appeared: &[Hostname],
    stale: &[SurrogateKey],
) -> Result<EventPosition, DbError> {
    publish_names(db, project_id, appeared.iter().map(Hostname::as_str).collect(), stale).await
}

/// The same for domains, of which some may be wildcards. Everything of the project is stale: with its first domain the
/// project's own name asks search engines to stay away, and what was served at a domain that is gone must be.
pub(crate) async fn publish_domains(
    db: &impl GenericClient,
    project_id: ProjectId,
    appeared: &[&DomainName],
) -> Result<EventPosition, DbError> {
    let appeared = appeared.iter().map(|name| name.as_str()).collect();
    publish_names(db, project_id, appeared, &[SurrogateKey::project(project_id)]).await
}

async fn publish_names(
    db: &impl GenericClient,
    project_id: ProjectId,
    appeared: Vec<&str>,
    stale: &[SurrogateKey],
) -> Result<EventPosition, DbError> {
    let stale: Vec<&str> = stale.iter().map(SurrogateKey::as_str).collect();
    let statement = db.prepare_cached(PUBLISH).await?;
    let row = db.query_one(&statement, &[&project_id.as_str(), &appeared, &stale]).await?;
    Ok(position(row.try_get("position")?))
}

/// Tells every edge, and every CDN in front, to forget something of a project. The last statement of a transaction.
pub(crate) async fn publish_purge(
    db: &impl GenericClient,
    project_id: ProjectId,
    purge: &Purge,
) -> Result<EventPosition, DbError> {
    let statement = db.prepare_cached(PUBLISH_PURGE).await?;
    let row = db.query_one(&statement, &[&project_id.as_str(), &to_json(purge)]).await?;
    Ok(position(row.try_get("position")?))
}

/// Each event tells of the one before it, the first one of `start`.
pub(crate) async fn list_after(
    db: &impl GenericClient,
    start: EventPosition,
    limit: i64,
) -> Result<Vec<EdgeEvent>, DbError> {
    let after = i64::try_from(start.0).unwrap_or(i64::MAX);
    let rows = db.query(&db.prepare_cached(LIST_AFTER).await?, &[&after, &limit]).await?;
    let mut before = start;
    let event = |row| {
        let position = position(Row::try_get(row, "position")?);
        let after = Some(std::mem::replace(&mut before, position));
        Ok(EdgeEvent { position, after, change: change(row)? })
    };
    rows.iter().map(event).collect()
}

fn change(row: &Row) -> Result<Change, DbError> {
    let project_id = text(row, "project_id")?;
    if let Some(purge) = row.try_get::<_, Option<Value>>("purge")? {
        // One that a newer api accepted must not end the stream.
        return Ok(
            serde_json::from_value(purge).map_or(Change::Reset, |purge| Change::Purge { project_id, purge })
        );
    }
    let appeared: Vec<String> = row.try_get("hostnames")?;
    let appeared = appeared.iter().filter_map(|name| name.parse::<DomainName>().ok());
    let (wildcards, exact): (Vec<_>, Vec<_>) = appeared.partition(DomainName::is_wildcard);
    let bases = |names: Vec<DomainName>| names.iter().map(|name| name.base().clone()).collect();
    Ok(Change::Routes { project_id, hostnames: bases(exact), wildcards: bases(wildcards) })
}

/// What an event makes stale in a cache in front of the edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StaleEvent {
    pub(crate) position: EventPosition,
    pub(crate) project_id: ProjectId,
    /// Gone at once, because the platform changed something.
    pub(crate) keys: Vec<SurrogateKey>,
    /// What a person asked for.
    pub(crate) purge: Option<Purge>,
}

impl StaleEvent {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        let keys: Vec<&str> = row.try_get("stale_keys")?;
        let mut keys: Vec<SurrogateKey> = keys.iter().filter_map(|key| key.parse().ok()).collect();
        let purge = row.try_get::<_, Option<Value>>("purge")?;
        let project_id = text(row, "project_id")?;
        let is_purge = purge.is_some();
        let purge = purge.and_then(|purge| serde_json::from_value(purge).ok());
        // One that a newer api accepted: rather too much than too little.
        if is_purge && purge.is_none() {
            keys.push(SurrogateKey::project(project_id));
        }
        Ok(Self { position: position(row.try_get("position")?), project_id, keys, purge })
    }
}

/// What was committed at least `delay` ago.
pub(crate) async fn list_stale(
    db: &impl GenericClient,
    after: EventPosition,
    delay: Duration,
    limit: i64,
) -> Result<Vec<StaleEvent>, DbError> {
    let after = i64::try_from(after.0).unwrap_or(i64::MAX);
    let statement = db.prepare_cached(LIST_STALE).await?;
    let rows = db.query(&statement, &[&after, &delay.as_secs_f64(), &limit]).await?;
    rows.iter().map(StaleEvent::from_row).collect()
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
