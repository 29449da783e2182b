use std::fs;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use time::Duration;

use super::*;

/// Certificate and key as PEM.
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Pair {
    /// For these names, and so many days from now on.
    pub(crate) fn new(names: &[&str], days: i64) -> Self {
        loggia_runtime::install_crypto_provider();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        let now = Timestamp::now().0;
        params.not_before = now - Duration::days(30);
        params.not_after = now + Duration::days(days);
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("signed");
        Self { cert: cert.pem(), key: key.serialize_pem() }
    }

    fn write(&self, dir: &Path, name: &str) {
        put(dir, &format!("{name}.crt"), &self.cert);
        put(dir, &format!("{name}.key"), &self.key);
    }
}

pub(crate) fn certificate(pair: &Pair) -> Certificate {
    let dir = tempfile::tempdir().expect("a folder");
    pair.write(dir.path(), "one");
    let files = CertificateFiles { cert: dir.path().join("one.crt"), key: dir.path().join("one.key") };
    Certificate::read(&files, &Sessions::new().expect("keys")).expect("a certificate")
}

fn put(dir: &Path, name: &str, text: &str) {
    fs::create_dir_all(dir.join(name).parent().expect("a folder")).expect("made");
    fs::write(dir.join(name), text).expect("written");
}

fn config(dir: &TempDir, default: Option<&str>) -> HttpsConfig {
    let default = default.map(|name| CertificateFiles {
        cert: dir.path().join(format!("{name}.crt")),
        key: dir.path().join(format!("{name}.key")),
    });
    let certs = dir.path().join("certs");
    fs::create_dir_all(&certs).expect("made");
    HttpsConfig { listen: ([127, 0, 0, 1], 0).into(), default, dir: Some(certs) }
}

/// Days that the certificate of a name still has, -1 for none.
fn days(shelf: &Shelf, name: &str) -> i64 {
    let index = shelf.index();
    index.find(Some(name)).map_or(-1, |found| (found.ends().0 - Timestamp::now().0).whole_days() + 1)
}

fn counts(shelf: &Shelf) -> (u64, u64) {
    (shelf.counts().used, shelf.counts().faulty)
}

#[test]
fn a_pair_that_is_of_no_use_keeps_the_one_before_and_the_others_go_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = config(&dir, None);
    let certs = config.dir.clone().expect("a folder");
    let now = Timestamp::now();
    Pair::new(&["a.example"], 10).write(&certs, "a");
    Pair::new(&["b.example"], 10).write(&certs, "b");
    let mut shelf = Shelf::open(&config, now).expect("usable");
    assert_eq!(counts(&shelf), (2, 0));
    assert!(!shelf.look(now), "nothing changed");

    let newer = Pair::new(&["a.example"], 20);
    let expired = Pair::new(&["a.example"], -1);
    let cases = [
        ("only the certificate is new yet", "a.crt", newer.cert.clone()),
        ("half of it is written", "a.crt", newer.cert[..newer.cert.len() / 2].to_owned()),
        ("it is empty", "a.crt", String::new()),
        ("it is no PEM", "a.crt", "\u{fffd}".repeat(1000)),
        ("it is a key", "a.crt", newer.key.clone()),
        ("it is too large", "a.crt", "x".repeat(1 << 20)),
    ];
    for (case, file, text) in cases {
        put(&certs, file, &text);
        assert!(!shelf.look(now), "{case}");
        assert_eq!((days(&shelf, "a.example"), counts(&shelf)), (10, (2, 1)), "{case}");
        let renewed = Pair::new(&["b.example"], days(&shelf, "b.example") + 1);
        renewed.write(&certs, "b");
        assert!(shelf.look(now), "{case}: the other one");
    }
    expired.write(&certs, "a");
    assert!(!shelf.look(now));
    assert_eq!((days(&shelf, "a.example"), counts(&shelf)), (10, (2, 1)), "expired");
    fs::remove_file(certs.join("a.key")).expect("removed");
    assert!(!shelf.look(now));
    assert_eq!(days(&shelf, "a.example"), 10, "half removed");

    newer.write(&certs, "a");
    assert!(shelf.look(now));
    assert_eq!((days(&shelf, "a.example"), counts(&shelf)), (20, (2, 0)), "whole again");
    for file in ["a.crt", "a.key"] {
        fs::remove_file(certs.join(file)).expect("removed");
    }
    assert!(shelf.look(now));
    assert_eq!((days(&shelf, "a.example"), counts(&shelf)), (-1, (1, 0)), "removed");
}

#[test]
fn a_folder_that_cannot_be_listed_keeps_what_was_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = config(&dir, None);
    let certs = config.dir.clone().expect("a folder");
    let now = Timestamp::now();
    let pair = Pair::new(&["*.example"], 10);
    put(&certs, "example/fullchain.pem", &pair.cert);
    put(&certs, "example/privkey.pem", &pair.key);
    let mut shelf = Shelf::open(&config, now).expect("usable");
    let moved = certs.with_extension("moved");
    fs::rename(&certs, &moved).expect("moved");
    assert!(!shelf.look(now));
    assert_eq!(days(&shelf, "a.example"), 10);
    fs::rename(&moved, &certs).expect("moved back");
    assert!(!shelf.look(now));
    assert_eq!(days(&shelf, "a.example"), 10);
}

#[test]
fn the_default_is_renewed_and_may_be_out_of_date_at_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = config(&dir, Some("default"));
    let now = Timestamp::now();
    Pair::new(&["default.example"], -3).write(dir.path(), "default");
    let mut shelf = Shelf::open(&config, now).expect("better than nothing");
    assert_eq!((days(&shelf, "any.example"), counts(&shelf)), (-2, (1, 1)));
    Pair::new(&["default.example"], 10).write(dir.path(), "default");
    assert!(shelf.look(now));
    assert_eq!((days(&shelf, "any.example"), counts(&shelf)), (10, (1, 0)));
    for file in ["default.crt", "default.key"] {
        fs::remove_file(dir.path().join(file)).expect("removed");
    }
    assert!(!shelf.look(now), "it is named by a setting");
    assert_eq!(days(&shelf, "any.example"), 10);
}

/// How the folder is prepared, and what is said of it.
type Case<'c> = (&'c dyn Fn(&Path), &'c str);

#[test]
fn without_any_certificate_the_message_names_file_and_remedy() {
    let message = |prepare: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().expect("a folder");
        let config = config(&dir, None);
        prepare(config.dir.as_deref().expect("a folder"));
        let error = Shelf::open(&config, Timestamp::now()).err().expect("nothing to show");
        format!("{error:#}").replace(&dir.path().display().to_string(), "DIR")
    };
    let pair = Pair::new(&["a.example"], 10);
    let other = Pair::new(&["a.example"], 10);
    let cases: [Case; 5] = [
        (&|_| {}, "DIR/certs (LOGGIA_PROXY_TLS_DIR) holds no certificate that can be used: it holds no pair"),
        (
            &|certs| fs::remove_dir(certs).expect("removed"),
            "the folder DIR/certs cannot be listed: No such file",
        ),
        (&|certs| put(certs, "a.crt", &pair.cert), "DIR/certs/a.key cannot be opened: No such file"),
        (
            &|certs| {
                pair.write(certs, "a");
                put(certs, "a.key", &other.key);
            },
            "the certificate DIR/certs/a.crt and the key DIR/certs/a.key do not fit together",
        ),
        (
            &|certs| Pair::new(&["a.example"], -1).write(certs, "a"),
            "DIR/certs/a.crt is out of date: it ended at",
        ),
    ];
    for (prepare, expected) in cases {
        let message = message(prepare);
        assert!(message.contains(expected), "{message}");
        assert!(
            message.contains("NAME.crt and NAME.key") && message.contains("LOGGIA_PROXY_TLS_CERT"),
            "{message}"
        );
    }
}
