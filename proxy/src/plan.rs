//! What becomes of a request: look up its site, ask the rules of serving, and say what has to be done.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use loggia_serve::decide::{ByteRange, Content, Extent};
use loggia_serve::pages::Page;
use loggia_serve::respond::{Body, Response, respond};
use loggia_serve::{Policy, RequestHead, Site, Target, head, host_redirect};
use loggia_types::hostname::HostnameKind;
use loggia_types::route::Route;
use loggia_types::rules::Scheme;
use loggia_types::{CountryCode, DeploymentRef, Hostname};
use pingora::http::RequestHeader;
use tracing::{error, warn};

use crate::answers::{Answer, Audience, Fields, Keep, Payload, Question};
use crate::bodies::Source;
use crate::cache_headers::{self, Served};
use crate::fetch::Fetch;
use crate::files::FilePlan;
use crate::manifests::ManifestError;
use crate::parts::PartsPlan;
use crate::record::Record;
use crate::request;
use crate::routes::{Resolution, Resolved};
use crate::service::EdgeService;

/// Answered on any hostname, for load balancers.
const HEALTH: &[u8] = b"/.loggia/health";

/// How the visitor came and from where, as far as we can know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    pub scheme: Scheme,
    pub country: Option<CountryCode>,
    pub audience: Audience,
}

/// What becomes of a request once everything about it is known.
pub(crate) enum Plan {
    Answer(Parts, Bytes),
    File(Box<FilePlan>),
    /// Past the cache.
    Fetch(Box<Fetch>),
    /// Several ranges, fetched one after another.
    Parts(Box<PartsPlan>),
}

/// A deployment, ready to answer.
struct Shown {
    site: Arc<Site>,
    /// The route that names it, when the hostname's present one names another.
    before: Option<Arc<Route>>,
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

    pub(crate) fn policy<'r>(&self, route: &'r Route) -> Policy<'r> {
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
        let mut resolved = match self.routes.resolve(&hostname).await {
            Resolution::Found(resolved) => resolved,
            Resolution::Unknown => {
                return Plan::page(Page::unknown_host(&hostname, &self.base_domain), &head.headers);
            }
            Resolution::Unavailable => return Plan::page(Page::routes_unavailable(), &head.headers),
        };
        record.route = Some(Arc::clone(&resolved.route));
        let (method, headers) = (&head.method, &head.headers);
        let (host, scheme) = (hostname.as_str(), visit.scheme);
        let country = visit.country.as_ref().map(CountryCode::as_str);
        let request = RequestHead { method, target, headers, scheme, host, country };
        if let Some(to) = &resolved.route.redirect {
            let response = host_redirect::redirect(request, request::port(head), to);
            record.rule.clone_from(&response.rule);
            return self.obey(response, head, visit, &resolved);
        }
        let Some(deployment) = resolved.route.deployment() else {
            return Plan::page(Page::no_deployment(&hostname), &head.headers);
        };
        let shown = match self.shown(&resolved, deployment).await {
            Ok(shown) => shown,
            Err(error) => return Plan::page(manifest_page(&hostname, &error), &head.headers),
        };
        let is_outdated = shown.before.is_some();
        if let Some(before) = shown.before {
            self.observer.metrics.answers_outdated.fetch_add(1, Ordering::Relaxed);
            record.route = Some(Arc::clone(&before));
            resolved = Resolved { route: before, is_confirmed: false, ..resolved };
        }
        let mut response = respond(&shown.site, &self.policy(&resolved.route), request);
        record.rule.clone_from(&response.rule);
        if is_outdated {
            cache_headers::mark_outdated(&mut response.parts);
        }
        self.obey(response, head, visit, &resolved)
    }

    /// What a hostname shows: its deployment, or the one before for as long as the manifest of that one cannot be read
    /// and nobody has seen it.
    async fn shown(
        &self,
        resolved: &Resolved,
        deployment: DeploymentRef,
    ) -> Result<Shown, Arc<ManifestError>> {
        let Resolved { route, slot, .. } = resolved;
        if slot.shown_before(route).is_some() {
            let newest = self.manifests.get_soon(deployment).await;
            // Looked up again: meanwhile another visitor may have been shown the newest.
            if !matches!(newest, Some(Ok(_)))
                && let Some(before) = slot.shown_before(route)
                && let Some(of_before) = before.deployment()
                && let Some(Ok(site)) = self.manifests.get_soon(of_before).await
            {
                if let Some(Err(error)) = newest {
                    let hostname = &route.hostname;
                    warn!(%hostname, error = %error, "The manifest for {hostname} could not be read, what it showed before is shown on");
                }
                return Ok(Shown { site, before: Some(before) });
            }
        }
        let site = self.manifests.get(deployment).await?;
        slot.show(route);
        Ok(Shown { site, before: None })
    }

    /// Turns a response into an answer, or into what has to be fetched for it.
    fn obey(
        &self,
        mut response: Response<'_>,
        head: &RequestHeader,
        visit: Visit,
        resolved: &Resolved,
    ) -> Plan {
        let route = &resolved.route;
        cache_headers::address(&mut response.parts.headers, visit.audience, resolved, response.is_repeatable);
        let keep = keep(&response, head, visit, resolved);
        let Response { mut parts, body, is_protected, .. } = response;
        match body {
            Body::Inline(bytes) => {
                self.cache_headers.tell(&mut parts, Served::Manifest);
                if let Some(keep) = keep {
                    self.answers.keep(Answer::new(keep, &parts, Payload::Inline(bytes.clone())));
                }
                Plan::Answer(parts, bytes)
            }
            Body::File(content) => {
                let range = only_range(&content);
                let source = Source::of(route.project_id, &content);
                if is_protected {
                    // No cache keeps what only some may see.
                    self.cache_headers.tell(&mut parts, Served::Passed { origin_ms: None });
                    return Plan::Fetch(Box::new(Fetch::new(parts, source, range)));
                }
                Plan::File(Box::new(FilePlan { head: parts, source, range, keep }))
            }
            Body::Parts(content, multipart) => {
                self.cache_headers.tell(&mut parts, Served::Passed { origin_ms: None });
                let source = Source::of(route.project_id, &content);
                Plan::Parts(Box::new(PartsPlan::new(parts, source, multipart)))
            }
        }
    }
}

/// What may be remembered: the answer to a GET that everybody gets who asks the same.
fn keep(response: &Response<'_>, head: &RequestHeader, visit: Visit, resolved: &Resolved) -> Option<Keep> {
    let target = head.raw_path();
    let is_confirmed = resolved.is_confirmed || visit.audience == Audience::Public;
    if cache_headers::is_outdated(&response.parts) {
        // The next visitor may be shown the newer one.
        return None;
    }
    if !response.is_repeatable || !is_confirmed || head.method != Method::GET || !target.starts_with(b"/") {
        return None;
    }
    let host = request::host(head)?;
    let is_https = visit.scheme == Scheme::Https;
    let (mut buffer, fields) = (Vec::new(), Fields::of(&head.headers));
    let key = Question::write(&mut buffer, host, target, is_https, visit.audience, &fields)?.to_key();
    Some(Keep { key, resolved: resolved.clone(), rule: response.rule.clone() })
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
        ManifestError::Slow(_) | ManifestError::Store(_) | ManifestError::Abandoned(_) => {
            warn!(%hostname, error = %error, "The manifest for {hostname} could not be read");
            Page::store_unavailable()
        }
    }
}
