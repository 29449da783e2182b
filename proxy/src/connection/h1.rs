//! One HTTP/1 connection: request after request, each read whole and checked before anything answers it.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::{GetSocketDigest, Ssl};
use pingora::proxy::HttpProxy;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Loan};
use super::deadline::Deadline;
use super::framing::Framing;
use super::head::{self, Scan};
use super::{Timing, answer, body};
use crate::metrics::{CacheResult, MethodClass};
use crate::record::RequestId;
use crate::request::{HEAD_BYTES_MAX, Refusal};
use crate::service::{EdgeService, Phases};

pub(crate) struct Http1<'c> {
    pub app: &'c Arc<HttpProxy<Phases>>,
    pub edge: &'c EdgeService,
    pub timing: Timing,
    /// The next answer is the last one.
    pub is_stopping: watch::Receiver<bool>,
    /// And no request is waited for.
    pub idle_end: CancellationToken,
}

/// What comes next on a connection.
enum Next {
    /// A whole head, whose length this is.
    Head(usize),
    Refused(Refusal),
    /// The client left, or was silent for too long: there is nobody to answer.
    Nothing,
}

impl Http1<'_> {
    pub(crate) async fn serve(self, mut client: Client) {
        let peer = self.edge.admission.peer(client.get_socket_digest().as_deref(), client.get_ssl_digest());
        // What was read beyond a request stays here: nobody else ever holds it.
        let mut unread = BytesMut::new();
        // For a question, and for the lines of an answer that differ each time; kept, so that they cost no allocation.
        let mut lines = Vec::new();
        // One for all requests, so that waiting for it is prepared once.
        let mut idle_end = std::pin::pin!(self.idle_end.cancelled());
        let mut deadline = Deadline::after(self.timing.head);
        loop {
            let head_len =
                match self.next_head(&mut client, &mut unread, &mut deadline, idle_end.as_mut()).await {
                    Next::Head(len) => len,
                    Next::Refused(refusal) => return self.refuse(client, refusal, &unread).await,
                    Next::Nothing => return answer::leave(client).await,
                };
            let now = Instant::now();
            // The phases say on the last answer that it is the last one.
            let plain = match self.is_stopping.has_changed() {
                Ok(false) => head::plain(&unread[..head_len]),
                _ => None,
            };
            let at_hand = plain.as_ref().zip(peer.as_ref());
            let at_hand = at_hand
                .and_then(|(plain, peer)| Some((plain, self.edge.at_hand(plain, peer, now, &mut lines)?)));
            if let Some((plain, (hit, address))) = at_hand {
                let id = RequestId::random();
                lines.clear();
                hit.extra.lines(id, &mut lines);
                let sent = send(&mut client, [hit.answer.wire(), &lines, &hit.body]).await;
                self.edge.observer.finish_hit(plain, &hit, address, id, now, sent.is_ok());
                if sent.is_err() {
                    return;
                }
                unread.advance(head_len);
            } else {
                let head = unread.split_to(head_len);
                let request = match self.whole(&mut client, &mut unread, &head).await {
                    Ok(request) => request,
                    Err(refusal) => return self.refuse(client, refusal, &head).await,
                };
                let Some((returned, may_live_on)) = self.hand_over(client, request).await else { return };
                if !may_live_on {
                    return answer::close(returned).await;
                }
                client = returned;
            }
            deadline.set(self.timing.keep_alive);
        }
    }

    /// Reads a head. It stays in `unread`, from whose first byte on it lies.
    async fn next_head(
        &self,
        client: &mut Client,
        unread: &mut BytesMut,
        deadline: &mut Deadline,
        mut idle_end: std::pin::Pin<&mut impl Future>,
    ) -> Next {
        let mut has_begun = !unread.is_empty();
        if has_begun {
            deadline.set(self.timing.head);
        }
        let mut scan = Scan::default();
        loop {
            match scan.advance(unread) {
                Err(refusal) => return Next::Refused(refusal),
                Ok(Some(head)) => {
                    unread.advance(head.start);
                    return Next::Head(head.len());
                }
                Ok(None) => {}
            }
            debug_assert!(unread.len() <= HEAD_BYTES_MAX + 2, "the scan limits what is read");
            let read = tokio::select! {
                biased;
                read = client.read_more(unread) => read,
                () = deadline.passed() => match has_begun {
                    true => return Next::Refused(Refusal::Slow),
                    false => return Next::Nothing,
                },
                // Nothing of a request has come: it is not ours any more.
                _ = idle_end.as_mut(), if !has_begun => return Next::Nothing,
            };
            match read {
                Ok(1..) if has_begun => {}
                Ok(1..) => {
                    has_begun = true;
                    deadline.set(self.timing.head);
                }
                _ if has_begun => return Next::Refused(Refusal::Malformed("it ended before its head did")),
                _ => return Next::Nothing,
            }
        }
    }

    /// Checks a head and reads the body that belongs to it.
    async fn whole(
        &self,
        client: &mut Client,
        unread: &mut BytesMut,
        head: &BytesMut,
    ) -> Result<BytesMut, Refusal> {
        let checked = head::check(head)?;
        if checked.framing == Framing::Nothing {
            return Ok(head.clone());
        }
        match timeout(self.timing.body, body::read(client, unread, checked)).await {
            Ok(body) => Ok(body::with_length(head, &body?)),
            Err(_) => Err(Refusal::Slow),
        }
    }

    async fn refuse(&self, client: Client, refusal: Refusal, seen: &[u8]) {
        // It never reaches the phases that count the others; how long it took says nothing.
        let status = Some(refusal.status().as_u16());
        let metrics = &self.edge.observer.metrics;
        metrics.request(status, MethodClass::Other, CacheResult::None, 0, Duration::ZERO);
        answer::refuse(client, refusal, seen).await;
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

/// Writes all of an answer, in one piece if the socket takes it.
async fn send(client: &mut Client, pieces: [&[u8]; 3]) -> std::io::Result<()> {
    let mut pieces = pieces.map(IoSlice::new);
    let mut left = &mut pieces[..];
    while left.iter().any(|piece| !piece.is_empty()) {
        match client.write_vectored(left).await? {
            0 => return Err(std::io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut left, written),
        }
    }
    client.flush().await
}
