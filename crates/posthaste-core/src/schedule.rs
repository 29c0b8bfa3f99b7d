//! A schedule: the instants that a cron expression names, in UTC.
//!
//! The five fields of crontab(5), and its names for usual schedules. An instant is a whole minute: nothing here comes
//! more often.

use jiff::civil::{Date, Time};
use jiff::tz::Offset;
use thiserror::Error;

use crate::limits::SCHEDULE_LENGTH_MAX;
use crate::time::Timestamp;

/// How far to look for the next instant. A 29 February on a given weekday comes within 40 years, across 2100 too.
const YEARS_AHEAD_MAX: i16 = 41;
/// Characters of a wrong expression that are shown again.
const SHOWN_LENGTH_MAX: usize = 20;

/// Why a text is no schedule, as the end of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// It is empty, too long, or has another number of fields.
    #[error(
        "must have five fields, minute hour day month weekday, and has {0}; or be one of @yearly, @monthly, @weekly, \
         @daily, @hourly"
    )]
    Fields(usize),
    /// It has a field more: that of the seconds.
    #[error(
        "must have five fields, minute hour day month weekday: seconds cannot be named, for a source is due once a \
         minute at most"
    )]
    Seconds,
    /// It is longer than any schedule has to be.
    #[error("must be at most {SCHEDULE_LENGTH_MAX} characters long")]
    Long,
    /// It begins with an `@`, and we do not know it.
    #[error("must be one of @yearly, @monthly, @weekly, @daily, @hourly, or five fields, and not {0:?}")]
    Nickname(String),
    /// What stands in a field is none of its values.
    #[error("must have a {name} from {first} to {last}, and not {found:?}")]
    Value {
        /// The field.
        name: &'static str,
        /// Its least value.
        first: u8,
        /// Its greatest.
        last: u8,
        /// What stands there.
        found: String,
    },
    /// A range ends before it begins.
    #[error("must have a range of its {name} that begins before it ends, and not {found:?}")]
    Range {
        /// The field.
        name: &'static str,
        /// The range.
        found: String,
    },
    /// A step is none.
    #[error("must have a step of its {name} from 1 to {last}, and not {found:?}")]
    Step {
        /// The field.
        name: &'static str,
        /// The widest step.
        last: u8,
        /// What stands there.
        found: String,
    },
    /// No day is like that: the 30th of February.
    #[error("must name a day that there is: this one never comes")]
    Never,
}

/// What one field may hold.
struct Field {
    name: &'static str,
    first: u8,
    last: u8,
    /// Names for values, the first one for `first`.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", first: 0, last: 59, names: &[] };
const HOUR: Field = Field { name: "hour", first: 0, last: 23, names: &[] };
const DAY: Field = Field { name: "day", first: 1, last: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// Both 0 and 7 are Sunday.
const WEEKDAY: Field =
    Field { name: "weekday", first: 0, last: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The instants that a cron expression names. Each set has a bit for each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Day and weekday are both restricted: then either is enough, as in crontab(5).
    either: bool,
}

impl Schedule {
    /// Reads a cron expression.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        if text.len() > SCHEDULE_LENGTH_MAX {
            return Err(ScheduleError::Long);
        }
        let text = text.trim();
        let text = if text.starts_with('@') {
            let known = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
            known.ok_or_else(|| ScheduleError::Nickname(shown(text)))?.1
        } else {
            text
        };
        let fields: Vec<_> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            let count = fields.len();
            return Err(if count == 6 { ScheduleError::Seconds } else { ScheduleError::Fields(count) });
        };
        let weekdays = WEEKDAY.read(weekday)?;
        let schedule = Self {
            minutes: MINUTE.read(minute)?,
            hours: HOUR.read(hour)?,
            days: DAY.read(day)?,
            months: MONTH.read(month)?,
            weekdays: weekdays | weekdays >> 7,
            either: !is_open(day) && !is_open(weekday),
        };
        schedule.next(Timestamp::EPOCH).map(|_| schedule).ok_or(ScheduleError::Never)
    }

    /// The first instant after this one; `None` at the end of the calendar.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let minute = after.as_secs().div_euclid(60) + 1;
        let from = Offset::UTC.to_datetime(jiff::Timestamp::from_second(minute * 60).ok()?);
        let last_year = from.year().saturating_add(YEARS_AHEAD_MAX);
        let mut date = from.date();
        let mut time = self.time(from.time());
        while date.year() <= last_year {
            if !has(self.months, date.month()) {
                date = date.last_of_month();
            } else if let Some(time) = time.filter(|_| self.has_day(date)) {
                let instant = Offset::UTC.to_timestamp(date.to_datetime(time)).ok()?;
                return Some(Timestamp::from_secs(instant.as_second()));
            }
            date = date.tomorrow().ok()?;
            time = self.time(Time::midnight());
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        if self.either { day || weekday } else { day && weekday }
    }

    /// The first time of a day that is not before `from`.
    fn time(&self, from: Time) -> Option<Time> {
        if has(self.hours, from.hour())
            && let Some(minute) = least(self.minutes, from.minute())
        {
            return Time::new(from.hour(), minute, 0, 0).ok();
        }
        let hour = least(self.hours, from.hour() + 1)?;
        Time::new(hour, least(self.minutes, 0)?, 0, 0).ok()
    }
}

impl Field {
    /// The set that a field's text names: values, ranges and steps, with commas between.
    fn read(&self, text: &str) -> Result<u64, ScheduleError> {
        let mut set = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(self.step(step)?)),
                None => (part, None),
            };
            let (from, to) = match range.split_once('-') {
                _ if matches!(range, "*" | "?") => (self.first, self.last),
                Some((from, to)) => (self.value(from)?, self.value(to)?),
                None => {
                    let value = self.value(range)?;
                    (value, if step.is_some() { self.last } else { value })
                }
            };
            // To Sunday, by its other number.
            let to = if self.last == 7 && to == 0 && from > 0 { 7 } else { to };
            if to < from {
                return Err(ScheduleError::Range { name: self.name, found: shown(range) });
            }
            for value in (from..=to).step_by(step.unwrap_or(1)) {
                set |= 1_u64 << value;
            }
        }
        Ok(set)
    }

    fn value(&self, text: &str) -> Result<u8, ScheduleError> {
        let name = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let named = name.and_then(|index| u8::try_from(index).ok()).map(|index| self.first + index);
        named.or_else(|| number(text)).filter(|value| (self.first..=self.last).contains(value)).ok_or_else(
            || {
                let (name, first, last) = (self.name, self.first, self.last);
                ScheduleError::Value { name, first, last, found: shown(text) }
            },
        )
    }

    fn step(&self, text: &str) -> Result<usize, ScheduleError> {
        let step = number(text).filter(|step| (1..=self.last).contains(step)).map(usize::from);
        step.ok_or_else(|| ScheduleError::Step { name: self.name, last: self.last, found: shown(text) })
    }
}

/// Whether a field of days restricts nothing by itself; `*/2` goes with the other field too, as in crontab(5).
fn is_open(text: &str) -> bool {
    text.starts_with(['*', '?'])
}

/// Digits only: no sign.
fn number(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn has(set: u64, value: i8) -> bool {
    u32::try_from(value).ok().and_then(|value| set.checked_shr(value)).is_some_and(|set| set & 1 == 1)
}

/// The least value of a set that is not below `from`.
fn least(set: u64, from: i8) -> Option<i8> {
    let rest = set.checked_shr(u32::try_from(from).ok()?).filter(|rest| *rest != 0)?;
    i8::try_from(rest.trailing_zeros()).ok().map(|above| from + above)
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_LENGTH_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(schedule).unwrap();
        let mut at = Timestamp::parse(after).unwrap();
        let mut next = || {
            at = schedule.next(at)?;
            Some(at.to_string().replace(":00.000000Z", ""))
        };
        std::iter::from_fn(&mut next).take(count).collect()
    }

    #[test]
    fn a_schedule_names_the_instants_of_the_table() {
        // 2026-01-01 is a Thursday.
        for (schedule, expected) in [
            ("* * * * *", ["2026-01-01T00:01", "2026-01-01T00:02", "2026-01-01T00:03"]),
            ("*/20 * * * *", ["2026-01-01T00:20", "2026-01-01T00:40", "2026-01-01T01:00"]),
            ("5,10-12 0 * * *", ["2026-01-01T00:05", "2026-01-01T00:10", "2026-01-01T00:11"]),
            ("50/5 23 * * *", ["2026-01-01T23:50", "2026-01-01T23:55", "2026-01-02T23:50"]),
            ("0 9-17/4 * * *", ["2026-01-01T09:00", "2026-01-01T13:00", "2026-01-01T17:00"]),
            ("0 9 * * 1-5", ["2026-01-01T09:00", "2026-01-02T09:00", "2026-01-05T09:00"]),
            ("0 9 * * mon-FRI", ["2026-01-01T09:00", "2026-01-02T09:00", "2026-01-05T09:00"]),
            ("0 0 * * fri-sun", ["2026-01-02T00:00", "2026-01-03T00:00", "2026-01-04T00:00"]),
            ("0 0 * * 0", ["2026-01-04T00:00", "2026-01-11T00:00", "2026-01-18T00:00"]),
            ("0 0 * * 7", ["2026-01-04T00:00", "2026-01-11T00:00", "2026-01-18T00:00"]),
            ("0 0 ? * 6-7", ["2026-01-03T00:00", "2026-01-04T00:00", "2026-01-10T00:00"]),
            ("0 0 31 * *", ["2026-01-31T00:00", "2026-03-31T00:00", "2026-05-31T00:00"]),
            ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"]),
            ("59 23 31 dec *", ["2026-12-31T23:59", "2027-12-31T23:59", "2028-12-31T23:59"]),
            ("0 0 1 Feb,4 ?", ["2026-02-01T00:00", "2026-04-01T00:00", "2027-02-01T00:00"]),
            // Either, where both are named; both, where one begins with a star.
            ("0 0 13 * 5", ["2026-01-02T00:00", "2026-01-09T00:00", "2026-01-13T00:00"]),
            ("0 0 */2 * 5", ["2026-01-09T00:00", "2026-01-23T00:00", "2026-02-13T00:00"]),
            ("0 0 1-7 * */7", ["2026-01-04T00:00", "2026-02-01T00:00", "2026-03-01T00:00"]),
            ("@yearly", ["2027-01-01T00:00", "2028-01-01T00:00", "2029-01-01T00:00"]),
            ("@Monthly", ["2026-02-01T00:00", "2026-03-01T00:00", "2026-04-01T00:00"]),
            ("@weekly", ["2026-01-04T00:00", "2026-01-11T00:00", "2026-01-18T00:00"]),
            ("@daily", ["2026-01-02T00:00", "2026-01-03T00:00", "2026-01-04T00:00"]),
            (" @hourly\n", ["2026-01-01T01:00", "2026-01-01T02:00", "2026-01-01T03:00"]),
        ] {
            assert_eq!(next(schedule, "2026-01-01T00:00:00Z", 3), expected, "{schedule}");
        }
    }

    #[test]
    fn the_next_instant_is_after_the_one_that_is_asked_about() {
        assert_eq!(next("30 12 * * *", "2026-01-01T12:29:59.999999Z", 1), ["2026-01-01T12:30"]);
        assert_eq!(next("30 12 * * *", "2026-01-01T12:30:00Z", 1), ["2026-01-02T12:30"]);
        assert_eq!(next("30 12 * * *", "2026-01-01T12:30:00.000001Z", 1), ["2026-01-02T12:30"]);
        assert_eq!(next("0 0 29 2 */7", "2072-03-01T00:00:00Z", 2), ["2088-02-29T00:00", "2128-02-29T00:00"]);
        assert!(next("* * * * *", "9999-12-30T22:00:00Z", 1).is_empty());
    }

    #[test]
    fn what_is_no_schedule_is_refused_in_a_sentence() {
        for (wrong, said) in [
            ("", "has 0"),
            ("* * * *", "has 4"),
            ("0 0 * * * * 2026", "has 7"),
            ("*/10 * * * * *", "seconds"),
            ("@reboot", "@daily"),
            ("60 * * * *", "minute from 0 to 59, and not \"60\""),
            ("* 24 * * *", "hour from 0 to 23"),
            ("* * 0 * *", "day from 1 to 31"),
            ("* * * 13 *", "month from 1 to 12"),
            ("* * * * 8", "weekday from 0 to 7"),
            ("* * * * L", "\"L\""),
            ("* * * may-foo *", "\"foo\""),
            ("1,,2 * * * *", "\"\""),
            ("+1 * * * *", "\"+1\""),
            ("1-2-3 * * * *", "\"2-3\""),
            ("* 5-2 * * *", "\"5-2\""),
            ("*/0 * * * *", "step of its minute from 1 to 59"),
            ("*/x * * * *", "\"x\""),
            ("*/999 * * * *", "\"999\""),
            ("0 0 30 2 *", "never"),
            ("0 0 31 4,6,9,11 *", "never"),
            (&"*".repeat(300), "256"),
        ] {
            let error = Schedule::parse(wrong).unwrap_err().to_string();
            assert!(error.starts_with("must ") && error.contains(said), "{wrong}: {error}");
        }
        let long = Schedule::parse(&format!("{} * * * *", "x".repeat(100))).unwrap_err().to_string();
        assert!(long.len() < 100, "{long}");
    }
}
