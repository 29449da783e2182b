//! `Host` headers, and whose name it is that they hold.

use std::sync::LazyLock;

use loggia_types::hostname::{HOSTNAME_LEN_MAX, HostnameKind, InvalidHostname};
use loggia_types::{BaseDomain, Hostname};

use crate::answers::ensure;
use crate::harness::{Checked, Notes, Target};

pub(crate) const TARGET: Target = Target {
    name: "host",
    dictionary: &[
        b".",
        b"..",
        b":",
        b":80",
        b":8080",
        b":99999",
        b":123456",
        b"-",
        b"--",
        b"_",
        b"localhost",
        b".localhost",
        b"pages.example.com",
        b".pages.example.com",
        b"shop",
        b"main--shop",
        b"d-",
        b"d-01jd3k8mxv7e2q4r--shop",
        b"pr-1--shop",
        b"www",
        b"api",
        b"xn--",
        b"xn--bcher-kva",
        "bücher".as_bytes(),
        "ß".as_bytes(),
        "。".as_bytes(),
        "İ".as_bytes(),
        "\u{200d}".as_bytes(),
        "\u{ad}".as_bytes(),
        b"[::1]",
        b"[",
        b"]",
        b"127.0.0.1",
        b"0x7f.1",
        b"@",
        b"/",
        b"\\",
        b"?",
        b"#",
        b"%",
        b"%00",
        b"\0",
        b" ",
        b"\t",
        b"\r\n",
        b",",
        b"A",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ],
    len_max: 600,
    check,
    made: Vec::new,
    repair: super::leave,
};

static BASES: LazyLock<[BaseDomain; 2]> =
    LazyLock::new(|| ["localhost", "pages.example.com"].map(|base| base.parse().unwrap()));

fn check(input: &[u8], notes: &mut Notes) -> Checked {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    let from_header = Hostname::from_host_header(text);
    match &from_header {
        Ok(hostname) => {
            let before_port = text.split(':').next().unwrap_or_default();
            let name = before_port.strip_suffix('.').unwrap_or(before_port);
            ensure(hostname.as_str().eq_ignore_ascii_case(name), || "it names another host".into())?;
            check_name(hostname, notes)?;
        }
        Err(error) => notes.note(kind_of_error(error)),
    }
    match text.parse::<Hostname>() {
        Ok(typed) => {
            notes.note(("typed", text.is_ascii()));
            ensure(!text.contains(':'), || "a name with a port".into())?;
            let is_same = !text.is_ascii() || from_header.as_ref() == Ok(&typed);
            ensure(is_same, || "a typed name differs from one in a header".into())?;
            check_name(&typed, notes)
        }
        Err(error) => {
            notes.note(("typed", kind_of_error(&error)));
            Ok(())
        }
    }
}

fn kind_of_error(error: &InvalidHostname) -> u8 {
    match error {
        InvalidHostname::Empty => 0,
        InvalidHostname::TooLong => 1,
        InvalidHostname::Syntax(_) => 2,
    }
}

/// What every accepted name is.
fn check_name(hostname: &Hostname, notes: &mut Notes) -> Checked {
    let name = hostname.as_str();
    let is_known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    ensure(name.bytes().all(is_known), || format!("{name:?} is no DNS name"))?;
    ensure(name.len() <= HOSTNAME_LEN_MAX, || format!("{name:?} is too long"))?;
    let labels_fit = name.split('.').all(|label| (1..=63).contains(&label.len()));
    ensure(labels_fit, || format!("a label of {name:?} is empty or too long"))?;
    let again =
        [name.parse(), Hostname::from_host_header(name), Hostname::from_host_header(&format!("{name}.:443"))];
    for again in again {
        ensure(again.as_ref() == Ok(hostname), || format!("{name:?} becomes {again:?}"))?;
    }
    BASES.iter().try_for_each(|base| check_kind(base, hostname, notes))
}

/// Whoever is told a project or a deployment spells the same name for it.
fn check_kind(base: &BaseDomain, hostname: &Hostname, notes: &mut Notes) -> Checked {
    let kind = base.classify(hostname);
    let spelled = match &kind {
        HostnameKind::Production(slug) => Some(base.production(slug)),
        HostnameKind::Alias(label, slug) => Some(base.alias(label, slug)),
        HostnameKind::Deployment(id, slug) => Some(base.deployment(*id, slug)),
        HostnameKind::Unused | HostnameKind::Domain => None,
    };
    notes.note((std::mem::discriminant(&kind), base.as_str()));
    let is_below =
        hostname.as_str() == base.as_str() || hostname.as_str().ends_with(&format!(".{}", base.as_str()));
    ensure((kind == HostnameKind::Domain) != is_below, || format!("{hostname} is not a {kind:?}"))?;
    ensure(spelled.is_none_or(|spelled| spelled == *hostname), || format!("{hostname} is no {kind:?}"))
}
