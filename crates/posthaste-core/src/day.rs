//! Days of UTC: what is made on one day is kept together, and can be let go of together. Ids begin with their time, so a
//! day is a range of ids.

use std::fmt;
use std::time::Duration;

use crate::id::{Id, Kind};
use crate::time::Timestamp;

const SECS: i64 = 86_400;

/// Kept for this long or longer, messages go by whole days, up to a day late; kept shorter, each at its own time.
pub const WHOLE_DAYS_FROM: Duration = Duration::from_hours(48);

/// A day of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Day {
    /// The day of an instant.
    pub fn of(at: Timestamp) -> Self {
        Self(i32::try_from(at.as_secs().div_euclid(SECS)).unwrap_or(i32::MAX))
    }

    /// The day on which an id was made.
    pub fn of_id<K: Kind>(id: &Id<K>) -> Self {
        Self::of(id.made_at())
    }

    /// From its number, counted from 1970-01-01.
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Its number, counted from 1970-01-01.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Its first instant.
    pub fn begins(self) -> Timestamp {
        Timestamp::from_secs(i64::from(self.0) * SECS)
    }

    /// The first instant that is no longer in it.
    pub fn ends(self) -> Timestamp {
        Timestamp::from_secs((i64::from(self.0) + 1) * SECS)
    }

    /// The first id of this day, and the first id behind it; [`Id::MAX`], which names nothing, if there is none.
    pub fn ids<K: Kind>(self) -> (Id<K>, Id<K>) {
        let until = if self.ends() > Id::<K>::MAX.made_at() { Id::MAX } else { Id::first_at(self.ends()) };
        (Id::first_at(self.begins()), until)
    }

    /// Whether nothing of it is at or behind `edge`.
    pub fn is_before(self, edge: Timestamp) -> bool {
        self.ends() <= edge
    }

    /// The days from one to another, both included. Those that no id can be made on are left out.
    pub fn all(from: Timestamp, until: Timestamp) -> impl Iterator<Item = Self> {
        let (first, last) =
            (Id::<crate::id::MessageKind>::MIN.made_at(), Id::<crate::id::MessageKind>::MAX.made_at());
        (Self::of(from.max(first)).0..=Self::of(until.min(last)).0).map(Self)
    }
}

/// `20260103`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.begins().to_string()[..10].replace('-', ""))
    }
}

/// Whether what was made before `before` goes by whole days.
pub fn goes_by_whole_days(before: Timestamp, now: Timestamp) -> bool {
    now.since(before) >= WHOLE_DAYS_FROM
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::TestDice;
    use crate::id::MessageId;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("an instant")
    }

    #[test]
    fn a_day_is_a_range_of_ids() {
        let dice = TestDice::seeded(1);
        let day = Day::of(at("2026-11-21T14:00:00Z"));
        assert_eq!(day.to_string(), "20261121");
        let (first, until) = day.ids();
        for (instant, lies_in_it) in [
            ("2026-11-20T23:59:59.999999Z", false),
            ("2026-11-21T00:00:00Z", true),
            ("2026-11-21T23:59:59.999999Z", true),
            ("2026-11-22T00:00:00Z", false),
        ] {
            let id = MessageId::fresh(at(instant), &dice);
            assert_eq!((first..until).contains(&id), lies_in_it, "{instant}");
            assert_eq!(Day::of_id(&id) == day, lies_in_it, "{instant}");
        }
    }

    #[test]
    fn the_days_of_the_first_and_the_last_id_reach_to_the_ends() {
        assert_eq!(Day::of_id(&MessageId::MIN).ids::<crate::id::MessageKind>().0, MessageId::MIN);
        assert_eq!(Day::of_id(&MessageId::MAX).ids::<crate::id::MessageKind>().1, MessageId::MAX);
        let days = Day::all(Timestamp::EPOCH, at("2014-05-15T00:00:00Z"));
        assert_eq!(days.map(|day| day.to_string()).collect::<Vec<_>>(), ["20140513", "20140514", "20140515"]);
    }

    #[test]
    fn a_day_is_before_an_edge_once_its_last_instant_is() {
        let day = Day::of(at("2026-11-21T14:00:00Z"));
        assert!(!day.is_before(at("2026-11-21T23:59:59.999999Z")));
        assert!(day.is_before(at("2026-11-22T00:00:00Z")));
    }

    #[test]
    fn what_is_kept_for_hours_goes_at_its_time_and_what_is_kept_for_days_by_the_day() {
        let now = at("2026-11-21T14:00:00Z");
        assert!(!goes_by_whole_days(now.earlier(Duration::from_hours(47)), now));
        assert!(goes_by_whole_days(now.earlier(Duration::from_hours(48)), now));
        assert!(!goes_by_whole_days(now.later(Duration::from_hours(48)), now));
    }
}
