//! Changes of a project's domains. Each waits for the one before: there is one primary domain, and no circle of redirects.

use loggia_types::api::{AddDomain, DomainRole, DomainState};
use loggia_types::{DomainId, DomainName, Hostname};
use serde_json::{Value, json};

use crate::access::{InProject, Permission};
use crate::app::App;
use crate::audit::{self, Change};
use crate::db::domains::{DomainRow, NewDomain, ONCE_PER_PROJECT};
use crate::db::{self, GenericClient};
use crate::domains::circles::{self, Leg};
use crate::domains::claims::{self, Obstacle};
use crate::domains::names::{self, Refused};
use crate::error::ApiError;

/// Each is looked at twice a day; who has more wants a wildcard.
const DOMAINS_MAX: usize = 100;

/// The ids of the domain, and of its counterpart if there was none yet.
pub(crate) async fn add(
    app: &App,
    inside: &InProject,
    body: &AddDomain,
) -> Result<(DomainId, Option<DomainId>), ApiError> {
    check_name(app, &body.hostname, "hostname")?;
    let counterpart = match body.with_www {
        true => Some(counterpart(app, &body.hostname)?),
        false => None,
    };
    if let Some(role) = &body.role {
        check_role(role, &body.hostname)?;
    }
    let project = &inside.project;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::domains::lock_names(&transaction, &names::apex(body.hostname.base())).await?;
    db::domains::lock_project(&transaction, project.id).await?;
    let mut there = db::domains::list(&transaction, project.id).await?;
    let role = body.role.clone().unwrap_or_else(|| default_role(&there, &body.hostname));
    let id = insert(&transaction, inside, &there, &body.hostname, role).await?;
    there = db::domains::list(&transaction, project.id).await?;
    let mut of_counterpart = None;
    if let Some(name) = counterpart.filter(|name| !there.iter().any(|row| row.hostname == *name)) {
        let role = default_role(&there, &name);
        of_counterpart = Some(insert(&transaction, inside, &there, &name, role).await?);
    }
    refuse_circles(&db::domains::list(&transaction, project.id).await?)?;
    transaction.commit().await?;
    Ok((id, of_counterpart))
}

fn check_name(app: &App, name: &DomainName, field: &str) -> Result<(), ApiError> {
    names::check(name, app.platform.own())
        .map_err(|Refused { code, message }| ApiError::invalid(field, code, message))
}

fn counterpart(app: &App, name: &DomainName) -> Result<DomainName, ApiError> {
    let Some(other) = names::counterpart(name) else {
        let message = format!(
            "with_www goes with a name like example.com, or with one that begins with www.; add what shall stand beside {name} \
             by itself"
        );
        return Err(ApiError::invalid("with_www", "no_counterpart", message));
    };
    let other = other.into();
    check_name(app, &other, "with_www")?;
    Ok(other)
}

/// The first one serves, and so does a wildcard, which is there for its many names. Others are second spellings.
fn default_role(there: &[DomainRow], name: &DomainName) -> DomainRole {
    let has_primary = there.iter().any(|row| row.is_primary);
    match has_primary && !name.is_wildcard() {
        true => DomainRole::RedirectToPrimary { status: Default::default() },
        false => DomainRole::Serve,
    }
}

async fn insert(
    db: &impl GenericClient,
    inside: &InProject,
    there: &[DomainRow],
    name: &DomainName,
    role: DomainRole,
) -> Result<DomainId, ApiError> {
    let project = &inside.project;
    if there.len() >= DOMAINS_MAX {
        let message = format!(
            "a project has at most {DOMAINS_MAX} domains; remove one, or add a wildcard like *.example.com"
        );
        return Err(ApiError::conflict("too_many_domains", message));
    }
    let id = DomainId::generate();
    if let Some(obstacle) = claims::find(db, id, name, project.organization_id).await? {
        let own = match &obstacle {
            Obstacle::OwnProject(slug) => {
                inside.caller.project(db, slug, Permission::View).await.ok().map(|_| slug)
            }
            _ => None,
        };
        return Err(obstacle.error(name, own));
    }
    let can_be_primary = !name.is_wildcard() && role == DomainRole::Serve;
    let is_primary = can_be_primary && !there.iter().any(|row| row.is_primary);
    let former_token = data_encoding::BASE64URL_NOPAD.encode(&rand::random::<[u8; 32]>());
    let new = NewDomain {
        id,
        project_id: project.id,
        hostname: name,
        former_token: &former_token,
        is_primary,
        role: &role,
    };
    db::domains::insert(db, &new).await.map_err(|error| match error.constraint() {
        Some(ONCE_PER_PROJECT) => {
            ApiError::conflict("domain_exists", format!("{name} is a domain of this project already"))
                .about("hostname")
        }
        _ => error.into(),
    })?;
    let change = Change {
        after: json!({ "role": role, "is_primary": is_primary }),
        ..Change::new("domain.add", name.as_str())
    };
    audit::record_in_project(db, inside, change).await?;
    Ok(id)
}

/// What a name can do, whatever the others of its project do.
fn check_role(role: &DomainRole, name: &DomainName) -> Result<(), ApiError> {
    let DomainRole::Redirect { to, .. } = role else { return Ok(()) };
    let last = to.as_str().rsplit('.').next().unwrap_or_default();
    if !to.as_str().contains('.') || last.bytes().all(|byte| byte.is_ascii_digit()) {
        let message =
            format!("{to} is no hostname that visitors can be sent to; it looks like www.example.org");
        return Err(ApiError::invalid("role.to", "invalid_redirect", message));
    }
    if name.exact() == Some(to) {
        return Err(circle(to));
    }
    Ok(())
}

fn refuse_circles(rows: &[DomainRow]) -> Result<(), ApiError> {
    let leg = |row: &DomainRow| Leg {
        name: row.hostname.clone(),
        role: row.role.clone(),
        is_primary: row.is_primary,
    };
    match circles::find(&rows.iter().map(leg).collect::<Vec<_>>()) {
        Some(hostname) => Err(circle(&hostname)),
        None => Ok(()),
    }
}

fn circle(hostname: &Hostname) -> ApiError {
    let message = format!(
        "visitors would be sent in a circle and back to {hostname}; let {hostname} serve, or lead to where they shall arrive"
    );
    ApiError::invalid("role", "redirect_circle", message)
}

pub(crate) async fn update(
    app: &App,
    inside: &InProject,
    id: DomainId,
    role: &DomainRole,
) -> Result<(), ApiError> {
    let project = &inside.project;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::domains::lock_project(&transaction, project.id).await?;
    let row = find(&transaction, inside, id).await?;
    check_role(role, &row.hostname)?;
    if row.is_primary && *role != DomainRole::Serve {
        let message = format!(
            "{} is the primary domain, to which others lead; make another one primary first, then this one leads there",
            row.hostname
        );
        return Err(ApiError::conflict("domain_is_primary", message).about("role"));
    }
    db::domains::update_role(&transaction, id, role).await?;
    db::domains::choose_primary(&transaction, project.id).await?;
    refuse_circles(&db::domains::list(&transaction, project.id).await?)?;
    let change = Change {
        before: json!({ "role": row.role }),
        after: json!({ "role": role }),
        ..Change::new("domain.update", row.hostname.as_str())
    };
    audit::record_in_project(&transaction, inside, change).await?;
    publish_if_shown(&transaction, &row).await?;
    transaction.commit().await?;
    Ok(())
}

pub(crate) async fn make_primary(app: &App, inside: &InProject, id: DomainId) -> Result<(), ApiError> {
    let project = &inside.project;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::domains::lock_project(&transaction, project.id).await?;
    let row = find(&transaction, inside, id).await?;
    if row.is_primary {
        return Ok(());
    }
    if row.hostname.is_wildcard() {
        let message = format!("{} stands for many names; the primary domain is a single one", row.hostname);
        return Err(ApiError::conflict("wildcard_not_primary", message));
    }
    if matches!(row.standing.state(), DomainState::Pending | DomainState::Lost) {
        let message = format!(
            "{} is not proven, and the other domains would lead visitors nowhere; prove it first",
            row.hostname
        );
        return Err(ApiError::conflict("domain_not_verified", message));
    }
    db::domains::set_primary(&transaction, project.id, id).await?;
    let there = db::domains::list(&transaction, project.id).await?;
    refuse_circles(&there)?;
    let change = Change {
        before: json!({ "role": row.role }),
        ..Change::new("domain.make_primary", row.hostname.as_str())
    };
    audit::record_in_project(&transaction, inside, change).await?;
    db::events::publish_domains(&transaction, project.id, &[&row.hostname]).await?;
    transaction.commit().await?;
    Ok(())
}

/// Whoever held on to it before can have it back for a while, and nobody else.
pub(crate) async fn remove(app: &App, inside: &InProject, id: DomainId) -> Result<(), ApiError> {
    let project = &inside.project;
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    db::domains::lock_project(&transaction, project.id).await?;
    let row = find(&transaction, inside, id).await?;
    db::domains::delete(&transaction, id).await?;
    db::domains::choose_primary(&transaction, project.id).await?;
    let change = Change { before: summary(&row), ..Change::new("domain.remove", row.hostname.as_str()) };
    audit::record_in_project(&transaction, inside, change).await?;
    publish_if_shown(&transaction, &row).await?;
    transaction.commit().await?;
    Ok(())
}

/// A name that nobody was ever shown changes nothing for anybody.
async fn publish_if_shown(db: &impl GenericClient, row: &DomainRow) -> Result<(), ApiError> {
    if row.standing.verified_at.is_some() {
        db::events::publish_domains(db, row.project_id, &[&row.hostname]).await?;
    }
    Ok(())
}

async fn find(db: &impl GenericClient, inside: &InProject, id: DomainId) -> Result<DomainRow, ApiError> {
    let row = db::domains::find(db, inside.project.id, id).await?;
    row.ok_or_else(|| ApiError::not_found(format!("domain {id}")))
}

/// A domain as the audit log keeps it.
fn summary(row: &DomainRow) -> Value {
    json!({
        "state": row.standing.state(),
        "role": row.role,
        "is_primary": row.is_primary,
        "verified_at": row.standing.verified_at,
    })
}

/// Ends a quarantine: what only an operator can answer for.
pub(crate) async fn hand_over(
    app: &App,
    caller: &crate::access::Caller,
    name: &DomainName,
) -> Result<(), ApiError> {
    let mut client = app.db().await?;
    let transaction = client.transaction().await?;
    if !db::domains::forget_released(&transaction, name).await? {
        return Err(ApiError::not_found(format!("hostname {name} that is kept for anybody")));
    }
    audit::record(&transaction, caller, Change::new("domain.hand_over", name.as_str())).await?;
    transaction.commit().await?;
    Ok(())
}
