//! One HTTP/1 connection: request after request, each read whole and checked before anything answers it.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::client::{Client, Loan};
use super::framing::Framing;
use super::head::{self, Scan};
use super::{Timing, answer, body};
use crate::metrics::{CacheResult, MethodClass, Metrics};
use crate::request::{HEAD_BYTES_MAX, Refusal};
use crate::service::EdgeService;

pub(crate) struct Http1<'c> {
    pub app: &'c Arc<HttpProxy<EdgeService>>,
    pub timing: Timing,
    pub metrics: &'c Metrics,
    /// The next answer is the last one.
    pub is_stopping: watch::Receiver<bool>,
    /// And no request is waited for.
    pub idle_end: CancellationToken,
}

/// What comes next on a connection.
enum Next {
    /// A request, checked, with its whole body.
    Request(BytesMut),
    Refused {
        refusal: Refusal,
        seen: BytesMut,
    },
    /// The client left, or was silent for too long: there is nobody to answer.
    Nothing,
}

impl Http1<'_> {
    pub(crate) async fn serve(mut self, mut client: Client) {
        // What was read beyond a request stays here: nobody else ever holds it.
        let mut unread = BytesMut::new();
        let mut patience = self.timing.head;
        loop {
            let request = match self.next(&mut client, &mut unread, patience).await {
                Next::Request(request) => request,
                Next::Refused { refusal, seen } => {
                    // It never reaches the phases that count the others; how long it took says nothing.
                    let status = Some(refusal.status().as_u16());
                    self.metrics.request(status, MethodClass::Other, CacheResult::None, 0, Duration::ZERO);
                    return answer::refuse(client, refusal, &seen).await;
                }
                Next::Nothing => return answer::leave(client).await,
            };
            // Here is the place for answers from memory: the request is whole and means one thing only. They have
            // to pass `Admission` as the proxy's do.
            let Some((returned, may_live_on)) = self.hand_over(client, request).await else { return };
            if !may_live_on {
                return answer::close(returned).await;
            }
            client = returned;
            patience = self.timing.keep_alive;
        }
    }

    async fn next(&mut self, client: &mut Client, unread: &mut BytesMut, patience: Duration) -> Next {
        if unread.is_empty() && !self.first_byte(client, unread, patience).await {
            return Next::Nothing;
        }
        let mut seen = BytesMut::new();
        let request = async {
            match timeout_at(Instant::now() + self.timing.head, read_head(client, unread)).await {
                Ok(head) => seen = head?,
                Err(_) => return Err(Refusal::Slow),
            }
            let head = head::check(&seen)?;
            if head.framing == Framing::Nothing {
                return Ok(seen.split());
            }
            match timeout(self.timing.body, body::read(client, unread, head)).await {
                Ok(body) => Ok(body::with_length(&seen, &body?)),
                Err(_) => Err(Refusal::Slow),
            }
        };
        match request.await {
            Ok(request) => Next::Request(request),
            Err(refusal) => {
                Next::Refused { refusal, seen: if seen.is_empty() { unread.split() } else { seen } }
            }
        }
    }

    /// Waits for a request to begin. `false` when none does.
    async fn first_byte(&mut self, client: &mut Client, unread: &mut BytesMut, patience: Duration) -> bool {
        tokio::select! {
            biased;
            read = timeout(patience, client.read_more(unread)) => matches!(read, Ok(Ok(1..))),
            () = self.idle_end.cancelled() => false,
        }
    }

    /// Lets the proxy answer. The client comes back, and whether it may send more; `None` when it does not come back.
    async fn hand_over(&self, client: Client, request: BytesMut) -> Option<(Client, bool)> {
        let (loan, mut returned) = Loan::new(client);
        let mut session = ServerSession::new_http1(Box::new(loan));
        session.set_pipelined_prefix(request);
        let reusable = Box::pin(self.app.process_new_http(session, &self.is_stopping)).await;
        let may_live_on = reusable.is_some();
        drop(reusable);
        returned.try_recv().ok().map(|client| (client, may_live_on))
    }
}

/// Reads a head. It is taken from `unread` only when it is whole.
async fn read_head(client: &mut Client, unread: &mut BytesMut) -> Result<BytesMut, Refusal> {
    let mut scan = Scan::default();
    loop {
        if let Some(head) = scan.advance(unread)? {
            drop(unread.split_to(head.start));
            return Ok(unread.split_to(head.len()));
        }
        debug_assert!(unread.len() <= HEAD_BYTES_MAX + 2, "the scan limits what is read");
        if !matches!(client.read_more(unread).await, Ok(1..)) {
            return Err(Refusal::Malformed("it ended before its head did"));
        }
    }
}
