//! What each level of each coding costs and gives, for the compressible files of a folder: the numbers of
//! docs/decisions/0007-compression-levels.md. `cargo run -p loggia-publish --example compression_levels -- DIR [LEVEL]`
//!
//! The peak is that of the process so far: for a level's own, name it alone.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "prints a table, or fails")]

use std::io::Write;

use flate2::{Compression, GzBuilder};
use loggia_types::media_type;

fn brotli(content: &[u8], quality: i32, fitted: bool) -> usize {
    let window = if fitted { (content.len() as u64 + 16).ilog2() as i32 + 1 } else { 22 }.clamp(10, 22);
    let parameters = brotli::enc::BrotliEncoderParams {
        quality,
        lgwin: window,
        size_hint: content.len(),
        ..Default::default()
    };
    let mut encoder = brotli::CompressorWriter::with_params(Vec::new(), 64 * 1024, &parameters);
    encoder.write_all(content).unwrap();
    encoder.into_inner().len()
}

fn zstd(content: &[u8], level: i32, fitted: bool) -> usize {
    let mut encoder = zstd::Encoder::new(Vec::new(), level).unwrap();
    encoder.set_pledged_src_size(fitted.then_some(content.len() as u64)).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap().len()
}

fn gzip(content: &[u8], level: u32) -> usize {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(level));
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap().len()
}

/// The highest resident size of this process so far, in MiB (Linux).
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Of all threads, in seconds (Linux counts a hundred ticks a second): other work of the machine does not count.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn row(name: &str, files: &[Vec<u8>], work: impl Fn(&[u8]) -> usize) {
    if std::env::args().nth(2).is_some_and(|wanted| wanted != name) {
        return;
    }
    let begun_at = cpu_secs();
    let bytes: usize = files.iter().map(|content| work(content)).sum();
    let secs = cpu_secs() - begun_at;
    let total: usize = files.iter().map(Vec::len).sum();
    let (share, speed) = (100.0 * bytes as f64 / total as f64, total as f64 / 1e6 / secs);
    println!("| {name} | {bytes} | {share:.1} % | {secs:.2} s | {speed:.1} MB/s | {} MiB |", peak_mib());
}

fn read(folder: &std::path::Path, files: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            read(&path, files);
        } else if media_type::is_compressible(&media_type::for_path(path.to_str().unwrap())) {
            files.extend(std::fs::read(path).ok().filter(|content| content.len() > 1024));
        }
    }
}

fn main() {
    let mut files = Vec::new();
    read(std::env::args().nth(1).expect("a folder").as_ref(), &mut files);
    let total: usize = files.iter().map(Vec::len).sum();
    println!(
        "{} files, {total} bytes\n\n| level | bytes | share | time | speed | peak |\n|---|---|---|---|---|---|",
        files.len()
    );
    for level in [1, 6, 9] {
        row(&format!("gzip {level}"), &files, |content| gzip(content, level));
    }
    for level in [3, 9, 15, 19, 22] {
        row(&format!("zstd {level}"), &files, |content| zstd(content, level, true));
    }
    for quality in [4, 5, 6, 9, 10, 11] {
        row(&format!("br {quality}"), &files, |content| brotli(content, quality, true));
    }
    row("br 11, not told the size", &files, |content| brotli(content, 11, false));
    row("zstd 19, not told the size", &files, |content| zstd(content, 19, false));
}
