//! Where Postgres' server programs are.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::PostgresError;

/// `schema.sql` is written for it, and it is what Debian 12 has.
const OLDEST_MAJOR: u32 = 15;

const PROGRAMS: [&str; 3] = ["pg_ctl", "initdb", "postgres"];

/// Folders that hold one folder per version: Debian and Ubuntu, Fedora's and Postgres' own packages, Homebrew.
const VERSION_PARENTS: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installation {
    pub(super) bin_dir: PathBuf,
    pub(super) major: u32,
}

impl Installation {
    /// The programs for an existing cluster of that version, or the best ones for a new cluster.
    ///
    /// `home` is only named in the error.
    pub(super) fn find(cluster: Option<u32>, home: &Path) -> Result<Self, PostgresError> {
        let chosen = std::env::var_os("LOGGIA_POSTGRES_BIN_DIR").filter(|dir| !dir.is_empty());
        let folders = match chosen.map(PathBuf::from) {
            Some(dir) if holds_programs(&dir) => vec![dir],
            Some(dir) => return Err(PostgresError::NotThere(dir)),
            None => folders(std::env::var_os("PATH").as_deref()),
        };
        let found: Vec<Self> = folders.iter().filter_map(|dir| Self::inspect(dir)).collect();
        choose(&found, cluster, home)
    }

    fn inspect(bin_dir: &Path) -> Option<Self> {
        let answer = Command::new(bin_dir.join("postgres")).arg("--version").output().ok()?;
        let major = parse_major(&String::from_utf8_lossy(&answer.stdout))?;
        Some(Self { bin_dir: bin_dir.to_owned(), major })
    }
}

fn choose(found: &[Installation], cluster: Option<u32>, home: &Path) -> Result<Installation, PostgresError> {
    let fits = |one: &&Installation| cluster.map_or(one.major >= OLDEST_MAJOR, |major| one.major == major);
    if let Some(installation) = found.iter().find(fits) {
        return Ok(installation.clone());
    }
    let newest = found.iter().map(|one| one.major).max().ok_or(PostgresError::NotInstalled)?;
    Err(match cluster {
        Some(cluster) => {
            let found = found.iter().map(|one| one.major).collect();
            PostgresError::OtherVersion { home: home.to_owned(), cluster, found }
        }
        None => PostgresError::TooOld { found: newest, oldest: OLDEST_MAJOR },
    })
}

/// Every folder that holds the programs: those in `PATH` first, then the usual places, newest version first.
fn folders(path: Option<&OsStr>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = path
        .iter()
        .flat_map(std::env::split_paths)
        // A link in PATH leads to the real folder, where the other programs are.
        .filter_map(|dir| dir.join("pg_ctl").canonicalize().ok()?.parent().map(Path::to_owned))
        .collect();
    for (parent, prefix) in VERSION_PARENTS {
        folders.extend(versions(Path::new(parent), prefix));
    }
    folders.push("/usr/local/pgsql/bin".into());
    let mut seen = std::collections::HashSet::new();
    folders.retain(|dir| holds_programs(dir) && seen.insert(dir.clone()));
    folders
}

fn versions(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = parent.read_dir() else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let major = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    versions.into_iter().map(|(_, dir)| dir).collect()
}

fn holds_programs(dir: &Path) -> bool {
    PROGRAMS.iter().all(|program| dir.join(program).is_file())
}

/// From `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; betas say `18beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let digits = number.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(found: &[u32], cluster: Option<u32>) -> String {
        let found = found.iter().map(|&major| Installation { bin_dir: format!("/{major}").into(), major });
        match choose(&found.collect::<Vec<_>>(), cluster, Path::new("/data/postgres")) {
            Ok(chosen) => chosen.bin_dir.display().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_version_of_the_data_decides_and_then_the_order_of_the_folders() {
        let cases = [
            (&[15, 17][..], None, "/15"),
            (&[14, 17], None, "/17"),
            (&[17, 15], Some(15), "/15"),
            (&[14], Some(14), "/14"),
            (&[14], None, "Postgres 15 or newer is needed"),
            (&[17, 16], Some(15), "made by Postgres 15, and this machine has only 17 and 16"),
            (&[], None, "sudo apt-get install postgresql"),
        ];
        for (found, cluster, expected) in cases {
            let answer = summary(found, cluster);
            assert!(answer.contains(expected), "{found:?} for {cluster:?}: {answer}");
        }
    }

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        let cases = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 18beta1\n", Some(18)),
            ("postgres: not found", None),
        ];
        for (text, major) in cases {
            assert_eq!(parse_major(text), major, "{text}");
        }
    }

    #[test]
    fn versions_are_listed_newest_first_and_by_number() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        for name in ["pgsql-9", "pgsql-15", "pgsql-old", "lib"] {
            std::fs::create_dir(parent.path().join(name)).expect("an empty parent");
        }
        let names: Vec<PathBuf> = vec![parent.path().join("pgsql-15/bin"), parent.path().join("pgsql-9/bin")];
        assert_eq!(versions(parent.path(), "pgsql-"), names);
    }
}
