//! The stretches of time that charts show: where their slots begin, what belongs into each, and what was counted in the
//! stretch before.

use std::time::Duration;

use crate::rollup::{Bar, Counts};
use crate::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// How far back somebody looks. Slots are no finer than what is kept of their time ([`rollup`](crate::rollup)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Period {
    /// Sixty minutes.
    Hour,
    /// Twenty-four hours.
    #[default]
    Day,
    /// Seven days, by quarters of a day.
    Week,
    /// Thirty days.
    Month,
}

impl Period {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// As addresses name it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// The period of this name.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.key() == key)
    }

    /// How long it is.
    pub const fn length(self) -> Duration {
        match self {
            Self::Hour => HOUR,
            Self::Day => DAY,
            Self::Week => Duration::from_hours(7 * 24),
            Self::Month => Duration::from_hours(30 * 24),
        }
    }

    /// How long each of its slots is.
    pub const fn slot(self) -> Duration {
        match self {
            Self::Hour => MINUTE,
            Self::Day => HOUR,
            Self::Week => Duration::from_hours(6),
            Self::Month => DAY,
        }
    }

    /// On what it begins. A week begins with a day, since the days of the week before it are kept whole.
    const fn step(self) -> Duration {
        match self {
            Self::Week => DAY,
            other => other.slot(),
        }
    }

    /// The period that ends now. It begins on the clock, so its last slot is not over yet.
    pub fn until(self, now: Timestamp) -> Window {
        let step = micros(self.step());
        let start = now.as_micros().div_euclid(step) * step + step - micros(self.length());
        Window { period: self, start: Timestamp::from_micros(start), now }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// A period that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Which.
    pub period: Period,
    /// When it began.
    pub start: Timestamp,
    /// When it ends.
    pub now: Timestamp,
}

/// What was counted in a period, slot by slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// Its slots, the oldest first.
    pub slots: Vec<Bar>,
    /// All of them together.
    pub total: Counts,
    /// The same of as much time, one period earlier.
    pub before: Counts,
}

impl Window {
    /// Since when must be read what [`fold`](Self::fold) takes: the period before is counted too.
    pub fn reads_since(&self) -> Timestamp {
        self.start.earlier(self.period.length())
    }

    /// Puts what was counted into slots. Bars may be finer than slots, never longer.
    pub fn fold(&self, bars: &[Bar]) -> Folded {
        let slot = micros(self.period.slot());
        let index = |at: Timestamp, start: Timestamp| (at.as_micros() - start.as_micros()).div_euclid(slot);
        let last = index(self.now, self.start);
        let start_of = |n: i64| Timestamp::from_micros(self.start.as_micros() + n * slot);
        let mut slots: Vec<_> =
            (0..=last).map(|n| Bar { start: start_of(n), counts: Counts::default() }).collect();
        let (mut total, mut before, mut before_last) = <(Counts, Counts, Counts)>::default();
        let start_before = self.reads_since();
        for bar in bars {
            let at = usize::try_from(index(bar.start, self.start)).ok().and_then(|at| slots.get_mut(at));
            if let Some(found) = at {
                found.counts.add(&bar.counts);
                total.add(&bar.counts);
            } else {
                match index(bar.start, start_before) {
                    at if (0..last).contains(&at) => before.add(&bar.counts),
                    at if at == last => before_last.add(&bar.counts),
                    _ => {}
                }
            }
        }
        // The last slot is not over: of its like, as much counts as has passed of it.
        let passed = self.now.since(start_of(last));
        before.add(&before_last.part(passed, self.period.slot()));
        Folded { slots, total, before }
    }
}

impl Counts {
    /// What falls into a part of the time, if all was spread evenly.
    #[must_use]
    fn part(mut self, part: Duration, whole: Duration) -> Self {
        let of = |count: u64| {
            let shared = u128::from(count) * part.as_micros() / whole.as_micros().max(1);
            u64::try_from(shared).unwrap_or(count)
        };
        for count in [
            &mut self.accepted,
            &mut self.delivered,
            &mut self.dead,
            &mut self.succeeded,
            &mut self.refused,
            &mut self.unanswered,
        ] {
            *count = of(*count);
        }
        self.took = self.took.map(of);
        self
    }
}

/// How a count compares with the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is the same, or nearly.
    Same,
    /// There was none before.
    New,
    /// More, by so many of a hundred.
    More(u64),
    /// Fewer, by so many of a hundred.
    Fewer(u64),
}

/// Compares a count with the one of the period before.
pub fn change(now: u64, before: u64) -> Change {
    let percent = |difference: u64| {
        let rounded = (u128::from(difference) * 100 + u128::from(before) / 2) / u128::from(before.max(1));
        u64::try_from(rounded).unwrap_or(u64::MAX)
    };
    match (now, before) {
        (0, 0) => Change::Same,
        (_, 0) => Change::New,
        _ => match percent(now.abs_diff(before)) {
            0 => Change::Same,
            percent if now > before => Change::More(percent),
            percent => Change::Fewer(percent),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn bar(start: &str, accepted: u64) -> Bar {
        Bar { start: at(start), counts: Counts { accepted, ..Counts::default() } }
    }

    #[test]
    fn a_period_is_known_by_its_name_in_addresses() {
        for period in Period::ALL {
            assert_eq!(Period::parse(period.key()), Some(period));
        }
        assert_eq!(Period::parse("2h"), None);
    }

    #[test]
    fn slots_stand_on_the_clock_and_the_last_is_the_present_one() {
        let now = at("2026-11-21T20:46:29.5Z");
        for (period, first, slots) in [
            (Period::Hour, "2026-11-21T19:47:00Z", 60),
            (Period::Day, "2026-11-20T21:00:00Z", 24),
            (Period::Week, "2026-11-15T00:00:00Z", 28),
            (Period::Month, "2026-10-23T00:00:00Z", 30),
        ] {
            let folded = period.until(now).fold(&[]);
            assert_eq!((folded.slots[0].start, folded.slots.len()), (at(first), slots), "{period:?}");
        }
        let sharp = Period::Day.until(at("2026-11-21T20:00:00Z")).fold(&[]);
        assert_eq!(sharp.slots[23].start, at("2026-11-21T20:00:00Z"));
        let morning = Period::Week.until(at("2026-11-21T03:00:00Z")).fold(&[]);
        assert_eq!(morning.slots.len(), 25, "what is still to come of today has no slot");
    }

    #[test]
    fn bars_are_added_up_in_their_slots_and_none_is_lost() {
        let window = Period::Day.until(at("2026-11-21T20:30:00Z"));
        let bars = [
            bar("2026-11-20T21:00:00Z", 1),
            bar("2026-11-21T19:00:00Z", 2),
            bar("2026-11-21T20:01:00Z", 3),
            bar("2026-11-21T20:29:00Z", 4),
            bar("2026-11-20T20:00:00Z", 1_000),
        ];
        let folded = window.fold(&bars);
        let counted: Vec<_> =
            folded.slots.iter().enumerate().filter(|(_, slot)| slot.counts.accepted > 0).collect();
        let counted: Vec<_> = counted.iter().map(|(n, slot)| (*n, slot.counts.accepted)).collect();
        assert_eq!(counted, [(0, 1), (22, 2), (23, 7)]);
        assert_eq!(folded.total.accepted, 10);
    }

    #[test]
    fn the_period_before_is_as_long_as_the_present_one_is_by_now() {
        let window = Period::Day.until(at("2026-11-21T20:15:00Z"));
        assert_eq!(window.reads_since(), at("2026-11-19T21:00:00Z"));
        let bars = [
            bar("2026-11-19T20:00:00Z", 5_000),
            bar("2026-11-19T21:00:00Z", 7),
            bar("2026-11-20T20:00:00Z", 400),
        ];
        assert_eq!(window.fold(&bars).before.accepted, 107, "a quarter of the hour that is a quarter over");
    }

    #[test]
    fn whole_days_before_a_week_are_counted_in_it() {
        let window = Period::Week.until(at("2026-11-21T20:00:00Z"));
        let bars = [bar("2026-11-08T00:00:00Z", 7), bar("2026-11-13T00:00:00Z", 8)];
        assert_eq!(window.fold(&bars).before.accepted, 15);
    }

    #[test]
    fn a_change_is_told_in_hundredths_of_what_was_before() {
        assert_eq!(change(0, 0), Change::Same);
        assert_eq!(change(5, 0), Change::New);
        assert_eq!(change(0, 5), Change::Fewer(100));
        assert_eq!(change(112, 100), Change::More(12));
        assert_eq!(change(1_000, 1_001), Change::Same);
        assert_eq!(change(u64::MAX, 1), Change::More(u64::MAX));
    }
}
