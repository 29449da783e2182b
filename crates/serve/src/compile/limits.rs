//! What fails a deployment. All of them together bound what an edge keeps and walks per site: rules of one site
//! take at most a few hundred KiB in a manifest, whatever is written into its files.

/// 64 KiB a file: 5,000 rules of 13 bytes fit, and it is read whole into memory.
pub const FILE_BYTES_MAX: usize = 64 * 1024;

/// 2,000 characters a line, as Cloudflare has it; URLs over 2 KiB are cut by clients and proxies anyway.
pub const LINE_CHARS_MAX: usize = 2_000;

/// In all files together. Looked up by hash, so they cost memory only.
pub const STATIC_REDIRECTS_MAX: usize = 5_000;

/// In all files together. Each of them is tried in turn: 500 prefix comparisons are a few microseconds a request.
pub const DYNAMIC_REDIRECTS_MAX: usize = 500;

/// Of `from` and of a target on this site.
pub const PATH_SEGMENTS_MAX: usize = 25;

/// Blocks of headers, in all files together. Each of them is tried in turn, as dynamic redirects are.
pub const HEADER_BLOCKS_MAX: usize = 500;
