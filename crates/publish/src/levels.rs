//! How hard each coding tries. Chosen by measurement: docs/decisions/0007-compression-levels.md.

const MIB: u64 = 1024 * 1024;

/// How hard compressing tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// The smallest that pays off when many visitors load it.
    Deployment,
    /// For a person who waits. Where it saves so little that a deployment's effort could decide otherwise, that one
    /// is made.
    Quick,
}

/// 0 to 11. One of the first that look back further than gzip.
pub(crate) const QUICK_BROTLI: i32 = 4;
/// 1 to 22.
pub(crate) const QUICK_ZSTD: i32 = 3;
/// 1 to 9.
pub(crate) const QUICK_GZIP: u32 = 4;

/// 0 to 11. The last levels take ten times as long as 9 for a tenth less: six seconds for 4 MiB.
pub(crate) fn brotli(size: u64) -> i32 {
    if size <= 4 * MIB { 11 } else { 9 }
}

/// Every decoder takes up to 24 (RFC 7932); beyond 22 an encoder's memory grows faster than what it saves.
const BROTLI_WINDOW_BITS_MAX: i32 = 22;

/// A window that just holds the file: a larger one would be allocated and cleared for nothing.
pub(crate) fn brotli_window_bits(size: u64) -> i32 {
    // A window has 16 bytes less than its power of two; 10 bits are the least.
    window_bits(size.saturating_add(16)).clamp(10, BROTLI_WINDOW_BITS_MAX)
}

/// 1 to 22. Six seconds for 16 MiB.
pub(crate) fn zstd(size: u64) -> i32 {
    if size <= 16 * MIB { 19 } else { 9 }
}

/// Browsers refuse windows over 8 MiB (RFC 9659).
const ZSTD_WINDOW_BITS_MAX: i32 = 23;

pub(crate) fn zstd_window_bits(size: u64) -> u32 {
    window_bits(size).clamp(10, ZSTD_WINDOW_BITS_MAX).unsigned_abs()
}

/// 1 to 9. Never the slow one: 20 MB a second.
pub(crate) const GZIP: u32 = 9;

fn window_bits(size: u64) -> i32 {
    (u64::BITS - size.saturating_sub(1).leading_zeros()).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_its_file_and_no_more_than_decoders_take() {
        let cases = [
            // bytes, brotli, zstd
            (0, 10, 10),
            (1008, 10, 10),
            (1009, 11, 10),
            (1025, 11, 11),
            (65_520, 16, 16),
            (65_521, 17, 16),
            (4 * MIB, 22, 22),
            (8 * MIB, 22, 23),
            (64 * MIB, 22, 23),
            (u64::MAX, 22, 23),
        ];
        for (size, brotli, zstd) in cases {
            assert_eq!((brotli_window_bits(size), zstd_window_bits(size)), (brotli, zstd), "{size} bytes");
        }
    }
}
