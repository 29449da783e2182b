//! What a request asks for, and what is known about the hostname that it came to.

use http::{HeaderMap, Method};
use loggia_types::build::Environment;
use loggia_types::route::ServeSettings;
use loggia_types::rules::Scheme;

use crate::matching::RuleRequest;
use crate::target::{BadTarget, Target};

/// The part of a request that decides its answer.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'r> {
    pub method: &'r Method,
    /// Path and query as they were sent.
    pub target: &'r [u8],
    pub headers: &'r HeaderMap,
    pub scheme: Scheme,
    /// Lower case, without a port.
    pub host: &'r str,
    /// ISO 3166-1 alpha-2, where somebody in front of the edge knows it.
    pub country: Option<&'r str>,
}

/// A request whose target is understood.
#[derive(Debug, Clone)]
pub struct Asked<'r> {
    pub head: RequestHead<'r>,
    pub target: Target<'r>,
}

impl<'r> Asked<'r> {
    pub fn parse(head: RequestHead<'r>) -> Result<Self, BadTarget> {
        // `OPTIONS *` asks about the server as a whole (RFC 9110 §9.3.7).
        let is_server = head.target == b"*" && head.method == Method::OPTIONS;
        Ok(Self { target: Target::parse(if is_server { b"/" } else { head.target })?, head })
    }

    /// The request as rules see it.
    pub(crate) fn for_rules(&self) -> RuleRequest<'_> {
        RuleRequest {
            path: self.target.path(),
            query: self.target.query(),
            scheme: self.head.scheme,
            host: self.head.host,
            headers: self.head.headers,
            country: self.head.country,
        }
    }
}

/// What the hostname says about the answer, whatever the deployment.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'r> {
    /// What fills the places that the deployment's own files leave open.
    pub settings: &'r ServeSettings,
    pub environment: Environment,
    /// The primary production hostname: search engines may list it, and it does not explain itself.
    pub is_primary: bool,
    /// A subdomain of the platform's, beside other people's sites.
    pub is_platform_host: bool,
}
