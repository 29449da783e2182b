//! Callers, as handlers see them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use loggia_runtime::TrustedHops;
use loggia_types::api::{Role, TokenScope};
use loggia_types::{ApiTokenId, OrganizationId, OrganizationSlug, ProjectId, ProjectSlug, SessionId, UserId};
use tower_http::request_id::RequestId;

use super::Permission;
use crate::app::App;
use crate::db::organizations::OrganizationRow;
use crate::db::projects::ProjectRow;
use crate::db::{self, GenericClient};
use crate::error::ApiError;

/// Where a request came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) address: Option<IpAddr>,
    pub(crate) request_id: String,
    pub(crate) user_agent: String,
}

/// A browser's is some 150 bytes long.
const USER_AGENT_LEN_MAX: usize = 300;

impl Origin {
    pub(super) fn of(parts: &Parts, hops: &TrustedHops) -> Self {
        let extensions = &parts.extensions;
        let request_id = extensions.get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Self {
            address: extensions
                .get::<ConnectInfo<SocketAddr>>()
                .map(|info| hops.client(info.0.ip(), false, &parts.headers).ip),
            request_id: request_id.unwrap_or_default().to_owned(),
            user_agent: user_agent.unwrap_or_default().chars().take(USER_AGENT_LEN_MAX).collect(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The token of the configuration: whoever can read it runs the installation.
    Configuration,
    Person {
        user_id: UserId,
        is_operator: bool,
    },
}

/// How a caller proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    Session(SessionId),
    /// A link out of a mail: for what that one is for, and for nothing else.
    Link,
    /// A token does what its owner may, within its scope, and within its organization or project if it names one.
    Token {
        id: ApiTokenId,
        scope: TokenScope,
        organization_id: Option<OrganizationId>,
        project_id: Option<ProjectId>,
    },
}

/// A person, or a program of theirs.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) who: Who,
    pub(crate) via: Via,
    pub(crate) origin: Origin,
}

impl Caller {
    /// Whoever opened a link that was mailed to this person.
    pub(crate) fn by_link(user_id: UserId, origin: Origin) -> Self {
        Self { who: Who::Person { user_id, is_operator: false }, via: Via::Link, origin }
    }

    pub(crate) fn user_id(&self) -> Option<UserId> {
        match self.who {
            Who::Person { user_id, .. } => Some(user_id),
            Who::Configuration => None,
        }
    }

    /// The person, for what only a person has: a password, a personal organization.
    pub(crate) fn require_person(&self) -> Result<UserId, ApiError> {
        self.user_id().ok_or_else(|| {
            let message = "the token of the configuration is no person; sign in, or use a token of your own";
            ApiError::forbidden("not_a_person", message)
        })
    }

    pub(crate) fn is_operator(&self) -> bool {
        matches!(self.who, Who::Configuration | Who::Person { is_operator: true, .. })
    }

    /// A token that names an organization or a project is of no use for anything else.
    pub(crate) fn is_narrow(&self) -> bool {
        match self.via {
            Via::Token { organization_id, project_id, .. } => {
                organization_id.is_some() || project_id.is_some()
            }
            Via::Session(_) | Via::Link => false,
        }
    }

    pub(crate) fn require_wide(&self) -> Result<(), ApiError> {
        if self.is_narrow() {
            let message = "this token is for one organization or project only, and this is for all of them";
            return Err(ApiError::forbidden("token_too_narrow", message));
        }
        Ok(())
    }

    /// Whether a token that names a place names this one, or around it.
    pub(crate) fn reaches_organization(&self, id: OrganizationId) -> bool {
        match self.via {
            // A token for one project sees nothing of the organization around it.
            Via::Token { organization_id, project_id, .. } => {
                project_id.is_none() && organization_id.is_none_or(|own| own == id)
            }
            Via::Session(_) | Via::Link => true,
        }
    }

    pub(crate) fn require_scope(&self, wanted: TokenScope) -> Result<(), ApiError> {
        match self.via {
            Via::Token { scope, .. } if scope < wanted => Err(ApiError::forbidden(
                "scope_too_narrow",
                format!("this token has the scope {}, this takes {}", scope.as_str(), wanted.as_str()),
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn require_session(&self) -> Result<SessionId, ApiError> {
        match self.via {
            Via::Session(id) => Ok(id),
            Via::Token { .. } | Via::Link => {
                let message = "this is done in the dashboard, signed in; no token can do it";
                Err(ApiError::forbidden("session_needed", message))
            }
        }
    }

    pub(crate) fn require_operator(&self) -> Result<(), ApiError> {
        if self.is_narrow() || !self.is_operator() {
            let message = "this is for those who run the installation";
            return Err(ApiError::forbidden("operators_only", message));
        }
        self.require_scope(TokenScope::Admin)
    }

    /// The organization, if the caller may do this in it.
    pub(crate) async fn organization(
        &self,
        db: &impl GenericClient,
        slug: &OrganizationSlug,
        permission: Permission,
    ) -> Result<InOrganization, ApiError> {
        let found = db::organizations::find_with_role(db, slug, self.user_id()).await?;
        let seen = self.seen(found, |organization| self.reaches_organization(organization.id));
        let (organization, role) = seen.ok_or_else(|| ApiError::not_found(format!("organization {slug}")))?;
        self.require(role, permission)?;
        Ok(InOrganization { caller: self.clone(), role, organization: Arc::new(organization) })
    }

    /// The project, if the caller may do this with it.
    pub(crate) async fn project(
        &self,
        db: &impl GenericClient,
        slug: &ProjectSlug,
        permission: Permission,
    ) -> Result<InProject, ApiError> {
        let found = db::projects::find_with_role(db, slug, self.user_id()).await?;
        let seen = self.seen(found, |project| match self.via {
            Via::Token { organization_id, project_id, .. } => {
                organization_id.is_none_or(|id| id == project.organization_id)
                    && project_id.is_none_or(|id| id == project.id)
            }
            Via::Session(_) | Via::Link => true,
        });
        let (project, role) = seen.ok_or_else(|| ApiError::not_found(format!("project {slug}")))?;
        self.require(role, permission)?;
        Ok(InProject { caller: self.clone(), role, project: Arc::new(project) })
    }

    /// What the caller has a role in, and their token reaches. Operators own everything.
    fn seen<T>(
        &self,
        found: Option<(T, Option<Role>)>,
        is_reached: impl FnOnce(&T) -> bool,
    ) -> Option<(T, Role)> {
        let (thing, role) = found?;
        let role = if self.is_operator() { Some(Role::Owner) } else { role }?;
        is_reached(&thing).then_some((thing, role))
    }

    /// Whether a role that is theirs, and their token's scope, suffice.
    fn require(&self, role: Role, permission: Permission) -> Result<(), ApiError> {
        self.require_scope(permission.scope())?;
        require_role(role, permission)
    }
}

fn require_role(role: Role, permission: Permission) -> Result<(), ApiError> {
    if role >= permission.role() {
        return Ok(());
    }
    let message = format!(
        "this takes the role {}, yours is {}; ask an admin of the organization",
        permission.role().as_str(),
        role.as_str()
    );
    Err(ApiError::forbidden("role_too_low", message))
}

/// A caller who may do in an organization what the route is for.
#[derive(Debug, Clone)]
pub(crate) struct InOrganization {
    pub(crate) caller: Caller,
    pub(crate) role: Role,
    pub(crate) organization: Arc<OrganizationRow>,
}

impl InOrganization {
    /// More than the route itself asks for.
    pub(crate) fn require(&self, permission: Permission) -> Result<(), ApiError> {
        self.caller.require(self.role, permission)
    }
}

impl InProject {
    /// As [`InOrganization::require`].
    pub(crate) fn require(&self, permission: Permission) -> Result<(), ApiError> {
        self.caller.require(self.role, permission)
    }
}

/// A caller who may do with a project what the route is for.
#[derive(Debug, Clone)]
pub(crate) struct InProject {
    pub(crate) caller: Caller,
    pub(crate) role: Role,
    pub(crate) project: Arc<ProjectRow>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Builder;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge;

/// Takes what [`super::enforce`] left. A handler that wants another caller than its route declares finds none: our
/// fault, which the walk over all routes finds.
macro_rules! left_by_enforce {
    ($($type:ident),*) => {$(
        impl FromRequestParts<App> for $type {
            type Rejection = ApiError;
            async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
                parts.extensions.get::<$type>().cloned().ok_or_else(|| {
                    ApiError::internal(concat!("the route's access gives no ", stringify!($type)))
                })
            }
        }
    )*};
}

left_by_enforce!(Origin, Caller, InOrganization, InProject, Builder, Edge);
