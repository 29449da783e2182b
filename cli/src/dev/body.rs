//! The bytes behind a head: from memory, or out of files in pieces.

use std::io::{Error, SeekFrom};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::local_site::{Answer, LocalSite, Piece};

pub(super) type SentBody = UnsyncBoxBody<Bytes, Error>;

/// What one download holds in memory.
const PIECE_BYTES: usize = 64 * 1024;

/// A piece whose file is open: what the head promises is there.
enum Opened {
    Bytes(Bytes),
    File { file: File, len: u64 },
}

/// Opens everything that the body needs before the head is sent, so that there can still be another answer.
pub(super) async fn open(site: &LocalSite, answer: &Answer) -> anyhow::Result<SentBody> {
    let mut pieces = Vec::with_capacity(answer.body.len());
    for piece in &answer.body {
        pieces.push(match piece {
            Piece::Bytes(bytes) => Opened::Bytes(bytes.clone()),
            Piece::Variant { path, hash } => Opened::Bytes(site.variant(path, *hash).await?),
            Piece::File { path, first, len } => {
                let mut file = File::from_std(site.open_file(path)?);
                file.seek(SeekFrom::Start(*first)).await?;
                Opened::File { file, len: *len }
            }
        });
    }
    match <[Opened; 1]>::try_from(pieces) {
        Ok([Opened::Bytes(bytes)]) => Ok(full(bytes)),
        Ok([only]) => Ok(streamed(vec![only])),
        Err(none) if none.is_empty() => Ok(empty()),
        Err(several) => Ok(streamed(several)),
    }
}

pub(super) fn empty() -> SentBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Of an answer without files.
pub(super) fn inline(answer: &Answer) -> SentBody {
    match answer.body.as_slice() {
        [Piece::Bytes(bytes)] => full(bytes.clone()),
        _ => empty(),
    }
}

fn full(bytes: Bytes) -> SentBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn streamed(pieces: Vec<Opened>) -> SentBody {
    let bytes = stream::iter(pieces).flat_map(|piece| match piece {
        Opened::Bytes(bytes) => stream::iter([Ok(bytes)]).boxed(),
        Opened::File { file, len } => out_of_file(file, len),
    });
    StreamBody::new(bytes.map_ok(Frame::data)).boxed_unsync()
}

/// A file that became shorter breaks the connection off before `Content-Length` is reached.
fn out_of_file(file: File, len: u64) -> BoxStream<'static, Result<Bytes, Error>> {
    let pieces = ReaderStream::with_capacity(file.take(len), PIECE_BYTES);
    let counted = pieces.map_ok(Some).chain(stream::iter([Ok(None)])).scan(len, |left, piece| {
        let passed = match piece {
            Ok(Some(bytes)) => {
                *left -= bytes.len() as u64;
                Ok(bytes)
            }
            Ok(None) if *left > 0 => Err(Error::other("the file became shorter")),
            Ok(None) => return std::future::ready(None),
            Err(error) => Err(error),
        };
        std::future::ready(Some(passed))
    });
    counted.boxed()
}
