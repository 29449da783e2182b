//! Domains: hostnames that users attached.

use loggia_types::api::{Diagnosis, DomainRole};
use loggia_types::route::RedirectStatus;
use loggia_types::{DomainId, DomainName, Hostname, OrganizationId, ProjectId, ProjectSlug, Timestamp};
use serde_json::Value;
use tokio_postgres::Row;

use super::{DbError, GenericClient, optional_text, statements, text, to_json};
use crate::domains::standing::Standing;

pub(crate) const ONCE_PER_PROJECT: &str = "domains_once_per_project";
pub(crate) const HOSTNAME_IS_UNIQUE: &str = "domains_hostname_is_unique";

/// How `redirect_to` spells the project's primary domain. No hostname that can be redirected to is one word.
const PRIMARY: &str = "primary";

/// A domain, and what of its project and organization it needs.
#[derive(Debug, Clone)]
pub(crate) struct DomainRow {
    pub(crate) id: DomainId,
    pub(crate) project_id: ProjectId,
    pub(crate) slug: ProjectSlug,
    pub(crate) organization_id: OrganizationId,
    /// The organization's, for all of its domains.
    pub(crate) token: String,
    /// The domain's own, of the first release.
    pub(crate) former_token: String,
    pub(crate) hostname: DomainName,
    pub(crate) is_primary: bool,
    pub(crate) role: DomainRole,
    pub(crate) standing: Standing,
    pub(crate) diagnosis: Option<Diagnosis>,
    pub(crate) created_at: Timestamp,
    pub(crate) watched_since: Timestamp,
    pub(crate) checked_at: Option<Timestamp>,
    pub(crate) next_check_at: Option<Timestamp>,
}

impl DomainRow {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        let time = |column| Ok::<_, DbError>(row.try_get::<_, Option<_>>(column)?.map(Timestamp));
        let diagnosis: Option<Value> = row.try_get("diagnosis")?;
        Ok(Self {
            id: text(row, "domain_id")?,
            project_id: text(row, "project_id")?,
            slug: text(row, "slug")?,
            organization_id: text(row, "organization_id")?,
            token: row.try_get("domain_token")?,
            former_token: row.try_get("verification_token")?,
            hostname: text(row, "hostname")?,
            is_primary: row.try_get("is_primary")?,
            role: role(row)?,
            standing: Standing {
                verified_at: time("verified_at")?,
                lost_at: time("lost_at")?,
                proof_name: optional_text(row, "proof_name")?,
                missing_since: time("proof_missing_since")?,
                misses: row.try_get("proof_misses")?,
                pointing: text(row, "pointing")?,
            },
            // One of another release may have findings that this one does not know: there will be a new one soon.
            diagnosis: diagnosis.and_then(|value| serde_json::from_value(value).ok()),
            created_at: Timestamp(row.try_get("created_at")?),
            watched_since: Timestamp(row.try_get("watched_since")?),
            checked_at: time("checked_at")?,
            next_check_at: time("next_check_at")?,
        })
    }
}

/// Of the columns `redirect_to` and `redirect_status`.
pub(super) fn role(row: &Row) -> Result<DomainRole, DbError> {
    let status = redirect_status(row)?;
    Ok(match row.try_get::<_, Option<&str>>("redirect_to")? {
        None => DomainRole::Serve,
        Some(PRIMARY) => DomainRole::RedirectToPrimary { status },
        Some(_) => DomainRole::Redirect { to: text(row, "redirect_to")?, status },
    })
}

fn redirect_status(row: &Row) -> Result<RedirectStatus, DbError> {
    let code: i16 = row.try_get("redirect_status")?;
    let known = u16::try_from(code).ok().and_then(|code| RedirectStatus::try_from(code).ok());
    known.ok_or_else(|| DbError::Decode {
        column: "redirect_status",
        value: code.to_string(),
        cause: "it is 307 or 308".to_owned(),
    })
}

/// A role as its columns hold it.
fn columns(role: &DomainRole) -> (Option<&str>, i16) {
    let code = |status: RedirectStatus| i16::try_from(status.code()).unwrap_or(308);
    match role {
        DomainRole::Serve => (None, 308),
        DomainRole::RedirectToPrimary { status } => (Some(PRIMARY), code(*status)),
        DomainRole::Redirect { to, status } => (Some(to.as_str()), code(*status)),
    }
}

statements! {
    INSERT = "
        insert into domains (domain_id, project_id, hostname, verification_token, is_primary, redirect_to, redirect_status)
        values ($1, $2, $3, $4, $5, $6, $7)";

    FIND = "
        select m.domain_id, m.project_id, p.slug, p.organization_id, o.domain_token, m.verification_token, m.hostname,
               m.is_primary, m.redirect_to, m.redirect_status, m.verified_at, m.lost_at, m.proof_name,
               m.proof_missing_since, m.proof_misses, m.pointing, m.diagnosis, m.created_at, m.watched_since,
               m.checked_at, m.next_check_at
        from domains m join projects p on p.project_id = m.project_id
        join organizations o on o.organization_id = p.organization_id
        where m.project_id = $1 and m.domain_id = $2";

    /// The first one of a project is the primary one, then come the others in the order in which they were added.
    LIST = "
        select m.domain_id, m.project_id, p.slug, p.organization_id, o.domain_token, m.verification_token, m.hostname,
               m.is_primary, m.redirect_to, m.redirect_status, m.verified_at, m.lost_at, m.proof_name,
               m.proof_missing_since, m.proof_misses, m.pointing, m.diagnosis, m.created_at, m.watched_since,
               m.checked_at, m.next_check_at
        from domains m join projects p on p.project_id = m.project_id
        join organizations o on o.organization_id = p.organization_id
        where m.project_id = $1
        order by m.is_primary desc, m.domain_id";

    /// Held until the transaction ends. Not there any more: it was removed meanwhile.
    LOCK = "
        select m.domain_id, m.project_id, p.slug, p.organization_id, o.domain_token, m.verification_token, m.hostname,
               m.is_primary, m.redirect_to, m.redirect_status, m.verified_at, m.lost_at, m.proof_name,
               m.proof_missing_since, m.proof_misses, m.pointing, m.diagnosis, m.created_at, m.watched_since,
               m.checked_at, m.next_check_at
        from domains m join projects p on p.project_id = m.project_id
        join organizations o on o.organization_id = p.organization_id
        where m.domain_id = $1 for update of m";

    /// Takes what is due for five minutes: should this process die meanwhile, another one looks at it then. `skip locked`:
    /// two apis that look at once take different ones.
    CLAIM_DUE = "
        with due as (
            select m.domain_id from domains m join projects p on p.project_id = m.project_id
            where m.next_check_at <= now() and p.deleted_at is null
            order by m.next_check_at for update of m skip locked limit $1),
        claimed as (
            update domains set next_check_at = now() + interval '5 minutes'
            where domain_id in (select domain_id from due) returning *)
        select m.domain_id, m.project_id, p.slug, p.organization_id, o.domain_token, m.verification_token, m.hostname,
               m.is_primary, m.redirect_to, m.redirect_status, m.verified_at, m.lost_at, m.proof_name,
               m.proof_missing_since, m.proof_misses, m.pointing, m.diagnosis, m.created_at, m.watched_since,
               m.checked_at, m.next_check_at
        from claimed m join projects p on p.project_id = m.project_id
        join organizations o on o.organization_id = p.organization_id";

    /// Breaks `domains_hostname_is_unique`.
    SAVE_LOOK = "
        update domains set verified_at = $2, lost_at = $3, proof_name = $4, proof_missing_since = $5, proof_misses = $6,
                           pointing = $7, diagnosis = $8, checked_at = $9, next_check_at = $10, watched_since = $11
        where domain_id = $1";

    /// Whoever asks waits for something: it is looked at more often again. None: somebody asked a moment ago.
    NOTE_ASKED = "
        update domains set asked_at = now(), watched_since = now()
        where domain_id = $1 and (asked_at is null or asked_at < now() - $2 * interval '1 second')";

    UPDATE_ROLE = "
        update domains set redirect_to = $2, redirect_status = $3, watched_since = now(),
                           next_check_at = coalesce(next_check_at, now())
        where domain_id = $1";

    /// The one before leads to its successor now.
    CLEAR_PRIMARY = "
        update domains set is_primary = false, redirect_to = 'primary', redirect_status = 308
        where project_id = $1 and is_primary";

    SET_PRIMARY = "update domains set is_primary = true, redirect_to = null, redirect_status = 308 where domain_id = $1";

    /// Proven ones first, then those that were added first. One that leads to somebody else's hostname is none.
    CHOOSE_PRIMARY = "
        update domains set is_primary = true, redirect_to = null, redirect_status = 308
        where domain_id = (
            select m.domain_id from domains m
            where m.project_id = $1 and m.hostname not like '*%' and coalesce(m.redirect_to, 'primary') = 'primary'
              and not exists (select from domains o where o.project_id = $1 and o.is_primary)
            order by m.verified_at is null, m.lost_at is not null, m.domain_id limit 1)";

    DELETE = "delete from domains where domain_id = $1";

    /// Changes of a project's domains wait for each other. No foreign key waits for them.
    LOCK_PROJECT = "select from projects where project_id = $1 for no key update";

    /// Whoever proves or claims a name below the same apex waits.
    LOCK_NAMES = "select pg_advisory_xact_lock(7024511, hashtext($1))";

    /// Whoever has proven this very name, or with a record above it everything below that. The very name comes first.
    FIND_HOLDER = "
        select m.domain_id, m.hostname, coalesce(m.proof_name, m.hostname) as proof_name, p.slug, p.organization_id,
               p.deleted_at is not null as is_deleted
        from domains m join projects p on p.project_id = m.project_id
        where m.verified_at is not null and m.domain_id <> $1
          and (m.hostname = $2 or (p.organization_id <> $4
                and (m.proof_name = any($3) or (m.proof_name is null and m.hostname = any($3)))))
        order by m.hostname = $2 desc limit 1";

    FIND_HELD = "
        select held_until from released_hostnames
        where hostname = $1 and held_until > now() and organization_id is distinct from $2";

    HOLD_LOST = "select hold_hostname($1, $2, 'lost')";

    FORGET_RELEASED = "delete from released_hostnames where hostname = $1";

    EXPIRE_RELEASED = "delete from released_hostnames where held_until < now()";

    /// Another project's wildcard, which stops covering the hostname.
    FIND_COVERING = "
        select project_id from domains where hostname = $1 and verified_at is not null and project_id <> $2";

    LIST_LOST_FOR_GOOD = "
        select domain_id from domains where lost_at < now() - interval '30 days' order by lost_at limit 100";
}

/// What a new domain is.
#[derive(Debug)]
pub(crate) struct NewDomain<'a> {
    pub(crate) id: DomainId,
    pub(crate) project_id: ProjectId,
    pub(crate) hostname: &'a DomainName,
    pub(crate) former_token: &'a str,
    pub(crate) is_primary: bool,
    pub(crate) role: &'a DomainRole,
}

/// Breaks `domains_once_per_project`.
pub(crate) async fn insert(db: &impl GenericClient, new: &NewDomain<'_>) -> Result<(), DbError> {
    let (redirect_to, redirect_status) = columns(new.role);
    db.execute(
        &db.prepare_cached(INSERT).await?,
        &[
            &new.id.as_str(),
            &new.project_id.as_str(),
            &new.hostname.as_str(),
            &new.former_token,
            &new.is_primary,
            &redirect_to,
            &redirect_status,
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn find(
    db: &impl GenericClient,
    project_id: ProjectId,
    id: DomainId,
) -> Result<Option<DomainRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(FIND).await?, &[&project_id.as_str(), &id.as_str()]).await?;
    row.as_ref().map(DomainRow::from_row).transpose()
}

pub(crate) async fn list(db: &impl GenericClient, project_id: ProjectId) -> Result<Vec<DomainRow>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST).await?, &[&project_id.as_str()]).await?;
    rows.iter().map(DomainRow::from_row).collect()
}

pub(crate) async fn lock(db: &impl GenericClient, id: DomainId) -> Result<Option<DomainRow>, DbError> {
    let row = db.query_opt(&db.prepare_cached(LOCK).await?, &[&id.as_str()]).await?;
    row.as_ref().map(DomainRow::from_row).transpose()
}

pub(crate) async fn claim_due(db: &impl GenericClient, limit: i64) -> Result<Vec<DomainRow>, DbError> {
    let rows = db.query(&db.prepare_cached(CLAIM_DUE).await?, &[&limit]).await?;
    rows.iter().map(DomainRow::from_row).collect()
}

/// What came of a look.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    pub(crate) standing: &'a Standing,
    pub(crate) diagnosis: &'a Diagnosis,
    /// When it began.
    pub(crate) checked_at: Timestamp,
    pub(crate) next_check_at: Option<Timestamp>,
    pub(crate) watched_since: Timestamp,
}

pub(crate) async fn save_look(db: &impl GenericClient, id: DomainId, look: &Look<'_>) -> Result<(), DbError> {
    let Standing { verified_at, lost_at, proof_name, missing_since, misses, pointing } = look.standing;
    let time = |at: &Option<Timestamp>| at.map(|at| at.0);
    db.execute(
        &db.prepare_cached(SAVE_LOOK).await?,
        &[
            &id.as_str(),
            &time(verified_at),
            &time(lost_at),
            &proof_name.as_ref().map(Hostname::as_str),
            &time(missing_since),
            misses,
            &pointing.as_str(),
            &to_json(look.diagnosis),
            &look.checked_at.0,
            &time(&look.next_check_at),
            &look.watched_since.0,
        ],
    )
    .await?;
    Ok(())
}

/// Whether it is this caller's turn to have it looked at.
pub(crate) async fn note_asked(
    db: &impl GenericClient,
    id: DomainId,
    pause: std::time::Duration,
) -> Result<bool, DbError> {
    let statement = db.prepare_cached(NOTE_ASKED).await?;
    Ok(db.execute(&statement, &[&id.as_str(), &pause.as_secs_f64()]).await? > 0)
}

pub(crate) async fn update_role(
    db: &impl GenericClient,
    id: DomainId,
    role: &DomainRole,
) -> Result<(), DbError> {
    let (redirect_to, redirect_status) = columns(role);
    let statement = db.prepare_cached(UPDATE_ROLE).await?;
    db.execute(&statement, &[&id.as_str(), &redirect_to, &redirect_status]).await?;
    Ok(())
}

pub(crate) async fn set_primary(
    db: &impl GenericClient,
    project_id: ProjectId,
    id: DomainId,
) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(CLEAR_PRIMARY).await?, &[&project_id.as_str()]).await?;
    db.execute(&db.prepare_cached(SET_PRIMARY).await?, &[&id.as_str()]).await?;
    Ok(())
}

/// Gives a project that has no primary domain one, if any can be it.
pub(crate) async fn choose_primary(db: &impl GenericClient, project_id: ProjectId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(CHOOSE_PRIMARY).await?, &[&project_id.as_str()]).await?;
    Ok(())
}

/// One that was proven is kept for its organization from here on (`released_hostnames`).
pub(crate) async fn delete(db: &impl GenericClient, id: DomainId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(DELETE).await?, &[&id.as_str()]).await?;
    Ok(())
}

pub(crate) async fn lock_project(db: &impl GenericClient, id: ProjectId) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(LOCK_PROJECT).await?, &[&id.as_str()]).await?;
    Ok(())
}

pub(crate) async fn lock_names(db: &impl GenericClient, apex: &Hostname) -> Result<(), DbError> {
    db.execute(&db.prepare_cached(LOCK_NAMES).await?, &[&apex.as_str()]).await?;
    Ok(())
}

/// A proven domain in the way of another one.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) id: DomainId,
    pub(crate) hostname: DomainName,
    pub(crate) proof_name: DomainName,
    pub(crate) slug: ProjectSlug,
    pub(crate) organization_id: OrganizationId,
    /// Its project is deleted, and not yet gone.
    pub(crate) is_deleted: bool,
}

/// Who has proven `hostname`, or what is above it. `provers` are the names at which a record proves it.
pub(crate) async fn find_holder(
    db: &impl GenericClient,
    id: DomainId,
    hostname: &DomainName,
    provers: &[Hostname],
    organization_id: OrganizationId,
) -> Result<Option<Holder>, DbError> {
    let provers: Vec<&str> = provers.iter().map(Hostname::as_str).collect();
    let statement = db.prepare_cached(FIND_HOLDER).await?;
    let row = db
        .query_opt(&statement, &[&id.as_str(), &hostname.as_str(), &provers, &organization_id.as_str()])
        .await?;
    row.map(|row| {
        Ok(Holder {
            id: text(&row, "domain_id")?,
            hostname: text(&row, "hostname")?,
            proof_name: text(&row, "proof_name")?,
            slug: text(&row, "slug")?,
            organization_id: text(&row, "organization_id")?,
            is_deleted: row.try_get("is_deleted")?,
        })
    })
    .transpose()
}

/// Until when a hostname is kept for another organization.
pub(crate) async fn find_held(
    db: &impl GenericClient,
    hostname: &DomainName,
    organization_id: OrganizationId,
) -> Result<Option<Timestamp>, DbError> {
    let statement = db.prepare_cached(FIND_HELD).await?;
    let row = db.query_opt(&statement, &[&hostname.as_str(), &organization_id.as_str()]).await?;
    row.map(|row| Ok(Timestamp(row.try_get("held_until")?))).transpose()
}

pub(crate) async fn hold_lost(
    db: &impl GenericClient,
    hostname: &DomainName,
    organization_id: OrganizationId,
) -> Result<(), DbError> {
    let statement = db.prepare_cached(HOLD_LOST).await?;
    db.execute(&statement, &[&hostname.as_str(), &organization_id.as_str()]).await?;
    Ok(())
}

/// Whether it was kept for anybody.
pub(crate) async fn forget_released(db: &impl GenericClient, hostname: &DomainName) -> Result<bool, DbError> {
    Ok(db.execute(&db.prepare_cached(FORGET_RELEASED).await?, &[&hostname.as_str()]).await? > 0)
}

pub(crate) async fn expire_released(db: &impl GenericClient) -> Result<u64, DbError> {
    Ok(db.execute(&db.prepare_cached(EXPIRE_RELEASED).await?, &[]).await?)
}

/// The other project whose wildcard this is, if it is proven.
pub(crate) async fn find_covering(
    db: &impl GenericClient,
    wildcard: &DomainName,
    project_id: ProjectId,
) -> Result<Option<ProjectId>, DbError> {
    let statement = db.prepare_cached(FIND_COVERING).await?;
    let row = db.query_opt(&statement, &[&wildcard.as_str(), &project_id.as_str()]).await?;
    row.map(|row| text(&row, "project_id")).transpose()
}

/// Lost for so long that nobody will put the record back.
pub(crate) async fn list_lost_for_good(db: &impl GenericClient) -> Result<Vec<DomainId>, DbError> {
    let rows = db.query(&db.prepare_cached(LIST_LOST_FOR_GOOD).await?, &[]).await?;
    rows.iter().map(|row| text(row, "domain_id")).collect()
}
