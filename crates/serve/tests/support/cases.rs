//! The format of `tests/examples` (its README tells what it means), for the tests of every door to the engine.
//!
//! Text in, values out: it knows neither the engine nor HTTP libraries.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]
#![allow(dead_code, unreachable_pub, reason = "part of several tests, each of which needs some of it")]

use std::path::{Path, PathBuf};

/// The primary production hostname of every example.
pub const HOST: &str = "www.example.org";

/// A row of `cases.tsv`.
#[derive(Debug, Clone)]
pub struct Case {
    /// Counted from 1.
    pub line: usize,
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub country: Option<String>,
    pub status: u16,
    pub expected: Expected,
}

#[derive(Debug, Clone)]
pub enum Expected {
    Location(String),
    File(String),
    /// Lower case, as all names here.
    Header(String, String),
    NoHeader(String),
}

impl Case {
    fn parse(line: usize, row: &str) -> Self {
        let columns: Vec<&str> = row.split('\t').collect();
        let [method, url, headers, status, expected] = columns[..] else { panic!("five columns: {row}") };
        let mut headers = pairs(headers);
        let country = headers.iter().position(|(name, _)| name == "@country").map(|at| headers.remove(at).1);
        let (method, url, status) = (method.to_owned(), url.to_owned(), status.parse().unwrap());
        Self { line, method, url, headers, country, status, expected: Expected::parse(expected) }
    }

    /// Host and target of the URL; a path is asked of [`HOST`].
    pub fn host_and_target(&self) -> (&str, &str) {
        match self.url.strip_prefix("https://") {
            Some(rest) => rest.split_at(rest.find('/').unwrap()),
            None => (HOST, &self.url),
        }
    }
}

/// A piece without a colon belongs to the value before it: `Cookie: a=b; c=d`.
fn pairs(headers: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for piece in headers.split("; ") {
        match (piece.split_once(": "), pairs.last_mut()) {
            (Some((name, value)), _) => pairs.push((name.to_owned(), value.to_owned())),
            (None, Some((_, value))) => *value = format!("{value}; {piece}"),
            (None, None) => assert_eq!(headers, "-"),
        }
    }
    pairs
}

impl Expected {
    fn parse(text: &str) -> Self {
        if let Some(location) = text.strip_prefix("-> ") {
            Self::Location(location.to_owned())
        } else if let Some(name) = text.strip_prefix("! ") {
            Self::NoHeader(name.to_ascii_lowercase())
        } else if let Some(path) = text.strip_prefix('/') {
            Self::File(path.to_owned())
        } else {
            let (name, value) = text.split_once(": ").unwrap();
            Self::Header(name.to_ascii_lowercase(), value.to_owned())
        }
    }
}

/// A folder of `tests/examples`.
#[derive(Debug, Clone)]
pub struct Example {
    pub name: String,
    pub folder: PathBuf,
}

impl Example {
    /// In the order of their names.
    pub fn all(examples: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
        folders.sort();
        let name = |folder: &PathBuf| folder.file_name().unwrap().to_str().unwrap().to_owned();
        folders.into_iter().map(|folder| Self { name: name(&folder), folder }).collect()
    }

    /// The requests, without those that would be fetched from another origin: no project may, yet.
    pub fn cases(&self) -> Vec<Case> {
        let table = std::fs::read_to_string(self.folder.join("cases.tsv")).unwrap();
        let rows = table.lines().enumerate().filter(|(_, row)| !row.starts_with('#'));
        rows.filter(|(_, row)| !row.contains("\t=> ")).map(|(at, row)| Case::parse(at + 1, row)).collect()
    }

    /// Paths and contents.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let list = std::fs::read_to_string(self.folder.join("site.txt")).unwrap();
        let file = |line: &str| match line.split_once('\t') {
            None => (line.to_owned(), line.as_bytes().to_vec()),
            Some((path, size)) => (path.to_owned(), content(path, size.parse().unwrap())),
        };
        list.lines().filter(|line| !line.is_empty()).map(file).collect()
    }

    /// Writes the site and its rules into a folder, as somebody would deploy it.
    pub fn write_to(&self, dir: &Path) {
        for (path, content) in self.files() {
            let file = dir.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
        for entry in std::fs::read_dir(&self.folder).unwrap() {
            let entry = entry.unwrap();
            if !["cases.tsv", "site.txt"].iter().any(|own| entry.file_name() == *own) {
                std::fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
            }
        }
    }
}

/// Different at every place, and easily compressed.
fn content(path: &str, size: usize) -> Vec<u8> {
    let lines = (1..).flat_map(|number| format!("{path}, line {number}\n").into_bytes());
    lines.take(size).collect()
}
