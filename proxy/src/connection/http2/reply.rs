//! What is sent on one stream: interim answers, a head, a body at the client's pace.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{CONNECTION, DATE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, Response};
use pingora::http::ResponseHeader;
use pingora::protocols::http::date::get_cached_date;
use pingora::{Error, ErrorType, Result};

use crate::connection::pace::{Pace, SendRate};

/// They speak about a connection of HTTP/1 (RFC 9113 §8.2.2).
const OF_HTTP1: [HeaderName; 5] = [
    TRANSFER_ENCODING,
    CONNECTION,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

pub(super) struct Reply {
    respond: SendResponse<Bytes>,
    /// There once the head is sent.
    body: Option<SendStream<Bytes>>,
    head: Option<Box<ResponseHeader>>,
    is_ended: bool,
    sent_bytes: usize,
    /// A stream can starve while its connection goes on, so each has a pace of its own.
    pace: Pace,
}

impl Reply {
    pub(super) fn new(respond: SendResponse<Bytes>, rate: SendRate) -> Self {
        Self { respond, body: None, head: None, is_ended: false, sent_bytes: 0, pace: Pace::new(rate) }
    }

    /// The head of the final answer, once it is sent.
    pub(super) fn head(&self) -> Option<&ResponseHeader> {
        self.head.as_deref()
    }

    /// Bytes of the body that the client's window had room for.
    pub(super) fn sent_bytes(&self) -> usize {
        self.sent_bytes
    }

    /// Sends a head: any number of interim ones (1xx), then a final one.
    pub(super) fn send_head(&mut self, mut head: Box<ResponseHeader>, ends: bool) -> Result<()> {
        if self.head.is_some() {
            return Err(broken("the head is sent already"));
        }
        for name in &OF_HTTP1 {
            head.remove_header(name);
        }
        if head.status.is_informational() {
            return self.send_interim(&head);
        }
        head.insert_header(DATE, get_cached_date())?;
        let response = Response::from_parts(head.as_owned_parts(), ());
        self.body = Some(self.respond.send_response(response, ends).map_err(left)?);
        self.head = Some(head);
        self.is_ended = ends;
        Ok(())
    }

    fn send_interim(&mut self, head: &ResponseHeader) -> Result<()> {
        // The library would send it on a stream that the client has reset as well.
        if self.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready() {
            return Err(broken("the client reset the stream"));
        }
        let response = Response::from_parts(head.as_owned_parts(), ());
        self.respond.send_informational(response).map_err(left)
    }

    /// Sends a piece of the body, as the client makes room for it.
    pub(super) async fn send_body(&mut self, mut data: Bytes, ends: bool) -> Result<()> {
        while !data.is_empty() {
            let room = self.room(data.len()).await?;
            let piece = data.split_to(room.min(data.len()));
            let bytes = piece.len();
            self.send(piece, ends && data.is_empty())?;
            self.sent_bytes += bytes;
        }
        if ends { self.finish() } else { Ok(()) }
    }

    /// Waits until the client takes some of `wanted` bytes.
    async fn room(&mut self, wanted: usize) -> Result<usize> {
        let Self { body, pace, sent_bytes, .. } = self;
        let body = body.as_mut().ok_or_else(|| broken("a body without a head"))?;
        body.reserve_capacity(wanted);
        poll_fn(|context| {
            loop {
                let room = body.capacity();
                if room > 0 {
                    pace.proceed();
                    return Poll::Ready(Ok(room));
                }
                match body.poll_capacity(context) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(left(error))),
                    Poll::Ready(None) => return Poll::Ready(Err(broken("the client reset the stream"))),
                    Poll::Pending => {
                        let taken = *sent_bytes as u64;
                        return pace.poll_wait(context, || taken).map(|error| Err(slow(error)));
                    }
                }
            }
        })
        .await
    }

    fn send(&mut self, piece: Bytes, ends: bool) -> Result<()> {
        if self.is_ended {
            return Err(broken("the answer has ended already"));
        }
        let body = self.body.as_mut().ok_or_else(|| broken("a body without a head"))?;
        body.send_data(piece, ends).map_err(left)?;
        self.is_ended = ends;
        Ok(())
    }

    pub(super) fn send_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        let body = self.body.as_mut().ok_or_else(|| broken("trailers without a head"))?;
        body.send_trailers(trailers).map_err(left)?;
        self.is_ended = true;
        Ok(())
    }

    /// The answer is whole. Without a head there is none, and the client gets a reset when this is dropped.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.is_ended || self.body.is_none() { Ok(()) } else { self.send(Bytes::new(), true) }
    }

    /// The answer will not become whole.
    pub(super) fn abandon(&mut self) {
        if !self.is_ended {
            self.respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }

    /// Waits until the client gives up the stream or leaves.
    pub(super) async fn given_up(&mut self) -> Box<Error> {
        match poll_fn(|context| self.poll_reset(context)).await {
            Ok(_) => broken("the client reset the stream"),
            Err(error) => left(error),
        }
    }

    fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        match &mut self.body {
            Some(body) => body.poll_reset(context),
            None => self.respond.poll_reset(context),
        }
    }
}

fn broken(why: &'static str) -> Box<Error> {
    Error::explain(ErrorType::H2Error, why).into_down()
}

fn left(error: h2::Error) -> Box<Error> {
    Error::because(ErrorType::H2Error, "answering on a stream", error).into_down()
}

fn slow(error: std::io::Error) -> Box<Error> {
    Error::because(ErrorType::WriteTimedout, "answering on a stream", error).into_down()
}
