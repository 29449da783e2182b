//! Bodies on their way out.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use s3s::Body;
use s3s::dto::StreamingBlob;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::embedded::object::OpenBody;

/// One trip to a blocking thread costs about as much as reading 20 KiB from the page cache; at 256 KiB it no
/// longer counts. A slow reader holds two chunks: the one being sent and the next.
const CHUNK_LEN: u64 = 256 * 1024;

pub(super) fn blob(body: OpenBody, range: Range<u64>) -> StreamingBlob {
    match body {
        OpenBody::Whole(bytes) => {
            // The range was cut to the size of the object, and these bytes are the object.
            let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
            StreamingBlob::from(Body::from(bytes.slice(start..end)))
        }
        OpenBody::File(file) => StreamingBlob::wrap(read_ahead(file, range)),
    }
}

fn read_ahead(
    file: Arc<File>,
    range: Range<u64>,
) -> impl stream::Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let first = read_chunk(&file, &range);
    stream::try_unfold((file, range, first), |(file, mut range, current)| async move {
        let Some(current) = current else { return Ok(None) };
        let chunk = current.await.map_err(io::Error::other)??;
        range.start += chunk.len() as u64;
        let next = read_chunk(&file, &range);
        Ok(Some((chunk, (file, range, next))))
    })
}

fn read_chunk(file: &Arc<File>, range: &Range<u64>) -> Option<JoinHandle<io::Result<Bytes>>> {
    let offset = range.start;
    let len = usize::try_from((range.end - offset).min(CHUNK_LEN)).ok().filter(|len| *len > 0)?;
    let file = Arc::clone(file);
    Some(spawn_blocking(move || {
        let mut chunk = vec![0; len];
        file.read_exact_at(&mut chunk, offset)?;
        Ok(Bytes::from(chunk))
    }))
}
