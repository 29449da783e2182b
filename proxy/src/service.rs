//! The proxy's phases. Thin: look up, decide, obey.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use loggia_types::{BaseDomain, Hostname, Manifest};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};
use tracing::{error, warn};

use crate::body;
use crate::decide::{Decision, RequestHead, Target, decide, headers};
use crate::fetch::{Fault, Fetch};
use crate::manifests::{ManifestError, Manifests};
use crate::origin::Origin;
use crate::pages::Page;
use crate::request;
use crate::routes::{Resolution, Routes};

/// Answered on any hostname, for load balancers.
const HEALTH: &[u8] = b"/.loggia/health";

/// BEHAVIOR §1 step 0: these belong to the platform on every site.
const RESERVED: &[&str] = &[".loggia/", ".well-known/acme-challenge/"];

/// A connection that failed before anything was sent is tried once more.
const CONNECT_TRIES_MAX: u32 = 2;

pub(crate) struct EdgeService {
    pub base_domain: BaseDomain,
    pub routes: Routes,
    pub manifests: Manifests,
    pub origin: Origin,
}

/// What is known about a request between the phases.
#[derive(Default)]
pub(crate) struct Ctx {
    fetch: Option<Fetch>,
    connect_tries: u32,
}

/// What becomes of a request once everything about it is known.
enum Plan {
    Answer(Parts, Bytes),
    Fetch(Box<Fetch>),
}

impl Plan {
    fn page(page: Page, request: &HeaderMap) -> Self {
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
        let mut parts = headers::platform(StatusCode::OK);
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        parts.headers.insert(CONTENT_LENGTH, text.len().into());
        Plan::Answer(parts, Bytes::from(text))
    }

    async fn plan(&self, head: &RequestHeader) -> Plan {
        let target = request::target(head);
        if target == HEALTH {
            return self.health();
        }
        let hostname = match request::admit(head) {
            Ok(hostname) => hostname,
            Err(refusal) => return Plan::page(Page::refused(refusal), &head.headers),
        };
        if Target::parse(target).is_ok_and(|target| is_reserved(target.path())) {
            return Plan::page(Page::not_found(), &head.headers);
        }
        let route = match self.routes.resolve(&hostname).await {
            Resolution::Found(route) => route,
            Resolution::Unknown => {
                return Plan::page(Page::unknown_host(&hostname, &self.base_domain), &head.headers);
            }
            Resolution::Unavailable => return Plan::page(Page::routes_unavailable(), &head.headers),
        };
        let Some(deployment) = route.deployment() else {
            return Plan::page(Page::no_deployment(&hostname), &head.headers);
        };
        match self.manifests.get(deployment).await {
            Ok(manifest) => {
                let request = RequestHead { method: &head.method, target, headers: &head.headers };
                obey(&decide(&manifest, &route.serve, request), &manifest, route.indexable, request)
            }
            Err(error) => Plan::page(manifest_page(&hostname, &error), &head.headers),
        }
    }
}

/// Turns a decision into an answer, or into what has to be fetched for it.
fn obey(decision: &Decision<'_>, manifest: &Manifest, indexable: bool, request: RequestHead<'_>) -> Plan {
    let parts = headers::of_decision(decision, manifest, indexable);
    let page = |page: Page, parts| {
        let (parts, body) = page.into_body_of(parts, request.headers);
        Plan::Answer(parts, body)
    };
    match decision {
        Decision::Whole(served) if request.method == Method::HEAD || served.entry.size() == 0 => {
            Plan::Answer(parts, Bytes::new())
        }
        Decision::Whole(served) => Plan::Fetch(Box::new(Fetch::whole(parts, served.entry))),
        Decision::Part(served, range) => Plan::Fetch(Box::new(Fetch::part(parts, served.entry, *range))),
        Decision::NotFound => page(Page::not_found(), parts),
        Decision::MethodNotAllowed => page(Page::method_not_allowed(), parts),
        Decision::BadRequest(error) => page(Page::bad_target(*error), parts),
        Decision::NotModified(_)
        | Decision::RangeNotSatisfiable(_)
        | Decision::Redirect { .. }
        | Decision::Options => Plan::Answer(parts, Bytes::new()),
    }
}

fn is_reserved(path: &str) -> bool {
    RESERVED.iter().any(|folder| path.starts_with(folder) || path == folder.trim_end_matches('/'))
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

async fn send(session: &mut ServerSession, parts: Parts, body: Bytes) -> pingora::Result<()> {
    let has_body = session.req_header().method != Method::HEAD && !body.is_empty();
    session.write_response_header(Box::new(ResponseHeader::from(parts))).await?;
    session.write_response_body(if has_body { body } else { Bytes::new() }, true).await
}

fn internal(error: impl std::fmt::Display) -> Box<Error> {
    Error::explain(ErrorType::InternalError, error.to_string())
}

#[async_trait]
impl ProxyHttp for EdgeService {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::default()
    }

    /// No response compression: variants are made at deploy time.
    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<bool> {
        let session = session.as_downstream_mut();
        if let Err(refused) = body::discard(session).await {
            session.set_keepalive(None);
            let (parts, body) = refused.into_answer(&session.req_header().headers);
            send(session, parts, body).await?;
            return Ok(true);
        }
        match Box::pin(self.plan(session.req_header())).await {
            Plan::Fetch(fetch) => {
                ctx.fetch = Some(*fetch);
                Ok(false)
            }
            Plan::Answer(parts, body) => {
                if parts.status == StatusCode::BAD_REQUEST {
                    session.set_keepalive(None);
                }
                send(session, parts, body).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut Ctx) -> pingora::Result<Box<HttpPeer>> {
        let peer = self.origin.peer().await;
        peer.map(Box::new)
            .map_err(|cause| Error::because(ErrorType::ConnectError, "finding the store's address", cause))
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        let fetch = ctx.fetch.as_mut().ok_or_else(|| internal("nothing to fetch"))?;
        fetch.restart();
        *request = self
            .origin
            .request(fetch.key(), fetch.range(), std::time::SystemTime::now())
            .map_err(internal)?;
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        let fetch = ctx.fetch.as_ref().ok_or_else(|| internal("nothing to fetch"))?;
        fetch.check_head(response.status, &response.headers).map_err(Fault::into_error)?;
        // Ours, and nothing of the store's.
        *response = ResponseHeader::from(fetch.head());
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        ctx: &mut Ctx,
    ) -> pingora::Result<Option<std::time::Duration>> {
        let fetch = ctx.fetch.as_mut().ok_or_else(|| internal("nothing to fetch"))?;
        if let Some(piece) = body {
            fetch.check_piece(piece).map_err(Fault::into_error)?;
        }
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Ctx,
        mut error: Box<Error>,
    ) -> Box<Error> {
        ctx.connect_tries += 1;
        error.set_retry(ctx.connect_tries < CONNECT_TRIES_MAX);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        _ctx: &mut Ctx,
        client_reused: bool,
    ) -> Box<Error> {
        // The store may close an idle connection just as it is used again; a GET can be repeated, as long as
        // nothing of its answer was passed on.
        if session.response_written().is_some() {
            error.set_retry(false);
        } else {
            error.retry.decide_reuse(client_reused);
        }
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
        let gone = FailToProxy { error_code: 0, can_reuse_downstream: false };
        if *error.esource() == ErrorSource::Downstream {
            return gone;
        }
        let key = ctx.fetch.as_ref().map(|fetch| fetch.key().as_str()).unwrap_or_default();
        warn!(object.key = key, error = %error, "Object {key} could not be served");
        if session.response_written().is_some() {
            // The connection is cut before Content-Length is reached: the client sees that it is not whole.
            return gone;
        }
        let session = session.as_downstream_mut();
        session.set_keepalive(None);
        let (parts, body) = Page::store_unavailable().into_answer(&session.req_header().headers);
        let error_code = parts.status.as_u16();
        // A client that left meanwhile needs no answer.
        let _ = send(session, parts, body).await;
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        // `fail_to_proxy` logs, without query strings.
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Ctx, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}
