//! Charts: where each bar, line and label stands. Templates draw them as SVG, without style and without script.
//!
//! Across, all is in hundredths of the width, so that a chart is as sharp at 380 pixels as at 1 200; down, in pixels.

mod bars;
mod lines;
mod spark;

use posthaste_core::period::Period;
use posthaste_core::rollup::Bar;
use posthaste_core::time::Timestamp;
use serde::Serialize;

pub(crate) use self::bars::{Bars, bars};
pub(crate) use self::lines::{Lines, SHARES, lines};
pub(crate) use self::spark::{Spark, spark};

/// Pixels above the plot, for half of the label of its uppermost line.
const TOP: f64 = 8.0;
/// Pixels below it, for the hours and days.
const BOTTOM: f64 = 20.0;
/// A label that begins further right than that is left out: it would be cut.
const LABEL_AT_MOST: f64 = 92.0;

/// A line across, and what it stands for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Guide {
    y: f64,
    label: String,
}

/// A label below.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Tick {
    x: f64,
    label: String,
}

/// Two digits behind the point are a fiftieth of a pixel.
fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "a place on a screen needs no more")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// Where slot `n` of `all` begins.
fn x_of(n: usize, all: usize) -> f64 {
    let (n, all) = (u32::try_from(n).unwrap_or(u32::MAX), u32::try_from(all.max(1)).unwrap_or(u32::MAX));
    round(f64::from(n) * 100.0 / f64::from(all))
}

/// A moment as charts and tables write it, in UTC.
pub(crate) fn written(at: Timestamp, form: &str) -> String {
    jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default().strftime(form).to_string()
}

/// As tables and bars name a slot.
pub(crate) fn slot_name(period: Period, at: Timestamp) -> String {
    let form = match period {
        Period::Hour | Period::Day => "%H:%M",
        Period::Week => "%a %-d %b %H:%M",
        Period::Month => "%a %-d %b",
    };
    written(at, form)
}

/// Few labels: quarters of an hour, of a day, whole days, or Mondays.
fn ticks(period: Period, slots: &[Bar]) -> Vec<Tick> {
    let minute = |at: Timestamp| at.as_secs().div_euclid(60);
    let is_labelled = |at: Timestamp| match period {
        Period::Hour => minute(at) % 15 == 0,
        Period::Day => minute(at) % (6 * 60) == 0,
        Period::Week => minute(at) % (24 * 60) == 0,
        // 1970 began on a Thursday.
        Period::Month => at.as_secs().div_euclid(86_400) % 7 == 4,
    };
    let form = match period {
        Period::Hour | Period::Day => "%H:%M",
        Period::Week => "%a %-d",
        Period::Month => "%-d %b",
    };
    let labelled = slots.iter().enumerate().filter(|(_, slot)| is_labelled(slot.start));
    let all = labelled.map(|(n, slot)| Tick { x: x_of(n, slots.len()), label: written(slot.start, form) });
    all.filter(|tick| tick.x <= LABEL_AT_MOST).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use posthaste_core::rollup::Counts;

    use super::*;

    pub(super) fn slots(succeeded_and_failed: &[(u64, u64)]) -> Vec<Bar> {
        let start = Timestamp::parse("2026-11-20T21:00:00Z").unwrap();
        let slot = |(n, &(succeeded, refused)): (usize, &(u64, u64))| Bar {
            start: start.later(Duration::from_hours(n as u64)),
            counts: Counts { succeeded, refused, ..Counts::default() },
        };
        succeeded_and_failed.iter().enumerate().map(slot).collect()
    }

    #[test]
    fn labels_are_few_and_stand_on_the_clock() {
        let labels = |period: Period, now: &str| {
            let folded = period.until(Timestamp::parse(now).unwrap()).fold(&[]);
            ticks(period, &folded.slots).into_iter().map(|tick| tick.label).collect::<Vec<_>>()
        };
        let now = "2026-11-21T20:46:00Z";
        assert_eq!(labels(Period::Hour, now), ["20:00", "20:15", "20:30"]);
        assert_eq!(labels(Period::Day, now), ["00:00", "06:00", "12:00", "18:00"]);
        assert_eq!(labels(Period::Week, now).len(), 7);
        assert_eq!(labels(Period::Week, now)[0], "Sun 15");
        assert_eq!(labels(Period::Month, now), ["26 Oct", "2 Nov", "9 Nov", "16 Nov"]);
    }
}
