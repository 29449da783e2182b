//! Which names may be added at all, whoever proves them.

use std::borrow::Cow;

use loggia_types::hostname::{HOSTNAME_LEN_MAX, HostnameKind};
use loggia_types::{BaseDomain, DomainName, Hostname};
use unicode_security::{RestrictionLevel, RestrictionLevelDetection, skeleton};

/// What the proof's record has in front of the hostname.
pub(crate) const PROOF_PREFIX: &str = "_loggia.";

/// Names that are never in the public DNS (RFC 6761, 7686, 9476; `arpa` is for infrastructure, RFC 3172). The others that
/// are not, like `test` or `internal`, some installation's own name servers may know.
const NEVER_PUBLIC: [&str; 5] = ["localhost", "invalid", "onion", "alt", "arpa"];

/// A name that nobody can add, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// The names of the platform itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) base: &'a BaseDomain,
    /// Where its api, its dashboard and its edges are reached.
    pub(crate) hosts: &'a [Hostname],
}

pub(crate) fn check(name: &DomainName, own: Own<'_>) -> Result<(), Refused> {
    refuse_the_platforms(name, own)?;
    refuse_what_is_no_public_name(name)?;
    refuse_mixed_scripts(name)?;
    refuse_public_suffixes(name)?;
    refuse_imitations(name, own.base)
}

fn refused(code: &'static str, message: String) -> Result<(), Refused> {
    Err(Refused { code, message })
}

fn refuse_the_platforms(name: &DomainName, own: Own<'_>) -> Result<(), Refused> {
    let (base, covered) = (own.base, std::iter::once(own.base.hostname()).chain(own.hosts));
    let is_below = base.classify(name.base()) != HostnameKind::Domain;
    if !is_below && !covered.into_iter().any(|host| name.matches(host)) {
        return Ok(());
    }
    let message = format!(
        "{name} belongs to the platform; every project has its name below {base} already, and a domain is one of your \
         own, like www.example.com"
    );
    refused("domain_of_the_platform", message)
}

fn refuse_what_is_no_public_name(name: &DomainName) -> Result<(), Refused> {
    let base = name.base().as_str();
    let last = base.rsplit('.').next().unwrap_or(base);
    let invalid = |why: String| refused("invalid_domain", why);
    // A numeric last label is an IPv4 address to a browser (WHATWG URL, «ends in a number»).
    if !base.contains('.') || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return invalid(format!("{name} is not a public name; one looks like www.example.com"));
    }
    if NEVER_PUBLIC.contains(&last) {
        return invalid(format!(
            "names that end in .{last} are never in the public DNS; use one like www.example.com"
        ));
    }
    // CA/Browser Forum, Baseline Requirements, 7.1.4.2.1.
    if base.contains('_') {
        return invalid(format!(
            "{name} has an underscore, so no certificate can be had for it; use letters, digits and -"
        ));
    }
    let max = HOSTNAME_LEN_MAX - PROOF_PREFIX.len();
    if base.len() > max {
        return invalid(format!("{name} is too long to be proven: a domain has at most {max} characters"));
    }
    Ok(())
}

/// By the levels of UTS 39, 5.2: one script in a label, or the three with which Japanese, Chinese and Korean are written
/// beside Latin. A label of one script that looks like another one in ASCII is refused too, unless its ending is of that
/// script: nobody takes роса.рф for a Latin name.
fn refuse_mixed_scripts(name: &DomainName) -> Result<(), Refused> {
    let base = name.base().as_str();
    let (unicode, decoded) = idna::domain_to_unicode(base);
    if decoded.is_err() {
        return refused(
            "invalid_domain",
            format!("{name} has a label that begins with xn-- and is no Punycode (RFC 5891)"),
        );
    }
    let is_ascii_ending = unicode.rsplit('.').next().is_none_or(str::is_ascii);
    for label in unicode.split('.').filter(|label| !label.is_ascii()) {
        if label.detect_restriction_level() > RestrictionLevel::HighlyRestrictive {
            let message = format!(
                "the label {label} of {unicode} mixes letters of several scripts, or has signs that are no letters, so it can \
                 be taken for another name; use letters of one script"
            );
            return refused("confusable_domain", message);
        }
        let looks_like: String = skeleton(label).collect();
        if is_ascii_ending && looks_like.is_ascii() {
            let message = format!(
                "the label {label} of {unicode} is read as {looks_like} by everybody, and is another name; use one that \
                 can't be taken for it"
            );
            return refused("confusable_domain", message);
        }
    }
    Ok(())
}

/// Below a public suffix everybody can register: whoever had it would have all of their names.
fn refuse_public_suffixes(name: &DomainName) -> Result<(), Refused> {
    let base = name.base().as_str();
    if psl::suffix_str(base) != Some(base) {
        return Ok(());
    }
    let message = format!(
        "{base} is a public suffix: names below it belong to different people; add one of them, like example.{base}"
    );
    refused("public_suffix", message)
}

/// Names that look like the platform's own: `paqes.example` beside `pages.example`.
fn refuse_imitations(name: &DomainName, platform: &BaseDomain) -> Result<(), Refused> {
    let (registrable, of_platform) = (apex(name.base()), apex(platform.hostname()));
    if registrable == of_platform {
        return Ok(());
    }
    let look = |name: &Hostname| {
        let (unicode, _) = idna::domain_to_unicode(name.as_str());
        // A zero looks like a capital O.
        skeleton(&unicode).collect::<String>().to_lowercase()
    };
    if look(&registrable) != look(&of_platform) {
        return Ok(());
    }
    let message = format!(
        "{registrable} is easily taken for {of_platform}, which is this platform's; use another name"
    );
    refused("confusable_domain", message)
}

/// The part of a name that one person registered: `example.co.uk` of `www.example.co.uk`. The name itself where no public
/// suffix is known, as on an internal network.
pub(crate) fn apex(hostname: &Hostname) -> Hostname {
    let registrable = psl::domain_str(hostname.as_str());
    registrable.and_then(|name| name.parse().ok()).unwrap_or_else(|| hostname.clone())
}

/// A name and those above it that the same person owns, up to the apex: a record at any of them proves it.
pub(crate) fn provers(hostname: &Hostname) -> Vec<Hostname> {
    let apex = apex(hostname);
    let mut provers = vec![hostname.clone()];
    while let Some(above) = provers.last().filter(|last| **last != apex).and_then(Hostname::parent) {
        provers.push(above);
    }
    provers
}

/// The same name with `www.` before it, or without: visitors type both.
pub(crate) fn counterpart(name: &DomainName) -> Option<Hostname> {
    let hostname = name.exact()?;
    let other: Cow<'_, str> = match hostname.as_str().strip_prefix("www.") {
        Some(bare) => Cow::Borrowed(bare),
        None if apex(hostname) == *hostname => Cow::Owned(format!("www.{hostname}")),
        None => return None,
    };
    let other: Hostname = other.parse().ok()?;
    let is_registrable = psl::suffix_str(other.as_str()) != Some(other.as_str()) && other.parent().is_some();
    is_registrable.then_some(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::words::assert_words;

    fn hostname(text: &str) -> Hostname {
        text.parse().expect("valid")
    }

    fn summary(text: &str) -> String {
        let base = "pages.loggia-host.net".parse().expect("valid");
        let hosts = [hostname("console.example.net"), hostname("edge.example.net")];
        let name = match text.parse() {
            Ok(name) => name,
            Err(error) => return format!("invalid_field: {error}"),
        };
        match check(&name, Own { base: &base, hosts: &hosts }) {
            Ok(()) => "ok".to_owned(),
            Err(Refused { code, message }) => format!("{code}: {message}"),
        }
    }

    #[test]
    fn names_that_can_be_added() {
        for name in [
            "example.com",
            "www.example.com",
            "WWW.Example.COM.",
            "*.example.com",
            "a.b.c.d.example.co.uk",
            "example.co.uk",
            "somebody.github.io",
            // Proven by whoever runs the platform, who may have a site there.
            "loggia-host.net",
            "www.loggia-host.net",
            // On an internal network, with name servers of its own.
            "shop.internal",
            "shop.test",
            // One script a label, whichever.
            "münchen.de",
            "xn--mnchen-3ya.de",
            "россия.рф",
            "роса.рф",
            "日本語.jp",
            "今日はsushi.jp",
            "中文bopomofo.tw",
            "ελλάδα.gr",
            "موقع.com",
            // Scripts may differ between labels.
            "shop.россия.рф",
            "wpad.example.com",
            "1.example.com",
            "4.4.4.example",
        ] {
            assert_eq!(summary(name), "ok", "{name}");
        }
    }

    #[test]
    fn names_that_cannot() {
        let table: String = [
            "shop.pages.loggia-host.net",
            "pages.loggia-host.net",
            "a.b.pages.loggia-host.net",
            "*.pages.loggia-host.net",
            // It would be the platform's base domain.
            "*.loggia-host.net",
            "console.example.net",
            "edge.example.net",
            "intranet",
            "*.com",
            "192.0.2.1",
            "1.2.3",
            "shop.localhost",
            "x.onion",
            "1.2.0.192.in-addr.arpa",
            "_dmarc.example.com",
            "a_b.example.com",
            "co.uk",
            "*.co.uk",
            "github.io",
            // Cyrillic а in the middle of Latin.
            "pаypal.com",
            // All of it Cyrillic, and read as Latin.
            "аррӏе.com",
            "xn--80ak6aa92e.com",
            "xn--a.com",
            // Greek omicron.
            "gοοgle.com",
            "i❤.ws",
            // An l that is a one.
            "1oggia-host.net",
            "shop.loggia-h0st.net",
        ]
        .iter()
        .map(|name| format!("{name}\n    {}\n", summary(name)))
        .collect();
        assert_words("names.txt", &table);
    }

    #[test]
    fn a_name_is_too_long_when_its_proof_is() {
        let label = "a".repeat(63);
        let fits = format!("{label}.{label}.{label}.{}.example", "a".repeat(245 - 3 * 64 - 8));
        assert_eq!((fits.len(), summary(&fits)), (245, "ok".to_owned()));
        let long = format!("{label}.{label}.{label}.{}.example", "a".repeat(246 - 3 * 64 - 8));
        assert!(summary(&long).contains("at most 245 characters"), "{}", summary(&long));
    }

    #[test]
    fn apexes_provers_and_counterparts() {
        let cases = [
            // name, apex, provers, counterpart
            ("example.com", "example.com", "example.com", Some("www.example.com")),
            ("www.example.com", "example.com", "www.example.com example.com", Some("example.com")),
            ("a.b.example.co.uk", "example.co.uk", "a.b.example.co.uk b.example.co.uk example.co.uk", None),
            ("example.co.uk", "example.co.uk", "example.co.uk", Some("www.example.co.uk")),
            ("www.co.uk", "www.co.uk", "www.co.uk", None),
            (
                "www.shop.example.com",
                "example.com",
                "www.shop.example.com shop.example.com example.com",
                Some("shop.example.com"),
            ),
            (
                "somebody.github.io",
                "somebody.github.io",
                "somebody.github.io",
                Some("www.somebody.github.io"),
            ),
            ("shop.internal", "shop.internal", "shop.internal", Some("www.shop.internal")),
            ("*.example.com", "example.com", "example.com", None),
        ];
        for (text, apex_of, provers_of, counterpart_of) in cases {
            let name: DomainName = text.parse().expect("valid");
            assert_eq!(apex(name.base()), hostname(apex_of), "{text}");
            let provers: Vec<String> = provers(name.base()).iter().map(ToString::to_string).collect();
            assert_eq!(provers.join(" "), provers_of, "{text}");
            assert_eq!(counterpart(&name), counterpart_of.map(hostname), "{text}");
        }
    }
}
