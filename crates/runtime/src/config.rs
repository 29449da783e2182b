//! Configuration from the environment, read once, all mistakes reported together.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::Secret;

/// The environment, and the mistakes found in it so far.
#[derive(Debug)]
pub struct Env {
    values: BTreeMap<String, String>,
    mistakes: Vec<String>,
}

/// Everything that is wrong with a configuration, one line each.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} mistake{}:\n  {}", .0.len(), if .0.len() == 1 { "" } else { "s" }, .0.join("\n  "))]
pub struct ConfigError(pub Vec<String>);

/// sysexits.h: EX_USAGE.
pub const EXIT_USAGE: i32 = 64;

impl Env {
    pub fn from_process() -> Self {
        Self::from_values(std::env::vars())
    }

    pub fn from_values(values: impl IntoIterator<Item = (String, String)>) -> Self {
        // An empty variable means «not set»: compose files pass variables through that way.
        let values = values.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Self { values, mistakes: Vec::new() }
    }

    /// A value with a default; `default` is also the example in the error.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str, default: &str) -> T {
        let text = self.values.get(name).cloned().unwrap_or_else(|| default.to_owned());
        match text.parse() {
            Ok(value) => value,
            Err(error) => {
                self.mistakes.push(format!("{name}={text:?}: {error} (a good value: {default})"));
                default
                    .parse()
                    .unwrap_or_else(|error| panic!("the default of {name} does not parse: {error}"))
            }
        }
    }

    /// A value without a default that is used when it is set.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, name: &str, example: &str) -> Option<T> {
        let text = self.values.get(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistakes.push(format!("{name}={text:?}: {error} (a good value: {example})"));
                None
            }
        }
    }

    /// A value that has to be set. A missing one is a mistake and `example` stands in for it until [`Env::finish`].
    pub fn required<T: FromStr<Err: Display>>(&mut self, name: &str, example: &str) -> T {
        if !self.values.contains_key(name) {
            self.mistakes.push(format!("{name} is not set (a good value: {example})"));
        }
        self.parsed(name, example)
    }

    /// A secret that has to be set. Its text appears in no message.
    pub fn secret(&mut self, name: &str, what: &str) -> Secret {
        match self.values.get(name) {
            Some(value) => Secret::new(value.clone()),
            None => {
                self.mistakes.push(format!("{name} is not set ({what})"));
                Secret::new("")
            }
        }
    }

    /// Reports a mistake that a caller found across several values.
    pub fn mistake(&mut self, message: String) {
        self.mistakes.push(message);
    }

    /// Ends reading: every mistake at once, or nothing.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(ConfigError(self.mistakes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_reported_together_and_secrets_are_not_printed() {
        let mut env = Env::from_values([
            ("LOGGIA_PORT".to_owned(), "many".to_owned()),
            ("LOGGIA_EMPTY".to_owned(), String::new()),
            ("LOGGIA_TOKEN".to_owned(), "hunter2".to_owned()),
        ]);
        let port: u16 = env.parsed("LOGGIA_PORT", "8080");
        let url: String = env.required("LOGGIA_API_URL", "http://127.0.0.1:3000");
        let token = env.secret("LOGGIA_TOKEN", "the token of this edge");
        assert_eq!((port, url.as_str(), token.reveal()), (8080, "http://127.0.0.1:3000", "hunter2"));
        assert_eq!(env.parsed::<u16>("LOGGIA_EMPTY", "1"), 1);
        assert!(!format!("{token:?}").contains("hunter2"));
        let message = env.finish().expect_err("two mistakes").to_string();
        assert!(message.contains("LOGGIA_PORT=\"many\"") && message.contains("8080"), "{message}");
        assert!(message.contains("LOGGIA_API_URL is not set"), "{message}");
        assert!(!message.contains("hunter2"));
    }
}
