//! One object on its way from the disk or the store to everybody who asked for it.
//!
//! It is read by a task of its own into pieces that all readers share. The last piece is kept back until the hash of the
//! whole is right, so no reader ever takes wrong bytes for a whole file, and only right ones are kept.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use loggia_types::content_hash::ContentHasher;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{sleep, timeout, timeout_at};
use tracing::warn;

use super::{Begin, Body, Inner, Source, Tier};
use crate::metrics::OriginFault;
use crate::origin::{Origin, ReadError, Reading};

/// When the store is silent for so long, it is asked a second time for the rest, and whichever answers first goes on: a
/// connection that hangs costs its readers less than a second. Of a store that is merely slow, this makes at most two
/// requests where there was one.
const STALL: Duration = Duration::from_millis(700);

/// How long a fetch waits for its turn. With a store that does not answer at all, a visitor is told so instead.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long it waits for its first bytes, its turn included: then a visitor is told to come again. What is given up is not
/// asked for any more, so a store that comes back finds few requests besides those of who comes now.
const FIRST_BYTES_WITHIN: Duration = Duration::from_secs(8);

#[derive(Default)]
pub(crate) struct Fill {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    pieces: Vec<Bytes>,
    /// There once it is known how it ended.
    end: Option<Result<Arc<Body>, ReadError>>,
}

impl Fill {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, piece: Bytes) {
        self.state().pieces.push(piece);
        self.changed.notify_waiters();
    }

    fn end(&self, end: Result<Arc<Body>, ReadError>) {
        {
            let mut state = self.state();
            if let (Ok(body), true) = (&end, state.pieces.is_empty()) {
                // Off the disk it comes in one piece.
                state.pieces.push(body.bytes.clone());
            }
            state.end.get_or_insert(end);
        }
        self.changed.notify_waiters();
    }
}

/// Whoever waits for a fill sees its pieces in order, also those that came before.
pub(crate) struct Reader {
    fill: Arc<Fill>,
    seen: usize,
}

impl Reader {
    pub(super) fn new(fill: Arc<Fill>) -> Self {
        Self { fill, seen: 0 }
    }

    /// Waits until anything is known. Gives all of it if it was on disk.
    pub(crate) async fn kept(&self) -> Option<Arc<Body>> {
        loop {
            let mut changed = pin!(self.fill.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.fill.state();
                match &state.end {
                    Some(Ok(body)) => return Some(body).filter(|body| body.is_from_disk()).cloned(),
                    None if state.pieces.is_empty() => {}
                    Some(Err(_)) | None => return None,
                }
            }
            changed.await;
        }
    }

    /// The next piece; `None` after the last one, which only comes when all of it is right.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            let mut changed = pin!(self.fill.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            {
                let state = self.fill.state();
                if let Some(piece) = state.pieces.get(self.seen) {
                    self.seen += 1;
                    return Ok(Some(piece.clone()));
                }
                match &state.end {
                    Some(Ok(_)) => return Ok(None),
                    Some(Err(error)) => return Err(error.clone()),
                    None => {}
                }
            }
            changed.await;
        }
    }

    /// Waits for the whole.
    pub(crate) async fn whole(&mut self) -> Result<Arc<Body>, ReadError> {
        while self.next().await?.is_some() {}
        match &self.fill.state().end {
            Some(Ok(body)) => Ok(Arc::clone(body)),
            Some(Err(error)) => Err(error.clone()),
            None => Err(abandoned()),
        }
    }
}

/// Fetches and keeps an object.
pub(super) async fn run(
    inner: Arc<Inner>,
    fill: Arc<Fill>,
    source: Source,
    begin: Begin,
    coming: OwnedSemaphorePermit,
) {
    let ending = Ending { inner: &inner, fill: &fill, source: &source };
    let end = match inner.find_on_disk(&source, begin).await {
        Some(body) => Ok(body),
        None => fetch(&inner, &fill, &source).await.map(|bytes| Body::new(source.key, bytes, Tier::Store)),
    };
    let end = end.map(Arc::new);
    match &end {
        Ok(body) => {
            inner.memory.insert(source.key, Arc::clone(body));
            if !body.is_from_disk() {
                inner.fetched(body, begin);
            }
        }
        Err(error) => {
            let key = source.object.as_str();
            inner.metrics.origin_fault(error.kind);
            warn!(object.key = key, error = %error, "Object {key} could not be fetched: {error}");
        }
    }
    ending.tell(end);
    drop(coming);
}

/// Tells the readers in any case, also when the task is ended half-way.
struct Ending<'f> {
    inner: &'f Inner,
    fill: &'f Fill,
    source: &'f Source,
}

impl Ending<'_> {
    fn tell(&self, end: Result<Arc<Body>, ReadError>) {
        // Who asks from now on finds it in memory, or tries anew.
        self.inner.fills().remove(&self.source.key);
        self.fill.end(end);
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.fill.state().end.is_none() {
            self.tell(Err(abandoned()));
        }
    }
}

fn abandoned() -> ReadError {
    ReadError::new(OriginFault::Internal, "the fetch was abandoned")
}

async fn fetch(inner: &Inner, fill: &Fill, source: &Source) -> Result<Bytes, ReadError> {
    let given_up_at = tokio::time::Instant::now() + FIRST_BYTES_WITHIN;
    let Ok(Ok(_place)) = timeout(QUEUE_WAIT_MAX, inner.places.acquire()).await else {
        return Err(ReadError::new(OriginFault::Timeout, "too many objects are on their way already"));
    };
    let asked = Instant::now();
    let mut lead = Lead { origin: &inner.origin, source, reading: None, received: 0, is_first_try: true };
    let mut hasher = ContentHasher::default();
    let mut whole = BytesMut::with_capacity(usize::try_from(source.size).unwrap_or_default());
    loop {
        let piece = if whole.is_empty() {
            let first = timeout_at(given_up_at, lead.next()).await;
            let first = first.map_err(|_| ReadError::new(OriginFault::Timeout, "the store is silent"))??;
            inner.metrics.origin_head(asked.elapsed());
            first
        } else {
            lead.next().await?
        };
        hasher.update(&piece);
        whole.extend_from_slice(&piece);
        if lead.received < source.size {
            fill.push(piece);
            continue;
        }
        if hasher.finish() != source.key.hash {
            return Err(ReadError::new(OriginFault::Content, "the content is not what was deployed"));
        }
        let whole = whole.freeze();
        fill.push(whole.slice(whole.len() - piece.len()..));
        lead.finish().await;
        return Ok(whole);
    }
}

/// The request that delivers, and at most one more when it does not.
struct Lead<'o> {
    origin: &'o Origin,
    source: &'o Source,
    reading: Option<Reading<'o>>,
    received: u64,
    is_first_try: bool,
}

impl<'o> Lead<'o> {
    async fn next(&mut self) -> Result<Bytes, ReadError> {
        let (origin, source, received) = (self.origin, self.source, self.received);
        // Boxed: opening a connection makes a large future, of which most pieces need nothing.
        let again = || open(origin, source, received).boxed();
        let going_on = match self.reading.take() {
            Some(reading) => read_on(reading).boxed(),
            None => again(),
        };
        let (reading, piece) = match self.is_first_try {
            false => going_on.await?,
            true => {
                let (read, is_first_try) = with_second_try(going_on, again).await;
                self.is_first_try = is_first_try;
                read?
            }
        };
        self.received += piece.len() as u64;
        self.reading = Some(reading);
        Ok(piece)
    }

    async fn finish(self) {
        if let Some(reading) = self.reading {
            reading.finish().await;
        }
    }
}

type Read<'o> = Result<(Reading<'o>, Bytes), ReadError>;

async fn open<'o>(origin: &'o Origin, source: &'o Source, first: u64) -> Read<'o> {
    read_on(origin.read(&source.object, first, source.size).await?).await
}

async fn read_on(mut reading: Reading<'_>) -> Read<'_> {
    match reading.next().await? {
        Some(piece) => Ok((reading, piece)),
        None => Err(ReadError::new(OriginFault::Broken, "the store's answer is cut short")),
    }
}

/// Runs `first`; when it fails, or is silent for too long, `second` as well. Tells whether `first` sufficed.
async fn with_second_try<'o>(
    mut first: BoxFuture<'o, Read<'o>>,
    second: impl FnOnce() -> BoxFuture<'o, Read<'o>>,
) -> (Read<'o>, bool) {
    tokio::select! {
        biased;
        read = &mut first => match read {
            Ok(read) => return (Ok(read), true),
            // What the store does not have, or has otherwise, it has the second time too.
            Err(error) if matches!(error.kind, OriginFault::Missing | OriginFault::Content) => {
                return (Err(error), true);
            }
            Err(_) => return (second().await, false),
        },
        () = sleep(STALL) => {}
    }
    let mut second = second();
    let read = tokio::select! {
        read = &mut first => match read {
            Ok(read) => Ok(read),
            Err(_) => second.await,
        },
        read = &mut second => match read {
            Ok(read) => Ok(read),
            Err(_) => first.await,
        },
    };
    (read, false)
}
