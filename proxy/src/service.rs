//! The proxy's phases. Thin: `plan` says what has to be done, they do it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode};
use loggia_serve::pages::Page;
use loggia_storage::Store;
use loggia_types::BaseDomain;
use loggia_types::rules::Scheme;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};
use tracing::warn;

use crate::admission::Admission;
use crate::answers::Answers;
use crate::bodies::Bodies;
use crate::body;
use crate::cache_headers::{CacheHeaders, Served};
use crate::fetch::{Fault, Fetch};
use crate::files::{FilePlan, Sent};
use crate::hints;
use crate::manifests::Manifests;
use crate::metrics::{CacheResult, CutBy, OriginFault};
use crate::origin::{Origin, fault_of};
use crate::parts::{Opened, PartsPlan};
use crate::plan::{Plan, Visit};
use crate::record::{Observer, REQUEST_ID, Record, RequestId};
use crate::request;
use crate::routes::Routes;

/// A connection that failed before anything was sent is tried once more.
const CONNECT_TRIES_MAX: u32 = 2;

pub(crate) struct EdgeService {
    pub base_domain: BaseDomain,
    pub routes: Routes,
    pub manifests: Manifests,
    pub origin: Arc<Origin>,
    pub bodies: Bodies,
    pub answers: Answers,
    pub cache_headers: CacheHeaders,
    pub store: Store,
    pub observer: Observer,
    pub admission: Admission,
}

/// The phases of a request at an edge.
pub(crate) struct Phases(pub Arc<EdgeService>);

/// What is known about a request between the phases.
#[derive(Default)]
pub(crate) struct Ctx {
    fetch: Option<Fetch>,
    connect_tries: u32,
    record: Record,
}

impl Ctx {
    /// Leaves it to the phases that follow to fetch a file and pass it on: `false`, for it is not answered yet.
    fn fetch(&mut self, fetch: Fetch) -> bool {
        self.fetch = Some(fetch);
        self.record.cache = CacheResult::Origin;
        false
    }
}

impl EdgeService {
    /// What is in the state folder is another process' to change from here on.
    pub(crate) fn hand_over_disk(&self) {
        self.routes.hand_over_journal();
        self.manifests.hand_over();
        self.bodies.hand_over();
    }

    async fn send_parts(
        &self,
        mut plan: PartsPlan,
        session: &mut ServerSession,
        record: &mut Record,
    ) -> pingora::Result<()> {
        if let Some(body) = self.bodies.find(&plan.source.key) {
            let served = Served::Memory { is_stale: body.is_stale() };
            record.cache = served.label();
            self.cache_headers.tell(&mut plan.head, served);
            return plan.send(&self.store, Opened::Memory(body), session, record.id).await;
        }
        record.cache = CacheResult::Origin;
        record.origin_asked = Some(std::time::Instant::now());
        match plan.open(&self.store).await {
            Ok(opened) => {
                self.observer.origin_answered(record);
                plan.send(&self.store, opened, session, record.id).await
            }
            Err(error) => {
                warn!(%error, "Ranges of a file could not be fetched");
                record.origin_fault = Some(OriginFault::Status);
                let (parts, body) = Page::store_unavailable().into_answer(&session.req_header().headers);
                send(session, record.id, parts, body).await
            }
        }
    }

    /// Names what a page needs while the store is asked for it. A cache in front of us would keep the answer without
    /// its links, for everybody: it gets them on the answer. Tells whether any were sent.
    async fn send_hints(
        &self,
        session: &mut ServerSession,
        status: StatusCode,
        headers: &mut HeaderMap,
    ) -> pingora::Result<bool> {
        let is_page = status == StatusCode::OK;
        if is_page && hints::are_understood(session.req_header()) && self.admission.is_direct(session) {
            return hints::send(session, headers).await;
        }
        Ok(false)
    }

    fn visit(&self, session: &ServerSession) -> Visit {
        let is_https = self.admission.client(session).is_some_and(|client| client.is_https);
        Visit {
            scheme: if is_https { Scheme::Https } else { Scheme::Http },
            country: self.admission.country(session),
            audience: self.admission.audience(session),
        }
    }
}

pub(crate) async fn send(
    session: &mut ServerSession,
    id: RequestId,
    mut parts: Parts,
    body: Bytes,
) -> pingora::Result<()> {
    parts.headers.extend(id.header().map(|id| (REQUEST_ID, id)));
    let has_body = session.req_header().method != Method::HEAD && !body.is_empty();
    session.write_response_header(Box::new(ResponseHeader::from(parts))).await?;
    session.write_response_body(if has_body { body } else { Bytes::new() }, true).await
}

/// Notes why what the store sends is not passed on.
fn refuse(fault: Fault, record: &mut Record) -> Box<Error> {
    record.origin_fault = Some(fault.kind());
    fault.into_error()
}

fn internal(error: impl std::fmt::Display) -> Box<Error> {
    Error::explain(ErrorType::InternalError, error.to_string())
}

#[async_trait]
impl ProxyHttp for Phases {
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
            send(session, ctx.record.id, parts, body).await?;
            return Ok(true);
        }
        if request::names_option(session.req_header(), "close") {
            // The proxy library reads only the first of several lines.
            session.set_keepalive(None);
        }
        let visit = self.0.visit(session);
        let plan = match self.0.admission.admit(session) {
            Ok(()) => Box::pin(self.0.plan(session.req_header(), visit, &mut ctx.record)).await,
            Err(page) => Plan::page(page, &session.req_header().headers),
        };
        match plan {
            Plan::File(mut plan) => {
                let FilePlan { head, keep, .. } = plan.as_mut();
                if self.0.send_hints(session, head.status, &mut head.headers).await? {
                    // What is left of the head is right only behind these hints.
                    *keep = None;
                }
                match Box::pin(self.0.send_file(*plan, session, &mut ctx.record)).await? {
                    Sent::Done => Ok(true),
                    Sent::PastCache(fetch) => Ok(ctx.fetch(*fetch)),
                }
            }
            Plan::Fetch(mut fetch) => {
                let (status, headers) = fetch.answer();
                self.0.send_hints(session, status, headers).await?;
                Ok(ctx.fetch(*fetch))
            }
            Plan::Parts(plan) => {
                self.0.send_parts(*plan, session, &mut ctx.record).await?;
                Ok(true)
            }
            Plan::Answer(parts, body) => {
                if parts.status == StatusCode::BAD_REQUEST {
                    session.set_keepalive(None);
                }
                send(session, ctx.record.id, parts, body).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Ctx) -> pingora::Result<Box<HttpPeer>> {
        ctx.record.origin_asked = Some(std::time::Instant::now());
        let peer = self.0.origin.peer().await;
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
            .0
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
        let checked = fetch.check_head(response.status, &response.headers);
        checked.map_err(|fault| refuse(fault, &mut ctx.record))?;
        self.0.observer.origin_answered(&ctx.record);
        // Ours, and nothing of the store's.
        let mut parts = fetch.head();
        parts.headers.extend(ctx.record.id.header().map(|id| (REQUEST_ID, id)));
        *response = ResponseHeader::from(parts);
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
            fetch.check_piece(piece).map_err(|fault| refuse(fault, &mut ctx.record))?;
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
        // Where nothing was to be fetched, what failed was sending our own answer: the store has no part in it.
        if *error.esource() == ErrorSource::Downstream || ctx.fetch.is_none() {
            ctx.record.cut = Some(CutBy::Client);
            return gone;
        }
        let key = ctx.fetch.as_ref().map(|fetch| fetch.key().as_str()).unwrap_or_default();
        warn!(object.key = key, error = %error, "Object {key} could not be served");
        ctx.record.origin_fault.get_or_insert_with(|| fault_of(error));
        if session.response_written().is_some() {
            ctx.record.cut = Some(CutBy::Store);
            // The connection is cut before Content-Length is reached: the client sees that it is not whole.
            return gone;
        }
        let session = session.as_downstream_mut();
        session.set_keepalive(None);
        let (parts, body) = Page::store_unavailable().into_answer(&session.req_header().headers);
        let error_code = parts.status.as_u16();
        // A client that left meanwhile needs no answer.
        let _ = send(session, ctx.record.id, parts, body).await;
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// Every request comes by here once, however it ended.
    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Ctx) {
        let session = session.as_downstream();
        let client = self.0.admission.client(session).map(|client| client.ip);
        self.0.observer.finish(session, client, &ctx.record);
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        // `fail_to_proxy` logs, without query strings.
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Ctx, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}
