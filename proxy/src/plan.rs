//! What becomes of a request: look up its site, ask the rules of serving, and say what has to be done.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use loggia_serve::decide::{ByteRange, Content, Extent};
use loggia_serve::pages::Page;
use loggia_serve::respond::{Body, Response, respond};
use loggia_serve::{Policy, RequestHead, Target, head};
use loggia_types::hostname::HostnameKind;
use loggia_types::route::Route;
use loggia_types::rules::Scheme;
use loggia_types::{CountryCode, Hostname};
use pingora::http::RequestHeader;
use tracing::{error, warn};

use crate::fetch::Fetch;
use crate::manifests::ManifestError;
use crate::parts::PartsPlan;
use crate::record::Record;
use crate::request;
use crate::routes::Resolution;
use crate::service::EdgeService;

/// Answered on any hostname, for load balancers.
const HEALTH: &[u8] = b"/.loggia/health";

/// How the visitor came and from where, as far as we can know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    pub scheme: Scheme,
    pub country: Option<CountryCode>,
}

/// What becomes of a request once everything about it is known.
pub(crate) enum Plan {
    Answer(Parts, Bytes),
    Fetch(Box<Fetch>),
    /// Several ranges, fetched one after another.
    Parts(Box<PartsPlan>),
}

impl Plan {
    pub(crate) fn page(page: Page, request: &HeaderMap) -> Self {
        let (parts, body) = page.into_answer(request);
        Self::Answer(parts, body)
    }
}

impl EdgeService {
    /// Serving goes on without a disk, so this stays 200; what is wrong is in the text.
    fn health(&self) -> Plan {
        let text = match self.routes.unsaved() {
            0 => "ok\n".to_owned(),
            lines => format!("ok, but {lines} routes could not be written to disk\n"),
        };
        let mut parts = head::platform(StatusCode::OK);
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        parts.headers.insert(CONTENT_LENGTH, text.len().into());
        Plan::Answer(parts, Bytes::from(text))
    }

    fn policy<'r>(&self, route: &'r Route) -> Policy<'r> {
        Policy {
            settings: &route.serve,
            environment: route.environment,
            is_primary: route.indexable,
            is_platform_host: self.base_domain.classify(&route.hostname) != HostnameKind::Domain,
        }
    }

    pub(crate) async fn plan(&self, head: &RequestHeader, visit: Visit, record: &mut Record) -> Plan {
        let target = request::target(head);
        if target == HEALTH {
            return self.health();
        }
        let hostname = match request::admit(head) {
            Ok(hostname) => hostname,
            Err(refusal) => return Plan::page(refusal.page(), &head.headers),
        };
        if Target::parse(target).is_ok_and(|target| target.is_reserved()) {
            return Plan::page(Page::not_found(), &head.headers);
        }
        let route = match self.routes.resolve(&hostname).await {
            Resolution::Found(route) => route,
            Resolution::Unknown => {
                return Plan::page(Page::unknown_host(&hostname, &self.base_domain), &head.headers);
            }
            Resolution::Unavailable => return Plan::page(Page::routes_unavailable(), &head.headers),
        };
        record.route = Some(Arc::clone(&route));
        let Some(deployment) = route.deployment() else {
            return Plan::page(Page::no_deployment(&hostname), &head.headers);
        };
        match self.manifests.get(deployment).await {
            Ok(site) => {
                let (method, headers) = (&head.method, &head.headers);
                let (host, scheme) = (hostname.as_str(), visit.scheme);
                let country = visit.country.as_ref().map(CountryCode::as_str);
                let request = RequestHead { method, target, headers, scheme, host, country };
                let response = respond(&site, &self.policy(&route), request);
                record.rule.clone_from(&response.rule);
                obey(response)
            }
            Err(error) => Plan::page(manifest_page(&hostname, &error), &head.headers),
        }
    }
}

/// Turns a response into an answer, or into what has to be fetched for it.
fn obey(response: Response<'_>) -> Plan {
    let Response { parts, body, .. } = response;
    match body {
        Body::Inline(bytes) => Plan::Answer(parts, bytes),
        Body::File(content) => Plan::Fetch(Box::new(Fetch::new(parts, &content, only_range(&content)))),
        Body::Parts(content, multipart) => Plan::Parts(Box::new(PartsPlan::new(parts, &content, multipart))),
    }
}

fn only_range(content: &Content<'_>) -> Option<ByteRange> {
    match &content.extent {
        Extent::Part(ranges) => ranges.as_slice().first().copied(),
        Extent::Whole | Extent::NotModified | Extent::NotSatisfiable => None,
    }
}

fn manifest_page(hostname: &Hostname, error: &Arc<ManifestError>) -> Page {
    match error.as_ref() {
        ManifestError::Missing(_) => {
            error!(%hostname, error = %error, "{hostname} shows a deployment that the store does not have");
            Page::deployment_missing()
        }
        ManifestError::Slow(_) | ManifestError::Store(_) => {
            warn!(%hostname, error = %error, "The manifest for {hostname} could not be read");
            Page::store_unavailable()
        }
    }
}
