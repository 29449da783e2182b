//! What every failed call is answered with.

use serde::{Deserialize, Serialize};

/// Problem details for HTTP APIs (RFC 9457), sent as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// Names the kind of problem: the code below as a URN.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(example = "urn:loggia:problem:slug_taken"))]
    pub kind: String,
    /// The status in words.
    #[cfg_attr(feature = "openapi", schema(example = "Conflict"))]
    pub title: String,
    #[cfg_attr(feature = "openapi", schema(example = 409))]
    pub status: u16,
    /// For people: what was wrong, and what would be right.
    #[cfg_attr(feature = "openapi", schema(example = "the slug shop is taken; choose another"))]
    pub detail: String,
    /// For programs. Never changes its meaning.
    #[cfg_attr(feature = "openapi", schema(example = "slug_taken"))]
    pub code: String,
    /// The field of the body or the query that the problem is about, e.g. `build.root`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "slug"))]
    pub field: Option<String>,
    /// What the server's log names this call.
    #[cfg_attr(feature = "openapi", schema(example = "6b0b4f36-21b1-4f4f-8f0e-3a5f1f6a9c11"))]
    pub request_id: String,
}

impl ErrorBody {
    /// The URN of a code.
    pub fn kind_of(code: &str) -> String {
        format!("urn:loggia:problem:{code}")
    }
}
