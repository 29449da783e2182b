//! Where the access log goes, and how much of it.

use std::path::PathBuf;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq)]
pub struct AccessLogConfig {
    pub target: AccessLogTarget,
    pub sample: SampleRate,
}

/// Off unless somebody asks for it: a log of visitors is personal data that has to be kept and deleted by rules
/// which we do not know, and a busy edge fills a disk with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogTarget {
    Off,
    Stdout,
    /// Opened again when it was moved away.
    File(PathBuf),
}

impl FromStr for AccessLogTarget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "stdout" => Ok(Self::Stdout),
            path if path.starts_with('/') => Ok(Self::File(path.into())),
            _ => Err("an access log is off, stdout, or the whole path of a file"),
        }
    }
}

/// The share of requests that are logged, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRate(f64);

impl SampleRate {
    pub const ALL: Self = Self(1.0);

    pub fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for SampleRate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(Self(rate)),
            _ => Err("a share is a number from 0 to 1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_is_taken() {
        for good in ["0", "0.25", "1", "1.0"] {
            assert!(good.parse::<SampleRate>().is_ok(), "{good}");
        }
        for bad in ["", "-0.1", "1.1", "NaN", "inf", "10%"] {
            assert!(bad.parse::<SampleRate>().is_err(), "{bad}");
        }
        assert_eq!("/var/log/edge.log".parse(), Ok(AccessLogTarget::File("/var/log/edge.log".into())));
        assert!("stdot".parse::<AccessLogTarget>().is_err());
    }
}
