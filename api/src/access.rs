//! Who may call what. Every route declares its [`Access`] where it is added to the table (`routes/mod.rs`); [`enforce`]
//! authenticates, checks, and hands the handler what it found out as a typed caller.
//!
//! «Not yours» looks exactly like «not there»: 404 for both. 403 is for what one can see and may not do. Nobody is told
//! anything, not even 404, before saying who they are.

mod caller;
mod identify;

use std::collections::HashMap;

use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use loggia_types::api::{Role, TokenScope};

pub(crate) use caller::{Builder, Caller, Edge, InOrganization, InProject, Origin, Via, Who};
pub(crate) use identify::{SESSION_COOKIE, cookie, hash};

use crate::app::App;
use crate::db::tokens::TokenKind;
use crate::error::ApiError;
use crate::extract::path_parameter;
use crate::rates;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody: signing in, webhooks, health.
    Open,
    /// Everybody who says who they are, with at least this scope. What a handler touches beyond the caller's own things it has
    /// to ask for: [`Caller::organization`].
    Person(TokenScope),
    /// A person in a browser: what a stolen token must not be able to change.
    Session,
    /// Members of the path's `{organization}`.
    Organization(Permission),
    /// Members of the organization that owns the path's `{slug}`, and collaborators.
    Project(Permission),
    /// Who runs the installation.
    Operator,
    Builder,
    Edge,
}

/// What one wants to do with an organization or a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Permission {
    View,
    ViewLogs,
    Deploy,
    /// Settings, variables, domains, hooks.
    Manage,
    /// Members, invitations, collaborators.
    ManageMembers,
    /// Ownership, and the end of an organization.
    Own,
}

impl Permission {
    /// The least role that has it.
    pub(crate) fn role(self) -> Role {
        match self {
            Self::View => Role::Viewer,
            Self::ViewLogs | Self::Deploy => Role::Developer,
            Self::Manage | Self::ManageMembers => Role::Admin,
            Self::Own => Role::Owner,
        }
    }

    /// The least scope of a token that has it.
    pub(crate) fn scope(self) -> TokenScope {
        match self {
            Self::View | Self::ViewLogs => TokenScope::Read,
            Self::Deploy => TokenScope::Deploy,
            Self::Manage | Self::ManageMembers | Self::Own => TokenScope::Admin,
        }
    }
}

/// The check of every route. It runs once a route is known, before its body is read.
pub(crate) async fn enforce(
    State(app): State<App>,
    path: MatchedPath,
    parameters: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    // A method that the path does not have gets its 405 from the router.
    let Some(access) = app.accesses.find(request.method(), path.as_str()) else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let origin = Origin::of(&parts, &app.config.trusted_hops);
    let is_counted = rates::is_counted(access, path.as_str());
    if access == Access::Open && is_counted {
        app.rates.count_address(origin.address, path.as_str())?;
    }
    match access {
        Access::Open => {}
        Access::Builder => {
            identify::platform(&app, &parts, TokenKind::Builder).await?;
            parts.extensions.insert(Builder);
        }
        Access::Edge => {
            identify::platform(&app, &parts, TokenKind::Edge).await?;
            parts.extensions.insert(Edge);
        }
        _ => {
            let caller = person(&app, &parts, &origin, is_counted, path.as_str()).await?;
            admit(&app, access, &caller, &parameters, &mut parts).await?;
            parts.extensions.insert(caller);
        }
    }
    parts.extensions.insert(origin);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Checks what the route asks of a person, and leaves what was found out about the path.
async fn admit(
    app: &App,
    access: Access,
    caller: &Caller,
    parameters: &RawPathParams,
    parts: &mut Parts,
) -> Result<(), ApiError> {
    match access {
        Access::Open | Access::Builder | Access::Edge => Ok(()),
        Access::Person(scope) => caller.require_scope(scope),
        Access::Session => caller.require_session().map(drop),
        Access::Operator => caller.require_operator(),
        Access::Organization(permission) => {
            let slug = path_parameter(parameters, "organization")?;
            parts.extensions.insert(caller.organization(&app.db().await?, &slug, permission).await?);
            Ok(())
        }
        Access::Project(permission) => {
            let slug = path_parameter(parameters, "slug")?;
            parts.extensions.insert(caller.project(&app.db().await?, &slug, permission).await?);
            Ok(())
        }
    }
}

/// The caller, whose calls are counted; and those of an address that is told nothing.
async fn person(
    app: &App,
    parts: &Parts,
    origin: &Origin,
    is_counted: bool,
    path: &str,
) -> Result<Caller, ApiError> {
    let caller = match identify::person(app, parts, origin.clone()).await {
        Ok(caller) => caller,
        Err(error) => {
            app.rates.count_address(origin.address, path)?;
            return Err(error);
        }
    };
    if is_counted {
        app.rates.count_caller(&caller)?;
    }
    Ok(caller)
}

/// The access of every route, by its path as it stands in the table, and the method.
#[derive(Debug, Default)]
pub(crate) struct Accesses(HashMap<String, Vec<(Method, Access)>>);

impl Accesses {
    pub(crate) fn new(rows: impl IntoIterator<Item = (Method, String, Access)>) -> Self {
        let mut accesses = Self::default();
        for (method, path, access) in rows {
            accesses.0.entry(path).or_default().push((method, access));
        }
        accesses
    }

    fn find(&self, method: &Method, path: &str) -> Option<Access> {
        // A HEAD is answered by the handler of GET.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let row = self.0.get(path)?.iter().find(|(known, _)| known == method);
        row.map(|(_, access)| *access)
    }
}
