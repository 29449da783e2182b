//! How a program gets a token: its person lets it in from a browser (RFC 8628).

use serde::{Deserialize, Serialize};

use super::TokenScope;
use crate::Timestamp;

/// `POST /api/v1/device/code`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BeginDevice {
    /// How the program, or its machine, is called: the token will be called so.
    #[cfg_attr(feature = "openapi", schema(example = "loggia on anna's laptop"))]
    pub client: String,
    pub scope: TokenScope,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceCode {
    /// For the program, to ask with.
    #[cfg_attr(feature = "openapi", schema(example = "q2bJ7vJm0o3XyT6Zp1s8Rk4d"))]
    pub device_code: String,
    /// For the person, to compare or to type.
    #[cfg_attr(feature = "openapi", schema(example = "BCDF-GHJK"))]
    pub user_code: String,
    #[cfg_attr(feature = "openapi", schema(example = "https://loggia.example.org/device"))]
    pub verification_uri: String,
    #[cfg_attr(feature = "openapi", schema(example = "https://loggia.example.org/device#BCDF-GHJK"))]
    pub verification_uri_complete: String,
    /// Seconds.
    #[cfg_attr(feature = "openapi", schema(example = 900))]
    pub expires_in: u64,
    /// Seconds between two questions.
    #[cfg_attr(feature = "openapi", schema(example = 5))]
    pub interval: u64,
}

/// `POST /api/v1/device/token`. Until the person decided, the answer is 400 with the code `authorization_pending`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PollDevice {
    #[cfg_attr(feature = "openapi", schema(example = "q2bJ7vJm0o3XyT6Zp1s8Rk4d"))]
    pub device_code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceToken {
    #[cfg_attr(feature = "openapi", schema(example = "loggia_user_q2bJ7vJm0o3XyT6Zp1s8Rk4d"))]
    pub token: String,
    pub expires_at: Timestamp,
}

/// A program that waits: what its person looks at before deciding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WaitingDevice {
    #[cfg_attr(feature = "openapi", schema(example = "loggia on anna's laptop"))]
    pub client: String,
    pub scope: TokenScope,
    /// Where it asks from.
    #[cfg_attr(feature = "openapi", schema(example = "192.0.2.7"))]
    pub address: Option<String>,
}

/// `POST /api/v1/device/decide`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DecideDevice {
    #[cfg_attr(feature = "openapi", schema(example = "BCDF-GHJK"))]
    pub user_code: String,
    pub approve: bool,
}
