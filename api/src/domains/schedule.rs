//! When a domain is looked at again.

use std::time::Duration;

use loggia_types::Timestamp;
use loggia_types::api::DomainState;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Somebody waits in front of the page, and has changed a record a moment ago.
const EAGER: (Duration, Duration) = (HOUR, MINUTE);
/// Records take up to a day to be seen (SOA and TTL of most zones).
const PATIENT: (Duration, Duration) = (DAY, Duration::from_secs(10 * 60));
/// Then whoever has added it has forgotten about it, and is asked to say so: it is checked when asked.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A proven domain seldom changes; four looks in two days make a loss certain.
const PROVEN_EVERY: Duration = Duration::from_secs(12 * 60 * 60);

/// When name servers could not be asked, the next look comes no later than this.
const UNANSWERED_EVERY: Duration = Duration::from_secs(10 * 60);

/// What the next look depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched {
    pub(crate) state: DomainState,
    /// Since when something is waited for: when it was added, changed, checked by hand, or changed its state.
    pub(crate) since: Timestamp,
    /// The last look got no definite answer.
    pub(crate) is_unanswered: bool,
}

/// The time of the next look, spread by a tenth with `chance` from 0 up to 1: a thousand domains that were added together
/// are not looked at together for ever. `None`: only when asked.
pub(crate) fn next(watched: Watched, now: Timestamp, chance: f64) -> Option<Timestamp> {
    let age = now.since(watched.since);
    let waited = |give_up: Option<Duration>| match age {
        age if age < EAGER.0 => Some(EAGER.1),
        age if age < PATIENT.0 => Some(PATIENT.1),
        age if age < GIVEN_UP_AFTER => Some(HOUR),
        _ => give_up,
    };
    let every = match watched.state {
        DomainState::Pending => waited(None)?,
        DomainState::Misconfigured | DomainState::Lost => waited(Some(PROVEN_EVERY))?,
        DomainState::Verified => PROVEN_EVERY,
    };
    let every = if watched.is_unanswered { every.min(UNANSWERED_EVERY) } else { every };
    Some(now.after(every.mul_f64(0.95 + chance * 0.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_one_waits_the_less_often_it_is_looked_at() {
        use DomainState::{Lost, Misconfigured, Pending, Verified};
        const MINUTES: u64 = 60;
        const HOURS: u64 = 60 * MINUTES;
        const DAYS: u64 = 24 * HOURS;
        let cases = [
            // state, how long it is watched, whether the servers were silent, the next look in seconds
            (Pending, 0, false, Some(MINUTES)),
            (Pending, 59 * MINUTES, false, Some(MINUTES)),
            (Pending, HOURS, false, Some(10 * MINUTES)),
            (Pending, DAYS - 1, false, Some(10 * MINUTES)),
            (Pending, DAYS, false, Some(HOURS)),
            (Pending, DAYS, true, Some(10 * MINUTES)),
            (Pending, 7 * DAYS - 1, false, Some(HOURS)),
            (Pending, 7 * DAYS, false, None),
            (Pending, 7 * DAYS, true, None),
            (Misconfigured, 30 * MINUTES, false, Some(MINUTES)),
            (Misconfigured, 8 * DAYS, false, Some(12 * HOURS)),
            (Lost, 8 * DAYS, false, Some(12 * HOURS)),
            (Verified, 0, false, Some(12 * HOURS)),
            (Verified, 900 * DAYS, false, Some(12 * HOURS)),
            (Verified, 900 * DAYS, true, Some(10 * MINUTES)),
        ];
        let now = Timestamp::from_unix_secs(1_800_000_000).expect("a time");
        for (state, age, is_unanswered, expected) in cases {
            let watched = Watched { state, since: now.before(Duration::from_secs(age)), is_unanswered };
            let next = |chance| next(watched, now, chance).map(|at| at.since(now).as_secs());
            assert_eq!(next(0.5), expected, "{state:?} after {age} s");
            for (chance, share) in [(0.0, 0.95), (1.0, 1.05)] {
                #[allow(clippy::cast_precision_loss, reason = "days in seconds")]
                let spread = expected.map(|secs| secs as f64 * share);
                #[allow(clippy::cast_precision_loss, reason = "days in seconds")]
                let found = next(chance).map(|secs| secs as f64);
                assert!(
                    found.zip(spread).is_none_or(|(found, spread)| (found - spread).abs() < 2.0),
                    "{state:?}"
                );
            }
        }
    }
}
