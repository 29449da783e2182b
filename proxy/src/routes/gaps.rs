//! What of the event stream has not arrived.
//!
//! The api tells with each event which one came before it, and at times up to where it has sent all. Events that overtake
//! each other are no loss, so what is missing is waited for before it counts as a gap. It knows of no connection.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use loggia_types::EventPosition;
use loggia_types::event::{EdgeEvent, Told};

/// What is missing for longer is lost. Together with the 2 s between two positions that the api tells, and one reconnect,
/// a change is seen well within 5 s.
pub(super) const OVERDUE_AFTER: Duration = Duration::from_millis(500);

/// Events behind a gap: more of them in half a second than people make in an hour.
const AHEAD_MAX: usize = 1_000;

/// How far one stream has come.
#[derive(Debug)]
pub(super) struct Progress {
    /// Everything up to here arrived. `None` before the first word of a new stream, which tells where it begins.
    complete: Option<EventPosition>,
    /// The api says that it has sent everything up to here.
    sent: EventPosition,
    /// Events that came before the one that they come after: from the position of that one to their own.
    ahead: BTreeMap<EventPosition, EventPosition>,
    /// Since when the next one is missing.
    missing_since: Option<Instant>,
}

impl Progress {
    /// Of a stream that goes on behind `position`, or that is a new one.
    pub(super) fn from(position: Option<EventPosition>) -> Self {
        Self {
            complete: position,
            sent: EventPosition::default(),
            ahead: BTreeMap::new(),
            missing_since: None,
        }
    }

    /// Where the next stream has to go on.
    pub(super) fn complete(&self) -> Option<EventPosition> {
        self.complete
    }

    pub(super) fn note(&mut self, told: &Told, now: Instant) {
        let before = self.complete;
        match *told {
            Told::Position(position) => self.sent = self.sent.max(position),
            Told::Event(EdgeEvent { position, after: Some(after), .. }) => {
                let end = self.ahead.entry(after).or_insert(position);
                *end = position.max(*end);
            }
            // What came before does not matter, or it is not told.
            Told::Event(EdgeEvent { position, after: None, .. }) => self.complete = Some(position),
        }
        self.close_up();
        if !self.is_missing() {
            self.missing_since = None;
        } else if self.missing_since.is_none() || self.complete != before {
            self.missing_since = Some(now);
        }
    }

    /// When what is missing now will be lost.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        self.missing_since.map(|since| since + OVERDUE_AFTER)
    }

    /// Something is missing, and too much came since.
    pub(super) fn is_too_far_ahead(&self) -> bool {
        self.ahead.len() > AHEAD_MAX
    }

    fn close_up(&mut self) {
        let Some(mut complete) = self.complete else { return };
        while let Some(next) = self.ahead.first_entry().filter(|next| *next.key() <= complete) {
            complete = complete.max(next.remove());
        }
        self.complete = Some(complete);
    }

    fn is_missing(&self) -> bool {
        !self.ahead.is_empty() || self.complete.unwrap_or_default() < self.sent
    }
}

#[cfg(test)]
mod tests {
    use loggia_types::event::Change;

    use super::*;

    /// `5>7`: the event 7, which comes after 5. `>7`: one that comes after nothing. `7`: all up to 7 is sent.
    fn told(text: &str) -> Told {
        let position = |text: &str| EventPosition(text.parse().expect("a number"));
        let Some((after, own)) = text.split_once('>') else { return Told::Position(position(text)) };
        let after = (!after.is_empty()).then(|| position(after));
        Told::Event(EdgeEvent { position: position(own), after, change: Change::Reset })
    }

    #[test]
    fn only_what_does_not_come_at_all_is_a_gap() {
        let cases = [
            // from, what comes, complete, whether something is missing
            (Some(5), "5>6 6>7 7", 7, false),
            (Some(5), "5>9 9>20 20", 20, false), // holes are no gaps
            (Some(5), "5 5 5", 5, false),
            (Some(5), "5>6 5>6 6 6>7 5>6 6>7 7 6", 7, false), // doubled
            (Some(5), "6>7 5>6 8>9 7>8 9", 9, false),         // reordered
            (Some(5), "6 5>6", 6, false),                     // its announcement was faster
            (Some(5), "7>8 6>7 5>6", 8, false),
            (Some(5), "6>7", 5, true), // the next one tells
            (Some(5), "6>7 7", 5, true),
            (Some(5), "6", 5, true), // nothing comes behind it
            (Some(5), "5>6 7>8 8>9", 6, true),
            (None, ">5 5>6 6", 6, false),
            (None, "5>6 >5 6", 6, false),
            (Some(9), ">3 3>4 4", 4, false), // another database
            (Some(5), ">6 >7 >9", 9, false), // an api that does not tell
            (None, "5>6", 0, true),          // the beginning is missing
            (None, "5", 0, true),
        ];
        for (from, stream, complete, is_missing) in cases {
            let mut progress = Progress::from(from.map(EventPosition));
            let now = Instant::now();
            stream.split(' ').for_each(|text| progress.note(&told(text), now));
            let seen = (progress.complete().unwrap_or_default().0, progress.overdue_at().is_some());
            assert_eq!(seen, (complete, is_missing), "{from:?}: {stream}");
        }
    }

    #[test]
    fn each_missing_event_is_waited_for_by_itself() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut progress = Progress::from(Some(EventPosition(5)));
        progress.note(&told("6>7"), at(0));
        progress.note(&told("8>9"), at(100));
        assert_eq!(progress.overdue_at(), Some(at(0) + OVERDUE_AFTER), "what comes later prolongs nothing");
        progress.note(&told("5>6"), at(200));
        assert_eq!(progress.overdue_at(), Some(at(200) + OVERDUE_AFTER), "now it is 8 that is missing");
        progress.note(&told("7>8"), at(300));
        assert_eq!(progress.overdue_at(), None);
    }

    #[test]
    fn what_waits_behind_a_gap_is_bounded() {
        let mut progress = Progress::from(Some(EventPosition(0)));
        for n in 2..=AHEAD_MAX + 2 {
            assert!(!progress.is_too_far_ahead());
            progress.note(&told(&format!("{}>{n}", n - 1)), Instant::now());
        }
        assert!(progress.is_too_far_ahead());
    }
}
