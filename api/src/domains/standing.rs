//! What a look at a domain's zone changes about the domain.

use std::time::Duration;

use loggia_types::api::{DomainState, Pointing};
use loggia_types::{Hostname, Timestamp};

/// A proof has to be missing so often, and for so long, before its domain is lost: a zone that is moved to other name servers,
/// or a record that was deleted by mistake on a Friday, takes nobody's site away.
const MISSES_MIN: i16 = 3;
const MISSING_FOR_MIN: Duration = Duration::from_secs(48 * 60 * 60);

/// What is remembered of a domain from look to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) verified_at: Option<Timestamp>,
    pub(crate) lost_at: Option<Timestamp>,
    /// The name at which the proof was last found: the hostname's own, or one above it.
    pub(crate) proof_name: Option<Hostname>,
    /// Since when the proof of a verified domain is missing.
    pub(crate) missing_since: Option<Timestamp>,
    pub(crate) misses: i16,
    pub(crate) pointing: Pointing,
}

/// What a look found out about the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    FoundAt(Hostname),
    /// Whoever was asked said that it is not there.
    Missing,
    /// Nobody answered: says nothing.
    Unknown,
}

/// What has to be done about a change besides writing it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing that anybody else has to know.
    Same,
    /// It is served from now on, unless somebody else holds the name.
    Proven,
    /// It leads here now, or no longer: its project's other domains may follow.
    Pointed,
    /// It is no longer served.
    Lost,
}

impl Standing {
    pub(crate) fn state(&self) -> DomainState {
        match (self.verified_at, self.lost_at) {
            (None, None) => DomainState::Pending,
            (None, Some(_)) => DomainState::Lost,
            (Some(_), _) if self.pointing == Pointing::Elsewhere => DomainState::Misconfigured,
            (Some(_), _) => DomainState::Verified,
        }
    }

    /// `pointing` is `None` when it could not be found out.
    pub(crate) fn judge(&self, proof: Proof, pointing: Option<Pointing>, now: Timestamp) -> (Self, Turn) {
        let mut after = self.clone();
        after.pointing = pointing.unwrap_or(self.pointing);
        let pointed = if after.pointing == self.pointing { Turn::Same } else { Turn::Pointed };
        match proof {
            Proof::FoundAt(name) => {
                after.proof_name = Some(name);
                (after.missing_since, after.misses) = (None, 0);
                if self.verified_at.is_some() {
                    return (after, pointed);
                }
                (after.verified_at, after.lost_at) = (Some(now), None);
                (after, Turn::Proven)
            }
            Proof::Missing if self.verified_at.is_some() => {
                let since = self.missing_since.unwrap_or(now);
                (after.missing_since, after.misses) = (Some(since), self.misses.saturating_add(1));
                if after.misses < MISSES_MIN || now.since(since) < MISSING_FOR_MIN {
                    return (after, pointed);
                }
                (after.verified_at, after.lost_at, after.proof_name) = (None, Some(now), None);
                (after, Turn::Lost)
            }
            Proof::Missing | Proof::Unknown => (after, pointed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_unix_secs(1_800_000_000).expect("a time").after(Duration::from_secs(hours * HOUR))
    }

    fn pending() -> Standing {
        Standing {
            verified_at: None,
            lost_at: None,
            proof_name: None,
            missing_since: None,
            misses: 0,
            pointing: Pointing::Unknown,
        }
    }

    /// Looks at the hours that are named: `+` finds the proof, `-` does not, `?` gets no answer. Gives what turned.
    fn life(looks: &str) -> String {
        let mut standing = pending();
        let mut turns = Vec::new();
        for look in looks.split_whitespace() {
            let (hour, sign) = look.split_at(look.len() - 1);
            let proof = match sign {
                "+" => Proof::FoundAt("example.com".parse().expect("valid")),
                "-" => Proof::Missing,
                _ => Proof::Unknown,
            };
            let (after, turn) = standing.judge(proof, None, at(hour.parse().expect("an hour")));
            standing = after;
            if turn != Turn::Same {
                turns.push(format!("{hour} {turn:?}"));
            }
        }
        format!("{} {:?}", turns.join(", "), standing.state()).trim().to_owned()
    }

    #[test]
    fn a_domain_is_lost_only_after_days_of_definite_answers() {
        let cases = [
            ("0-", "Pending"),
            ("0?", "Pending"),
            ("0- 1- 99- 200-", "Pending"),
            ("0+", "0 Proven Verified"),
            ("0+ 12+ 24+", "0 Proven Verified"),
            // Three misses, but within two days.
            ("0+ 12- 24- 36- 59-", "0 Proven Verified"),
            ("0+ 12- 24- 36- 60-", "0 Proven, 60 Lost Lost"),
            // Two days, but two misses.
            ("0+ 12- 61-", "0 Proven Verified"),
            ("0+ 12- 61- 62-", "0 Proven, 62 Lost Lost"),
            // Silence says nothing, however long.
            ("0+ 12? 24? 60? 900?", "0 Proven Verified"),
            ("0+ 12- 24? 36? 61-", "0 Proven Verified"),
            // Once back, everything is forgotten.
            ("0+ 12- 24- 36+ 70- 80-", "0 Proven Verified"),
            ("0+ 12- 24- 36+ 70- 80- 120-", "0 Proven, 120 Lost Lost"),
            // Lost and found again.
            ("0+ 12- 24- 60- 72? 84- 96+", "0 Proven, 60 Lost, 96 Proven Verified"),
        ];
        for (looks, expected) in cases {
            assert_eq!(life(looks), expected, "{looks}");
        }
    }

    #[test]
    fn where_it_points_is_kept_until_there_is_an_answer() {
        let proof = || Proof::FoundAt("example.com".parse().expect("valid"));
        let (proven, turn) = pending().judge(proof(), Some(Pointing::Elsewhere), at(0));
        assert_eq!((proven.state(), turn), (DomainState::Misconfigured, Turn::Proven));
        let (same, turn) = proven.judge(Proof::Unknown, None, at(1));
        assert_eq!((same.state(), turn), (DomainState::Misconfigured, Turn::Same));
        let (here, turn) = same.judge(proof(), Some(Pointing::Here), at(2));
        assert_eq!((here.state(), turn), (DomainState::Verified, Turn::Pointed));
        assert_eq!(
            (here.verified_at, here.proof_name),
            (Some(at(0)), Some("example.com".parse().expect("valid")))
        );
    }
}
