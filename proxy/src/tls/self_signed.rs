//! A certificate of our own, so that HTTPS works before anybody has set it up.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use loggia_types::{BaseDomain, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use time::Duration;

/// What browsers accept at most (CA/Browser Forum Ballot SC-081 until 2026) is 398 days.
const SELF_SIGNED_VALIDITY: Duration = Duration::days(397);

/// Renewed this long before its end, so that a process that runs for a while never shows an expired one.
const RENEW_BEFORE: Duration = Duration::days(60);

/// A certificate for the base domain and every name directly below it, kept in `dir` and made anew when it is
/// missing, for another domain, or near its end. Returns the paths of certificate and key.
pub fn ensure_self_signed(dir: &Path, base_domain: &BaseDomain) -> anyhow::Result<(PathBuf, PathBuf)> {
    ensure_self_signed_at(dir, base_domain, Timestamp::now())
}

fn ensure_self_signed_at(
    dir: &Path,
    base_domain: &BaseDomain,
    now: Timestamp,
) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (cert, key) = (dir.join("self-signed.crt"), dir.join("self-signed.key"));
    if !is_current(&cert, base_domain, now) || !key.exists() {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        write_self_signed(&cert, &key, base_domain, now)
            .with_context(|| format!("making a self-signed certificate in {}", dir.display()))?;
    }
    Ok((cert, key))
}

/// The line above the PEM block, which PEM readers skip (RFC 7468 §2): it spares us an X.509 parser.
fn label(base_domain: &BaseDomain) -> String {
    format!("Self-signed for *.{base_domain} until ")
}

fn is_current(cert: &Path, base_domain: &BaseDomain, now: Timestamp) -> bool {
    let text = fs::read_to_string(cert).unwrap_or_default();
    let until = text.lines().next().and_then(|line| line.strip_prefix(&label(base_domain)));
    let until = until.and_then(|secs| secs.parse().ok()).and_then(Timestamp::from_unix_secs);
    until.is_some_and(|until| now.0 < until.0 - RENEW_BEFORE)
}

fn write_self_signed(
    cert: &Path,
    key: &Path,
    base_domain: &BaseDomain,
    now: Timestamp,
) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(vec![base_domain.to_string(), format!("*.{base_domain}")])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Loggia at {base_domain}"));
    // A clock that is a little behind must not find it «not yet valid».
    params.not_before = now.0 - Duration::days(1);
    params.not_after = now.0 + SELF_SIGNED_VALIDITY;
    let key_pair = KeyPair::generate()?;
    let certificate = params.self_signed(&key_pair)?;
    let until = Timestamp(params.not_after).unix_secs();
    write_atomically(key, 0o600, &key_pair.serialize_pem())?;
    write_atomically(cert, 0o644, &format!("{}{until}\n{}", label(base_domain), certificate.pem()))
}

fn write_atomically(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let temporary = path.with_extension("tmp");
    // A left-over file would keep its own mode.
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(fs::rename(&temporary, path)?)
}

#[cfg(test)]
mod tests {
    use super::super::certificate::{Certificate, Sessions};
    use super::*;
    use crate::config::CertificateFiles;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_self_signed_certificate_is_kept_until_it_is_near_its_end() {
        loggia_runtime::install_crypto_provider();
        let dir = tempfile::tempdir().expect("a folder");
        let base: BaseDomain = "localhost".parse().expect("valid");
        let now = Timestamp::now();
        let read = |paths: &(PathBuf, PathBuf)| fs::read_to_string(&paths.0).expect("a certificate");

        let first = ensure_self_signed_at(dir.path(), &base, now).expect("made");
        let (cert, key) = first.clone();
        assert_eq!(fs::metadata(&key).expect("a key").permissions().mode() & 0o777, 0o600);
        let sessions = Sessions::new().expect("keys");
        Certificate::read(&CertificateFiles { cert, key }, &sessions).expect("certificate and key load");

        let text = read(&first);
        let later = Timestamp(now.0 + Duration::days(300));
        assert_eq!(read(&ensure_self_signed_at(dir.path(), &base, later).expect("kept")), text);
        let near_end = Timestamp(now.0 + Duration::days(340));
        let renewed = read(&ensure_self_signed_at(dir.path(), &base, near_end).expect("renewed"));
        assert_ne!(renewed, text);
        let other: BaseDomain = "pages.example.com".parse().expect("valid");
        let moved =
            read(&ensure_self_signed_at(dir.path(), &other, near_end).expect("made for another domain"));
        assert_ne!(moved, renewed);
    }
}
