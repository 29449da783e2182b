//! Mail addresses, by which people are known.

use std::str::FromStr;

/// RFC 5321, 4.5.3.1: 64 bytes before the `@`, 254 in all (erratum 1690).
const LOCAL_LEN_MAX: usize = 64;
const EMAIL_LEN_MAX: usize = 254;

/// An address in lower case, like `anna@example.org`. Two spellings that differ in case are one person: no mail server of
/// today tells them apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a mail address looks like anna@example.org")]
pub struct InvalidEmail;

impl EmailAddress {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// For the eyes of others: `a…@example.org`.
    pub fn masked(&self) -> String {
        let first: String = self.local_part().chars().take(1).collect();
        format!("{first}…@{}", self.domain())
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidEmail;

    /// A dot-atom and a domain name (RFC 5322, 3.4.1), without quotes, comments and address literals, which nobody
    /// types.
    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        let fits = text.len() <= EMAIL_LEN_MAX && local.len() <= LOCAL_LEN_MAX;
        let local_is_fine = local.split('.').all(|part| !part.is_empty() && part.chars().all(is_atom));
        let label_is_fine = |label: &str| {
            let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
        };
        if fits && local_is_fine && domain.split('.').all(label_is_fine) {
            return Ok(Self(text.to_ascii_lowercase().into()));
        }
        Err(InvalidEmail)
    }
}

text_type!(EmailAddress, example = "anna@example.org");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_people_type() {
        for good in ["anna@example.org", "Anna.B+loggia@Example.ORG", "a@localhost", "o'hara@x.co", " a@b.c "]
        {
            let email = good.parse::<EmailAddress>().expect(good);
            assert_eq!(email.as_str(), good.trim().to_ascii_lowercase());
        }
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "",
            "anna",
            "@example.org",
            "anna@",
            "a b@c.d",
            "a@b..c",
            ".a@b.c",
            "a.@b.c",
            "a@-b.c",
            "a@b.c\r\nBcc: x@y.z",
            "Anna <a@b.c>",
            "a@b@c",
            "\"a\"@b.c",
            "a@[127.0.0.1]",
            "ä@b.c",
            "a@b.c,d@e.f",
            &long,
        ] {
            assert_eq!(bad.parse::<EmailAddress>(), Err(InvalidEmail), "{bad:?}");
        }
        assert_eq!("anna@example.org".parse::<EmailAddress>().expect("valid").masked(), "a…@example.org");
    }
}
