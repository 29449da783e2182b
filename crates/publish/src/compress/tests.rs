#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Read;

use super::*;

/// Text without long repetitions: a third of it goes away.
fn text(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abcdefghijklmnopqrstuvwxyz     "[(state >> 24) as usize % 31]
    };
    (0..len).map(|_| next()).collect()
}

/// Bytes that no coding makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let hashes = (0u32..).flat_map(|n| *ContentHash::of(&n.to_le_bytes()).as_bytes());
    hashes.take(len).collect()
}

fn compressed(content: &[u8], coding: Coding) -> Option<Vec<u8>> {
    compressed_with(content, coding, Effort::Deployment)
}

fn compressed_with(content: &[u8], coding: Coding, effort: Effort) -> Option<Vec<u8>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let (size, hash) = (content.len() as u64, ContentHash::of(content));
    compress(Content { file: file.path(), size, hash }, coding, effort, Abandoned::default()).unwrap()
}

fn decompressed(bytes: &[u8], coding: Coding) -> Vec<u8> {
    let mut content = Vec::new();
    match coding {
        Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut content).unwrap(),
        Coding::Zstd => zstd::Decoder::new(bytes).unwrap().read_to_end(&mut content).unwrap(),
        Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut content).unwrap(),
    };
    content
}

#[test]
fn what_comes_out_is_what_went_in_and_is_the_same_every_time() {
    for len in [1025, 65_536, 300_000] {
        let content = text(len);
        for coding in Coding::ALL {
            let once = compressed(&content, coding).unwrap();
            assert!(once.len() < len * 19 / 20, "{coding:?} of {len} bytes gives {}", once.len());
            assert_eq!(decompressed(&once, coding), content, "{coding:?}");
            assert_eq!(compressed(&content, coding).as_ref(), Some(&once), "{coding:?}");
        }
    }
}

#[test]
fn a_gzip_file_says_neither_when_nor_what_it_was() {
    let bytes = compressed(&text(2000), Coding::Gzip).unwrap();
    // RFC 1952, 2.3: no flags, and a time of zero.
    assert_eq!(bytes[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
}

#[test]
fn what_is_less_than_five_percent_smaller_is_not_kept() {
    for coding in Coding::ALL {
        assert_eq!(compressed(&noise(20_000), coding), None, "{coding:?}");
    }
    assert_eq!((worthwhile(2000), worthwhile(2001), worthwhile(2019)), (1900, 1900, 1918));
    let mut output = Output { bytes: Vec::new(), bytes_max: worthwhile(2000), is_over: false };
    output.write_all(&[0; 1900]).unwrap();
    assert!(!output.is_over, "1,900 bytes are just five percent less");
    output.write_all(&[0]).unwrap();
    assert!(output.is_over);
}

#[test]
fn quick_variants_are_the_ones_that_a_deployment_has() {
    for noise_percent in (0..=100).step_by(5) {
        let content = [noise(200 * noise_percent), text(20_000 - 200 * noise_percent)].concat();
        for coding in Coding::ALL {
            let deployed = compressed(&content, coding);
            let quick = compressed_with(&content, coding, Effort::Quick);
            assert_eq!(quick.is_some(), deployed.is_some(), "{coding:?}, {noise_percent} % noise");
            let decoded = quick.map(|bytes| decompressed(&bytes, coding));
            assert!(decoded.is_none_or(|decoded| decoded == content), "{coding:?}");
        }
    }
}

#[test]
fn a_file_that_is_not_what_was_announced_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text(5000)).unwrap();
    let content = Content { file: file.path(), size: 5000, hash: ContentHash::of(&noise(5000)) };
    for coding in Coding::ALL {
        let error = compress(content, coding, Effort::Deployment, Abandoned::default()).unwrap_err();
        assert_eq!(error.to_string(), "it changed while it was read");
        let longer = Content { size: 6000, hash: ContentHash::of(&text(5000)), ..content };
        assert!(compress(longer, coding, Effort::Deployment, Abandoned::default()).is_err(), "{coding:?}");
    }
}

#[test]
fn work_that_nobody_waits_for_ends() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text(5000)).unwrap();
    let content = Content { file: file.path(), size: 5000, hash: ContentHash::of(&text(5000)) };
    let abandoned = Abandoned::default();
    drop(AbandonOnDrop(abandoned.clone()));
    assert!(compress(content, Coding::Zstd, Effort::Deployment, abandoned).is_err());
}
