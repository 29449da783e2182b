//! People, and how they sign in.

use serde::{Deserialize, Serialize};

use super::{Role, TokenScope};
use crate::{EmailAddress, OrganizationSlug, SessionId, Timestamp, UserId};

/// A person, as they see themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    pub id: UserId,
    pub email: EmailAddress,
    pub name: String,
    /// Runs the installation.
    pub is_operator: bool,
    /// Signing in with a password is possible.
    pub has_password: bool,
    pub has_two_factor: bool,
    pub created_at: Timestamp,
}

/// `GET /api/v1/user`: who calls, and what they may do where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WhoAmI {
    /// None for the token of the configuration.
    pub user: Option<User>,
    pub organizations: Vec<Membership>,
    /// Of the token that was shown; none in a browser.
    pub scope: Option<TokenScope>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Membership {
    pub slug: OrganizationSlug,
    pub name: String,
    pub role: Role,
    /// Everybody has one of their own.
    pub is_personal: bool,
}

/// `GET /api/v1/setup`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetupState {
    /// There is nobody yet.
    pub needed: bool,
}

/// `POST /api/v1/setup`: the first person, who runs the installation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Out of the link that was printed where Loggia was started.
    #[cfg_attr(feature = "openapi", schema(example = "loggia_setup_q2bJ7vJm0o3XyT6Zp1s8Rk4d"))]
    pub token: String,
    pub email: EmailAddress,
    #[cfg_attr(feature = "openapi", schema(example = "Anna"))]
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(example = "correct horse battery staple"))]
    pub password: String,
}

/// `POST /api/v1/session`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub email: EmailAddress,
    #[cfg_attr(feature = "openapi", schema(example = "correct horse battery staple"))]
    pub password: String,
}

/// The answer to a right password, or a right second factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SignedIn {
    /// The cookie is set.
    SignedIn { user: User },
    /// The second factor is wanted, with this challenge, within five minutes.
    SecondFactorNeeded {
        #[cfg_attr(feature = "openapi", schema(example = "q2bJ7vJm0o3XyT6Zp1s8Rk4d"))]
        challenge: String,
    },
}

/// `POST /api/v1/session/second-factor`: a code of the device, or one of the recovery codes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SecondFactor {
    #[cfg_attr(feature = "openapi", schema(example = "q2bJ7vJm0o3XyT6Zp1s8Rk4d"))]
    pub challenge: String,
    #[cfg_attr(feature = "openapi", schema(example = "123456"))]
    pub code: String,
}

/// `PATCH /api/v1/user`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateUser {
    #[cfg_attr(feature = "openapi", schema(example = "Anna"))]
    pub name: String,
}

/// `PUT /api/v1/user/password`. All other sessions end.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// Absent for who signs in elsewhere and has none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "correct horse battery staple"))]
    pub current_password: Option<String>,
    #[cfg_attr(feature = "openapi", schema(example = "staple battery horse correct"))]
    pub new_password: String,
}

/// `POST /api/v1/user/email`: a link goes to the new address, and nothing changes until it is opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeEmail {
    pub email: EmailAddress,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "correct horse battery staple"))]
    pub current_password: Option<String>,
}

/// A link out of a mail, by what stands behind its `#`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MailedToken {
    #[cfg_attr(feature = "openapi", schema(example = "q2bJ7vJm0o3XyT6Zp1s8Rk4d"))]
    pub token: String,
}

/// `POST /api/v1/password-reset`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ForgotPassword {
    pub email: EmailAddress,
}

/// `POST /api/v1/password-reset/confirm`. All sessions end.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    #[cfg_attr(feature = "openapi", schema(example = "q2bJ7vJm0o3XyT6Zp1s8Rk4d"))]
    pub token: String,
    #[cfg_attr(feature = "openapi", schema(example = "staple battery horse correct"))]
    pub password: String,
}

/// `POST /api/v1/sign-up`, where the installation is open to the address.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    pub email: EmailAddress,
    #[cfg_attr(feature = "openapi", schema(example = "Anna"))]
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(example = "correct horse battery staple"))]
    pub password: String,
}

/// A browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    pub id: SessionId,
    /// The one that asks.
    pub is_this_one: bool,
    #[cfg_attr(feature = "openapi", schema(example = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"))]
    pub user_agent: String,
    #[cfg_attr(feature = "openapi", schema(example = "192.0.2.7"))]
    pub address: Option<String>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub expires_at: Timestamp,
}

/// The current password, for what a stolen session shall not be able to do. Absent for who has none: then the sign-in has
/// to be a few minutes old at most.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "correct horse battery staple"))]
    pub current_password: Option<String>,
}

/// The answer to `POST /api/v1/user/two-factor`: not in force until a code confirms it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TwoFactorStarted {
    /// For typing, in base 32.
    #[cfg_attr(feature = "openapi", schema(example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"))]
    pub secret: String,
    /// For a QR code.
    #[cfg_attr(
        feature = "openapi",
        schema(
            example = "otpauth://totp/Loggia:anna%40example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Loggia"
        )
    )]
    pub otpauth_url: String,
}

/// `POST /api/v1/user/two-factor/confirm`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TwoFactorCode {
    #[cfg_attr(feature = "openapi", schema(example = "123456"))]
    pub code: String,
}

/// Shown once. Each opens the account in place of a code, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoveryCodes {
    #[cfg_attr(feature = "openapi", schema(example = json!(["k2m8-x4vq-7rtn-c5pz"])))]
    pub recovery_codes: Vec<String>,
}
