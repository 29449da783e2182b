//! One look at a domain's zone, and what becomes of it.

use loggia_types::api::{Diagnosis, DomainState, FindingLevel};
use loggia_types::{DomainName, Timestamp};
use serde_json::json;

use super::claims;
use super::diagnosis::{self, Subject, Verdict};
use super::names::apex;
use super::observe::observe;
use super::schedule::{self, Watched};
use super::standing::{Standing, Turn};
use crate::app::App;
use crate::audit::{self, Change};
use crate::db::domains::{DomainRow, HOSTNAME_IS_UNIQUE, Look};
use crate::db::{self, DbError, GenericClient};
use crate::mail;

/// Asks its name servers and writes down what came of it. Of a domain that is removed meanwhile nothing remains.
pub(crate) async fn check(app: &App, row: &DomainRow) -> Result<(), DbError> {
    let started = Timestamp::now();
    let subject = Subject {
        name: row.hostname.clone(),
        token: row.token.clone(),
        former_token: row.former_token.clone(),
        target: app.platform.target(&row.slug, &app.resolver).await,
        is_proven: row.standing.verified_at.is_some(),
    };
    let observed = observe(&row.hostname, &app.resolver).await;
    let verdict = diagnosis::diagnose(&subject, &observed, started);
    match write_down(app, row, &verdict, started).await {
        // The release before this one takes no lock: it was faster, and now the name has a holder.
        Err(error) if error.constraint() == Some(HOSTNAME_IS_UNIQUE) => {
            write_down(app, row, &verdict, started).await
        }
        done => done,
    }
}

async fn write_down(
    app: &App,
    &DomainRow { id, project_id, hostname: ref name, .. }: &DomainRow,
    verdict: &Verdict,
    started: Timestamp,
) -> Result<(), DbError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    // In this order everywhere: names, project, domain, events.
    db::domains::lock_names(&transaction, &apex(name.base())).await?;
    db::domains::lock_project(&transaction, project_id).await?;
    let Some(row) = db::domains::lock(&transaction, id).await? else { return Ok(()) };
    if row.checked_at.is_some_and(|at| at > started) {
        // Another look began later and came back earlier.
        return Ok(());
    }
    let now = Timestamp::now();
    let (mut standing, mut turn) = row.standing.judge(verdict.proof.clone(), verdict.pointing, now);
    let mut diagnosis = verdict.diagnosis.clone();
    if turn == Turn::Proven
        && let Some(obstacle) = claims::find(&transaction, id, name, row.organization_id).await?
    {
        diagnosis.findings.push(obstacle.finding(name));
        standing = Standing { pointing: standing.pointing, ..row.standing.clone() };
        turn = Turn::Same;
    }
    save(&transaction, &row, &standing, turn, &diagnosis, started).await?;
    follow_up(app, &transaction, &row, turn, &diagnosis).await?;
    transaction.commit().await?;
    if turn != Turn::Same {
        let state = standing.state();
        tracing::info!(domain.id = %id, hostname = %name, "Domain {name} is {state:?} now ({turn:?})");
    }
    Ok(())
}

async fn save(
    db: &impl GenericClient,
    row: &DomainRow,
    standing: &Standing,
    turn: Turn,
    diagnosis: &Diagnosis,
    started: Timestamp,
) -> Result<(), DbError> {
    let now = Timestamp::now();
    let watched_since = if turn == Turn::Same { row.watched_since } else { now };
    let is_unanswered = diagnosis.findings.iter().any(|finding| finding.level == FindingLevel::Unknown);
    let watched = Watched { state: standing.state(), since: watched_since, is_unanswered };
    let next_check_at = schedule::next(watched, now, rand::random());
    let look = Look { standing, diagnosis, checked_at: started, next_check_at, watched_since };
    db::domains::save_look(db, row.id, &look).await
}

/// What others have to know. Events come last: their lock is everybody's.
async fn follow_up(
    app: &App,
    db: &impl GenericClient,
    row: &DomainRow,
    turn: Turn,
    diagnosis: &Diagnosis,
) -> Result<(), DbError> {
    let (project_id, name) = (row.project_id, &row.hostname);
    match turn {
        Turn::Same => {}
        Turn::Pointed => {
            // Others of its project lead to it, or no longer.
            if row.is_primary {
                db::events::publish_domains(db, project_id, &[]).await?;
            }
        }
        Turn::Proven => {
            db::domains::forget_released(db, name).await?;
            db::domains::choose_primary(db, project_id).await?;
            record(db, row, "domain.verify", DomainState::Verified, diagnosis).await?;
            publish_new(db, row).await?;
        }
        Turn::Lost => {
            db::domains::hold_lost(db, name, row.organization_id).await?;
            record(db, row, "domain.lose", DomainState::Lost, diagnosis).await?;
            notify_lost(app, db, row, diagnosis).await?;
            db::events::publish_domains(db, project_id, &[]).await?;
        }
    }
    Ok(())
}

/// Tells of a name that is served now, and of what another project showed there by a wildcard.
async fn publish_new(db: &impl GenericClient, row: &DomainRow) -> Result<(), DbError> {
    let parent = row.hostname.exact().and_then(loggia_types::Hostname::parent);
    if let Some(parent) = parent {
        let wildcard = DomainName::wildcard(&parent);
        if let Some(other) = db::domains::find_covering(db, &wildcard, row.project_id).await? {
            db::events::publish_domains(db, other, &[]).await?;
        }
    }
    db::events::publish_domains(db, row.project_id, &[&row.hostname]).await?;
    Ok(())
}

async fn record(
    db: &impl GenericClient,
    row: &DomainRow,
    action: &str,
    state: DomainState,
    diagnosis: &Diagnosis,
) -> Result<(), DbError> {
    let change = Change {
        before: json!({ "state": row.standing.state() }),
        after: json!({ "state": state, "findings": diagnosis.findings }),
        ..Change::new(action, row.hostname.as_str())
    };
    audit::record_by_platform(db, row.organization_id, row.project_id, change).await
}

/// The one place where people learn that a domain of theirs is lost.
async fn notify_lost(
    app: &App,
    db: &impl GenericClient,
    row: &DomainRow,
    diagnosis: &Diagnosis,
) -> Result<(), DbError> {
    let problem = diagnosis.findings.iter().find(|finding| finding.level == FindingLevel::Problem);
    let why = problem.map(|finding| finding.message.as_str()).unwrap_or_default();
    mail::notices::domain_lost(app, db, (row.project_id, &row.slug), &row.hostname, why).await
}
