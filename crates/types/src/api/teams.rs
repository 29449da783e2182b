//! Organizations, who belongs to them, and their tokens.

use serde::{Deserialize, Serialize};

use super::{Role, TokenScope};
use crate::{
    ApiTokenId, EmailAddress, InvitationId, OrganizationId, OrganizationSlug, ProjectSlug, Timestamp, UserId,
};

/// A team that owns projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Organization {
    pub id: OrganizationId,
    pub slug: OrganizationSlug,
    #[cfg_attr(feature = "openapi", schema(example = "Acme"))]
    pub name: String,
    /// It is somebody's own, and leaves with them.
    pub is_personal: bool,
    /// What the caller is in it.
    pub role: Role,
}

/// `POST /api/v1/organizations`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateOrganization {
    pub slug: OrganizationSlug,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "Acme"))]
    pub name: Option<String>,
}

/// `PATCH /api/v1/organizations/{organization}`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateOrganization {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<OrganizationSlug>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "Acme"))]
    pub name: Option<String>,
}

/// Somebody in an organization, or a collaborator of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Member {
    pub id: UserId,
    pub email: EmailAddress,
    #[cfg_attr(feature = "openapi", schema(example = "Anna"))]
    pub name: String,
    pub role: Role,
    pub has_two_factor: bool,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateMember {
    pub role: Role,
}

/// Somebody who was invited and has not come yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invitation {
    pub id: InvitationId,
    pub email: EmailAddress,
    pub role: Role,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// `POST /api/v1/organizations/{organization}/invitations`: again for the same address is a new link, and the old one is
/// worth nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateInvitation {
    pub email: EmailAddress,
    pub role: Role,
}

/// `POST /api/v1/invitations/preview`: what a link is for, without an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InvitationPreview {
    #[cfg_attr(feature = "openapi", schema(example = "Acme"))]
    pub organization: String,
    pub role: Role,
    /// `a…@example.org`
    #[cfg_attr(feature = "openapi", schema(example = "a…@example.org"))]
    pub email: String,
    /// There is an account with this address: sign in to accept.
    pub has_account: bool,
}

/// `POST /api/v1/invitations/accept`, by who has no account yet: it is made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AcceptAsNewPerson {
    #[cfg_attr(feature = "openapi", schema(example = "q2bJ7vJm0o3XyT6Zp1s8Rk4d"))]
    pub token: String,
    #[cfg_attr(feature = "openapi", schema(example = "Anna"))]
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(example = "correct horse battery staple"))]
    pub password: String,
}

/// A token of a person's program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiToken {
    pub id: ApiTokenId,
    #[cfg_attr(feature = "openapi", schema(example = "deploys from CI"))]
    pub name: String,
    pub scope: TokenScope,
    /// It opens this organization only.
    pub organization: Option<OrganizationSlug>,
    /// It opens this project only.
    pub project: Option<ProjectSlug>,
    /// Its last characters.
    #[cfg_attr(feature = "openapi", schema(example = "Rk4d"))]
    pub hint: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

/// `POST /api/v1/user/tokens`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    #[cfg_attr(feature = "openapi", schema(example = "deploys from CI"))]
    pub name: String,
    pub scope: TokenScope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationSlug>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectSlug>,
    /// 1 to 366; 90 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = 90, minimum = 1, maximum = 366))]
    pub days: Option<u16>,
    /// It never expires; not together with `days`.
    #[serde(default)]
    pub forever: bool,
}

/// The token itself is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedToken {
    #[serde(flatten)]
    pub details: ApiToken,
    #[cfg_attr(feature = "openapi", schema(example = "loggia_user_q2bJ7vJm0o3XyT6Zp1s8Rk4d"))]
    pub token: String,
}

/// `PUT /api/v1/projects/{slug}/collaborators`: somebody who is no member of the organization.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetCollaborator {
    pub email: EmailAddress,
    pub role: Role,
}

/// A change that somebody made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    #[cfg_attr(feature = "openapi", schema(example = 42))]
    pub id: i64,
    pub happened_at: Timestamp,
    /// Who: an address, with the token's name if one was used. Kept as it was.
    #[cfg_attr(feature = "openapi", schema(example = "anna@example.org (token deploys from CI)"))]
    pub actor: String,
    #[cfg_attr(feature = "openapi", schema(example = "project.update"))]
    pub action: String,
    #[cfg_attr(feature = "openapi", schema(example = "shop"))]
    pub target: String,
    /// Without secrets; null for what was not there.
    #[cfg_attr(feature = "openapi", schema(example = json!({"name": "Shop"})))]
    pub before: serde_json::Value,
    #[cfg_attr(feature = "openapi", schema(example = json!({"name": "The shop"})))]
    pub after: serde_json::Value,
    #[cfg_attr(feature = "openapi", schema(example = "192.0.2.7"))]
    pub address: Option<String>,
    #[cfg_attr(feature = "openapi", schema(example = "6b0b4f36-21b1-4f4f-8f0e-3a5f1f6a9c11"))]
    pub request_id: String,
}
