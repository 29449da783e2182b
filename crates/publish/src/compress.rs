//! One file into one coding. Blocking, deterministic, and with an end: reading stops when nobody waits any more.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::{Compression, GzBuilder};
use loggia_types::ContentHash;
use loggia_types::content_hash::ContentHasher;
use loggia_types::manifest::Coding;

use crate::levels::{self, Effort};

/// Large enough that a system call costs nothing beside the compressing.
const PIECE_BYTES: usize = 64 * 1024;

/// A file that shall be compressed, as the plan knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) file: &'a Path,
    pub(crate) size: u64,
    pub(crate) hash: ContentHash,
}

/// Tells the thread that compresses that its work is not wanted any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Abandoned(Arc<AtomicBool>);

/// Sets it when the future that waits is dropped.
#[derive(Debug)]
pub(crate) struct AbandonOnDrop(pub(crate) Abandoned);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// The compressed bytes; `None` when they are not at least 5 % smaller.
///
/// Fails when the file has another content than the plan says: a variant of that would be served as this one.
pub(crate) fn compress(
    content: Content<'_>,
    coding: Coding,
    effort: Effort,
    abandoned: Abandoned,
) -> io::Result<Option<Vec<u8>>> {
    if effort == Effort::Quick {
        let limit = clearly_worthwhile(content.size);
        if let Some(bytes) = compress_to(content, coding, effort, limit, abandoned.clone())? {
            return Ok(Some(bytes));
        }
    }
    compress_to(content, coding, Effort::Deployment, worthwhile(content.size), abandoned)
}

fn compress_to(
    content: Content<'_>,
    coding: Coding,
    effort: Effort,
    bytes_max: usize,
    abandoned: Abandoned,
) -> io::Result<Option<Vec<u8>>> {
    let file = std::fs::File::open(content.file)?;
    let source = Source { file, hasher: ContentHasher::default(), size: 0, abandoned };
    let output = Output { bytes: Vec::new(), bytes_max, is_over: false };
    let (source, output) = encode(source, output, coding, effort, content.size)?;
    if source.size != content.size || source.hasher.finish() != content.hash {
        return Err(io::Error::other("it changed while it was read"));
    }
    Ok((!output.is_over).then_some(output.bytes))
}

/// The most bytes that a variant may have to be kept.
fn worthwhile(size: u64) -> usize {
    usize::try_from(size - size.div_ceil(20)).unwrap_or(usize::MAX)
}

/// So much smaller that a slower level, whose result is no larger but for a few bytes, is worthwhile for sure.
fn clearly_worthwhile(size: u64) -> usize {
    usize::try_from(size - size.div_ceil(10)).unwrap_or(usize::MAX)
}

fn encode(
    mut source: Source,
    output: Output,
    coding: Coding,
    effort: Effort,
    size: u64,
) -> io::Result<(Source, Output)> {
    let is_quick = effort == Effort::Quick;
    let mut piece = vec![0; PIECE_BYTES];
    match coding {
        Coding::Brotli => {
            let parameters = brotli::enc::BrotliEncoderParams {
                quality: if is_quick { levels::QUICK_BROTLI } else { levels::brotli(size) },
                lgwin: levels::brotli_window_bits(size),
                size_hint: usize::try_from(size).unwrap_or(0),
                ..Default::default()
            };
            let mut encoder = brotli::CompressorWriter::with_params(output, PIECE_BYTES, &parameters);
            copy(&mut source, &mut encoder, &mut piece)?;
            Ok((source, encoder.into_inner()))
        }
        Coding::Zstd => {
            let level = if is_quick { levels::QUICK_ZSTD } else { levels::zstd(size) };
            let mut encoder = zstd::Encoder::new(output, level)?;
            // The tables follow the size: told it, the encoder is ten times faster on small files.
            encoder.window_log(levels::zstd_window_bits(size))?;
            encoder.set_pledged_src_size(Some(size))?;
            copy(&mut source, &mut encoder, &mut piece)?;
            Ok((source, encoder.finish()?))
        }
        Coding::Gzip => {
            // Neither a name nor a time: equal content gives equal bytes.
            let level = if is_quick { levels::QUICK_GZIP } else { levels::GZIP };
            let mut encoder = GzBuilder::new().mtime(0).write(output, Compression::new(level));
            copy(&mut source, &mut encoder, &mut piece)?;
            Ok((source, encoder.finish()?))
        }
    }
}

fn copy(source: &mut Source, encoder: &mut impl Write, piece: &mut [u8]) -> io::Result<()> {
    loop {
        match source.read(piece)? {
            0 => return Ok(()),
            count => encoder.write_all(&piece[..count])?,
        }
    }
}

/// Hashes and counts what is read.
struct Source {
    file: std::fs::File,
    hasher: ContentHasher,
    size: u64,
    abandoned: Abandoned,
}

impl Read for Source {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        if self.abandoned.0.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        let count = self.file.read(piece)?;
        self.hasher.update(&piece[..count]);
        self.size += count as u64;
        Ok(count)
    }
}

/// Keeps what is written for as long as it is worth keeping, so that memory is bounded by the file's size.
struct Output {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_over: bool,
}

impl Write for Output {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.is_over || self.bytes.len() + piece.len() > self.bytes_max {
            self.is_over = true;
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(piece);
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
