//! How long attempts took, as three stepped lines on a scale of decades: p50, p95 and p99.

use std::fmt::Write as _;
use std::time::Duration;

use posthaste_core::period::Period;
use posthaste_core::rollup::{Bar, Counts};
use serde::Serialize;

use super::{BOTTOM, Guide, TOP, Tick, round, ticks, x_of};
use crate::words::span;

/// Pixels of the plot.
const PLOT: f64 = 132.0;
/// Units across of the drawing within: it is stretched to the width.
const UNITS: f64 = 10.0;
/// What is drawn: a name, and the share of attempts that took no longer.
pub(crate) const SHARES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];
/// The decades that a scale may begin and end with, in powers of ten of a millisecond.
const DECADES: std::ops::RangeInclusive<i32> = 0..=5;

/// The chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Lines {
    height: f64,
    top: f64,
    plot: f64,
    floor: f64,
    steps: Vec<Line>,
    guides: Vec<Guide>,
    ticks: Vec<Tick>,
    /// The same in a sentence.
    summary: String,
}

/// One line: with a gap where nothing was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Line {
    name: &'static str,
    /// Of the whole period.
    total: String,
    path: String,
}

/// Draws; `None` without any attempt.
pub(crate) fn lines(period: Period, slots: &[Bar], total: &Counts) -> Option<Lines> {
    let totals = SHARES.map(|(name, share)| total.took_at_most(share).map(|took| (name, share, took)));
    let totals: Vec<_> = totals.into_iter().flatten().collect();
    let points = |share: f64| slots.iter().map(move |slot| slot.counts.took_at_most(share));
    let every = || SHARES.iter().flat_map(|(_, share)| points(*share)).flatten();
    let (lowest, highest) = (every().min()?, every().max()?);
    let (from, to) = (decade(lowest, f64::floor), decade(highest, f64::ceil));
    let to = to.max(from + 1);
    let y_of = |took: Duration| {
        let place = (log(took) - f64::from(from)) / f64::from(to - from);
        round(PLOT - place.clamp(0.0, 1.0) * PLOT)
    };
    let line = |&(name, share, took): &(&'static str, f64, Duration)| Line {
        name,
        total: span(took),
        path: stepped(points(share).map(|took| took.map(y_of)), slots.len()),
    };
    let guide = |power: i32| Guide {
        y: round(TOP + PLOT - f64::from(power - from) / f64::from(to - from) * PLOT),
        label: decade_name(power),
    };
    let told: Vec<_> = totals.iter().map(|(name, _, took)| format!("{name} {}", span(*took))).collect();
    Some(Lines {
        height: TOP + PLOT + BOTTOM,
        top: TOP,
        plot: PLOT,
        floor: TOP + PLOT,
        steps: totals.iter().map(line).collect(),
        guides: (from..=to).rev().map(guide).collect(),
        ticks: ticks(period, slots),
        summary: format!("How long attempts took: {}.", told.join(", ")),
    })
}

/// Powers of ten of a millisecond.
fn log(took: Duration) -> f64 {
    (took.as_secs_f64() * 1_000.0).max(1.0).log10()
}

fn decade(took: Duration, rounded: fn(f64) -> f64) -> i32 {
    let exact = rounded(log(took));
    let all = || DECADES.rev();
    all().find(|power| f64::from(*power) <= exact).unwrap_or(*DECADES.start())
}

fn decade_name(power: i32) -> String {
    match power {
        0 => "1 ms",
        1 => "10 ms",
        2 => "100 ms",
        3 => "1 s",
        4 => "10 s",
        _ => "100 s",
    }
    .to_owned()
}

/// A step a slot.
fn stepped(heights: impl Iterator<Item = Option<f64>>, all: usize) -> String {
    let (mut path, mut is_drawing) = (String::new(), false);
    for (n, height) in heights.enumerate() {
        let (from, to) = (round(x_of(n, all) * UNITS), round(x_of(n + 1, all) * UNITS));
        if let Some(y) = height {
            // Writing into a String cannot fail.
            let _ = if is_drawing { write!(path, "V{y}H{to}") } else { write!(path, "M{from} {y}H{to}") };
        }
        is_drawing = height.is_some();
    }
    path
}

#[cfg(test)]
mod tests {
    use posthaste_core::time::Timestamp;

    use super::*;

    fn slot(hour: u64, took_ms: &[u64]) -> Bar {
        let mut counts = Counts::default();
        for ms in took_ms {
            counts.note_took(Duration::from_millis(*ms));
        }
        Bar { start: Timestamp::EPOCH.later(Duration::from_hours(hour)), counts }
    }

    #[test]
    fn lines_have_a_gap_where_nothing_was_tried() {
        let slots = [slot(0, &[10]), slot(1, &[]), slot(2, &[10]), slot(3, &[10])];
        let mut total = Counts::default();
        for slot in &slots {
            total.add(&slot.counts);
        }
        let chart = lines(Period::Day, &slots, &total).unwrap();
        assert_eq!(chart.steps[0].path.matches('M').count(), 2, "{}", chart.steps[0].path);
        assert_eq!(chart.steps.len(), 3);
        let labels: Vec<_> = chart.guides.iter().map(|guide| guide.label.as_str()).collect();
        assert_eq!(labels, ["10 ms", "1 ms"]);
        assert!(chart.summary.starts_with("How long attempts took: p50 "), "{}", chart.summary);
    }

    #[test]
    fn the_scale_ends_with_the_decades_of_what_was_measured() {
        let slots = [slot(0, &[3, 3, 3, 30_000])];
        let chart = lines(Period::Day, &slots, &slots[0].counts).unwrap();
        let labels: Vec<_> = chart.guides.iter().map(|guide| guide.label.as_str()).collect();
        assert_eq!(labels, ["100 s", "10 s", "1 s", "100 ms", "10 ms", "1 ms"]);
        assert!((chart.guides[5].y - chart.floor).abs() < 0.01, "1 ms is the floor");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(lines(Period::Day, &[slot(0, &[])], &Counts::default()), None);
    }
}
