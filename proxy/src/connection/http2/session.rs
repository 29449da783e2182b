//! One request and its answer, as the proxy library wants them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use h2::RecvStream;
use http::{HeaderMap, Request};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session as ProxySession;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, OrErr, Result};

use super::reply::Reply;

pub(super) struct Session {
    head: RequestHeader,
    body: RecvStream,
    body_bytes: usize,
    reply: Reply,
    digest: Arc<Digest>,
}

type Messages = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

impl Session {
    pub(super) fn new(request: Request<RecvStream>, reply: Reply, digest: Arc<Digest>) -> Self {
        let (head, body) = request.into_parts();
        Self { head: head.into(), body, body_bytes: 0, reply, digest }
    }

    /// Whether this was the end of the answer.
    async fn obey(&mut self, task: HttpTask) -> Result<bool> {
        match task {
            HttpTask::Header(head, ends) => self.reply.send_head(head, ends).map(|()| ends),
            HttpTask::Body(None, ends) => Ok(ends),
            HttpTask::Body(Some(data), ends) => self.reply.send_body(data, ends).await.map(|()| ends),
            HttpTask::Trailer(None) | HttpTask::Done => Ok(true),
            HttpTask::Trailer(Some(trailers)) => self.reply.send_trailers(*trailers).map(|()| true),
            HttpTask::UpgradedBody(..) => {
                Error::e_explain(ErrorType::InternalError, "an upgraded body on HTTP/2")
            }
            HttpTask::Failed(error) => Err(error),
        }
    }
}

/// Every method is asked for by the proxy; those that have nothing to do here are at the end.
#[async_trait]
impl ProxySession for Session {
    fn req_header(&self) -> &RequestHeader {
        &self.head
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.head
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        let piece = self.body.data().await.transpose();
        let piece =
            piece.or_err(ErrorType::ReadError, "reading a request's body").map_err(Error::into_down)?;
        if let Some(piece) = &piece {
            self.body_bytes += piece.len();
            // It fails for more than was received, which this is not.
            let _ = self.body.flow_control().release_capacity(piece.len());
        }
        Ok(piece)
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        while self.read_body_bytes().await?.is_some() {}
        Ok(())
    }

    /// Nothing is left to read.
    fn is_body_done(&mut self) -> bool {
        self.body.is_end_stream()
    }

    /// A body that was thrown away is none for whoever comes behind: the store gets no bodies.
    fn is_body_empty(&mut self) -> bool {
        self.body.is_end_stream()
    }

    /// Never ends for a request that is read, unless the client leaves: then what is done for it stops.
    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.is_body_done() {
            return Err(self.reply.given_up().await);
        }
        self.read_body_bytes().await
    }

    fn body_bytes_read(&self) -> usize {
        self.body_bytes
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, ends: bool) -> Result<()> {
        self.reply.send_head(head, ends)
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, ends: bool) -> Result<()> {
        self.reply.send_head(Box::new(head.clone()), ends)
    }

    async fn write_body(&mut self, data: Bytes, ends: bool) -> Result<()> {
        self.reply.send_body(data, ends).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.reply.send_trailers(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut has_ended = false;
        for task in tasks {
            has_ended |= self.obey(task).await?;
        }
        if has_ended {
            self.reply.finish()?;
        }
        Ok(has_ended)
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.reply.head()
    }

    fn body_bytes_sent(&self) -> usize {
        self.reply.sent_bytes()
    }

    async fn finish(&mut self) -> Result<()> {
        self.reply.finish()
    }

    async fn shutdown(&mut self, _code: u32, _context: &str) {
        self.reply.abandon();
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Arc::get_mut(&mut self.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.local_addr()
    }

    /// For logs, so without a query.
    fn request_summary(&self) -> String {
        format!("{} {}", self.head.method, self.head.uri.path())
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        http_req_header_to_wire(&self.head).unwrap_or_default().freeze()
    }

    // Times: a stream's pace and the discarding of bodies have limits of their own.

    fn set_read_timeout(&mut self, _timeout: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, _timeout: Option<Duration>) {}

    fn get_write_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_total_drain_timeout(&mut self, _timeout: Option<Duration>) {}

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        None
    }

    // Bodies that are sent again: there are none.

    fn enable_retry_buffering(&mut self) {}

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        None
    }

    // Messages beside a request: HTTP/2 has none.

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(&mut self) -> Option<Messages> {
        None
    }

    fn restore_custom_message_reader(&mut self, _reader: Messages) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
