//! Which coding of a file a client gets (RFC 9110 §12.5.3).

use http::header::{ACCEPT_ENCODING, HeaderMap};
use loggia_types::manifest::{Coding, Entry, Variant};

/// A weight in thousandths; RFC 9110 §12.4.2 allows three digits.
type Weight = u16;

const FULL: Weight = 1000;

/// What a client said about each coding. `None`: it did not name it.
#[derive(Debug, Clone, Copy, Default)]
struct Preferences {
    codings: [Option<Weight>; Coding::ALL.len()],
    identity: Option<Weight>,
    anything: Option<Weight>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Negotiated {
    Identity,
    Variant(Variant),
    /// The client refuses the identity, and everything else that there is.
    Nothing,
}

/// Chooses by weight, then by our order; the identity comes last among equals, since it is the largest.
pub(super) fn negotiate(headers: &HeaderMap, entry: &Entry<'_>) -> Negotiated {
    if !headers.contains_key(ACCEPT_ENCODING) {
        // Everything may be sent then (RFC 9110 §12.5.3), but a client that says nothing rarely decodes anything.
        return Negotiated::Identity;
    }
    let preferences = Preferences::read(headers);
    let mut best: Option<(Weight, Variant)> = None;
    for variant in entry.variants() {
        let weight = preferences.of(variant.coding);
        if weight > 0 && best.is_none_or(|(other, _)| weight > other) {
            best = Some((weight, variant));
        }
    }
    match (best, preferences.of_identity()) {
        // Not named, the identity is what is left when nothing else fits.
        (Some((weight, variant)), identity) if identity.is_none_or(|identity| weight >= identity) => {
            Negotiated::Variant(variant)
        }
        (None, Some(0)) => Negotiated::Nothing,
        _ => Negotiated::Identity,
    }
}

/// Whether the bytes as they were built may not be sent.
pub(super) fn refuses_identity(headers: &HeaderMap) -> bool {
    headers.contains_key(ACCEPT_ENCODING) && Preferences::read(headers).of_identity() == Some(0)
}

impl Preferences {
    fn read(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let lines = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
        for element in lines.flat_map(|line| line.split(',')) {
            let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
            let Some(weight) = weight(parameters) else { continue };
            match name.trim() {
                "*" => found.anything = Some(weight),
                name if name.eq_ignore_ascii_case("identity") => found.identity = Some(weight),
                name => {
                    if let Some(coding) = coding(name) {
                        found.codings[coding as usize - 1] = Some(weight);
                    }
                }
            }
        }
        found
    }

    fn of(&self, coding: Coding) -> Weight {
        self.codings[coding as usize - 1].or(self.anything).unwrap_or(0)
    }

    /// `None`: acceptable, but nobody asked for it. `*;q=0` refuses it too (RFC 9110 §12.5.3).
    fn of_identity(&self) -> Option<Weight> {
        self.identity.or(self.anything.filter(|weight| *weight == 0))
    }
}

fn coding(name: &str) -> Option<Coding> {
    // RFC 9110 §8.4.1.3: the old name of gzip.
    let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
    Coding::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.as_str()))
}

/// `None` when it is malformed: the element then counts for nothing.
fn weight(parameters: &str) -> Option<Weight> {
    let mut weight = FULL;
    for parameter in parameters.split(';').map(str::trim).filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("q") {
            weight = qvalue(value.trim())?;
        }
    }
    Some(weight)
}

/// `0`, `1`, or one of them with up to three digits behind a point; 1 has only zeros there.
fn qvalue(text: &str) -> Option<Weight> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(*b"000").take(3);
    let thousandths = digits.fold(0, |sum, digit| sum * 10 + Weight::from(digit - b'0'));
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(FULL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use loggia_types::ContentHash;
    use loggia_types::manifest::NewVariant;
    use proptest::prelude::*;

    use super::super::tests::{entry, manifest_of};
    use super::*;

    fn choose(codings: &[Coding], lines: &[&str]) -> &'static str {
        let variants = codings.iter().map(|coding| NewVariant {
            coding: *coding,
            size: 1,
            hash: ContentHash::of(coding.as_str().as_bytes()),
        });
        let mut file = entry("a.css");
        file.variants = variants.collect();
        let manifest = manifest_of(vec![file]);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(line).expect("a header value"));
        }
        match negotiate(&headers, &manifest.find("a.css").expect("is there")) {
            Negotiated::Identity => "identity",
            Negotiated::Variant(variant) => variant.coding.as_str(),
            Negotiated::Nothing => "406",
        }
    }

    #[test]
    fn codings_are_chosen_by_weight_and_then_by_our_order() {
        use Coding::{Brotli, Gzip, Zstd};
        let all = &[Brotli, Zstd, Gzip][..];
        let cases: &[(&[Coding], &[&str], &str)] = &[
            (all, &["gzip, deflate, br, zstd"], "br"),
            (all, &["gzip, deflate, zstd"], "zstd"),
            (all, &["gzip"], "gzip"),
            (all, &["GZIP"], "gzip"),
            (all, &["x-gzip"], "gzip"),
            (all, &["gzip;q=1.0, br;q=0.5"], "gzip"),
            (all, &["br;q=0.001, gzip;q=0"], "br"),
            (all, &["br;q=0"], "identity"),
            (all, &["*"], "br"),
            (all, &["*;q=0.5, gzip"], "gzip"),
            (all, &["br;q=0, *"], "zstd"),
            (all, &["identity, gzip;q=0.5"], "identity"),
            (all, &["identity;q=0.5, gzip;q=0.5"], "gzip"),
            (all, &["identity;q=0.2, gzip;q=0.1"], "identity"),
            (all, &["identity;q=0, br"], "br"),
            (all, &["identity;q=0"], "406"),
            (all, &["*;q=0"], "406"),
            (all, &["*;q=0, identity"], "identity"),
            (all, &["*;q=0, gzip;q=0.1"], "gzip"),
            (all, &["deflate, compress"], "identity"),
            (all, &[""], "identity"),
            (all, &["br", "gzip;q=0.1"], "br"),
            (all, &["gzip ; q=0.4 , br ; q=0.3"], "gzip"),
            (all, &["br;q=2, gzip"], "gzip"),
            (all, &["br;q=x, gzip"], "gzip"),
            (all, &["br;q=0.1234, gzip"], "gzip"),
            (all, &["br;q=1.000"], "br"),
            (all, &[], "identity"),
            (&[Gzip], &["br, zstd, gzip"], "gzip"),
            (&[Gzip], &["br"], "identity"),
            (&[Gzip], &["br, identity;q=0"], "406"),
            (&[], &["br, gzip"], "identity"),
            (&[], &["identity;q=0, *"], "406"),
        ];
        for (codings, lines, expected) in cases {
            assert_eq!(choose(codings, lines), *expected, "{lines:?} of {codings:?}");
        }
    }

    proptest! {
        #[test]
        fn a_refused_coding_is_never_sent(line in "(br|gzip|zstd|identity|\\*|;|q=|0|1|\\.|,| ){0,16}") {
            let chosen = choose(&Coding::ALL, &[&line]);
            prop_assert!(!line.replace(' ', "").split(',').any(|element| element == format!("{chosen};q=0"))
                || line.matches(chosen).count() > 1 || chosen == "identity", "{line}: {chosen}");
        }
    }
}
