//! What people want mail about.

use serde::{Deserialize, Serialize};

/// `GET` and `PUT /api/v1/user/notifications`. Mail about the safety of an account is always sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Notifications {
    /// A production deployment of a project that one works on failed.
    pub deployment_failed: bool,
    /// The first one after failures went live.
    pub deployment_recovered: bool,
    /// A domain's proof is gone, and it is no longer served.
    pub domain_lost: bool,
}
