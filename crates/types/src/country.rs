//! Where a visitor is, as far as anybody knows.

use std::str::FromStr;

/// ISO 3166-1 alpha-2, upper case. Any two letters: lists of countries change, and rules only compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CountryCode([u8; 2]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a country is two letters like DE (ISO 3166-1 alpha-2)")]
pub struct InvalidCountryCode;

impl CountryCode {
    pub fn as_str(&self) -> &str {
        // Two ASCII letters always are.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for CountryCode {
    type Err = InvalidCountryCode;
    fn from_str(text: &str) -> Result<Self, InvalidCountryCode> {
        let letters: [u8; 2] = text.as_bytes().try_into().map_err(|_| InvalidCountryCode)?;
        match letters.iter().all(u8::is_ascii_alphabetic) {
            true => Ok(Self(letters.map(|letter| letter.to_ascii_uppercase()))),
            false => Err(InvalidCountryCode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_letters() {
        for (text, expected) in [
            ("DE", Some("DE")),
            ("de", Some("DE")),
            // Tor, in Cloudflare's header.
            ("T1", None),
            ("", None),
            ("D", None),
            ("DEU", None),
            ("D ", None),
            ("\u{e4}", None),
        ] {
            let code = text.parse::<CountryCode>().ok();
            assert_eq!(code.as_ref().map(CountryCode::as_str), expected, "{text:?}");
        }
    }
}
