//! What we grant an HTTP/2 client (SECURITY).

use h2::server::Builder;

use crate::request::HEAD_BYTES_MAX;

const STREAMS_MAX: u32 = 100;

/// Streams that were reset before we took them on (CVE-2023-44487). Who leaves a page resets all of its streams at once,
/// which a busy edge may see before it has looked at one of them. `frames` bounds the rest.
const PENDING_RESETS_MAX: usize = STREAMS_MAX as usize;

/// Streams that we reset for an error of the client (CVE-2025-8671).
const OUR_RESETS_MAX: usize = 100;

/// What waits in memory for the client, on each stream; all streams of a connection may have 12.5 MiB.
const STREAM_BUFFER_BYTES_MAX: usize = 128 * 1024;

pub(super) fn ours() -> Builder {
    let mut settings = Builder::new();
    settings
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(Some(OUR_RESETS_MAX))
        .max_send_buffer_size(STREAM_BUFFER_BYTES_MAX);
    settings
}
