//! Secret values become `***` in whatever a build prints.

use std::borrow::Cow;

/// Shorter values are in every other word: masking them would hide the log and tell the secret by its gaps.
const SECRET_LEN_MIN: usize = 4;

const MASK: &str = "***";

/// Prints as a number of secrets.
#[derive(Default)]
pub(super) struct Mask {
    /// Longest first: a secret that contains another one is masked whole.
    secrets: Vec<String>,
}

impl Mask {
    pub(super) fn new(values: &[String]) -> Self {
        // A value of several lines, e.g. a private key, is printed line by line.
        let lines = values.iter().flat_map(|value| value.lines()).map(str::trim);
        let mut secrets: Vec<String> =
            lines.filter(|line| line.len() >= SECRET_LEN_MIN).map(str::to_owned).collect();
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets }
    }

    pub(super) fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = Cow::Borrowed(text);
        for secret in &self.secrets {
            if masked.contains(secret.as_str()) {
                masked = Cow::Owned(masked.replace(secret.as_str(), MASK));
            }
        }
        masked
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} secrets)", self.secrets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let values =
            ["hunter22", "hunter22-and-more", "abc", "-----BEGIN KEY-----\nMIIEvQ\n-----END KEY-----\n", ""];
        let mask = Mask::new(&values.map(str::to_owned));
        let cases = [
            ("nothing here", "nothing here"),
            ("token=hunter22", "token=***"),
            ("hunter22hunter22", "******"),
            ("hunter22-and-more", "***"),
            ("abc is too short", "abc is too short"),
            ("key: MIIEvQ", "key: ***"),
        ];
        for (text, expected) in cases {
            assert_eq!(mask.apply(text), expected, "{text:?}");
        }
        assert!(!format!("{mask:?}").contains("hunter22"));
    }
}
