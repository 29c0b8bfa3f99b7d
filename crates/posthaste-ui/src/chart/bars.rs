//! Attempts over time, as bars: what succeeded stands below, what failed on top of it, hatched.

use posthaste_core::period::Period;
use posthaste_core::rollup::Bar;
use serde::Serialize;

use super::{BOTTOM, Guide, TOP, Tick, as_f64, round, slot_name, ticks, x_of};
use crate::words::grouped;

/// Pixels of the plot.
const PLOT: f64 = 132.0;
/// Pixels of the lowest bar: one failure among thousands is seen.
const LOWEST: f64 = 2.0;
/// How much of its slot a bar fills.
const FILLED: f64 = 0.78;

/// The chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Bars {
    height: f64,
    /// Where the plot begins and ends.
    top: f64,
    floor: f64,
    slot: f64,
    width: f64,
    stacks: Vec<Stack>,
    guides: Vec<Guide>,
    ticks: Vec<Tick>,
    /// The same in a sentence.
    summary: String,
}

/// A bar. A part that is nothing has no height.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Stack {
    /// Where its slot begins, and the bar in it.
    slot_x: f64,
    x: f64,
    good_y: f64,
    good: f64,
    bad_y: f64,
    bad: f64,
    title: String,
}

/// The uppermost line of a scale: 1, 2, 4, 6, 8 or 10 of the highest count's own decade, so that half of it is a whole number.
fn uppermost(highest: u64) -> u64 {
    let mut decade = 1_u64;
    loop {
        if let Some(factor) =
            [1, 2, 4, 6, 8, 10].into_iter().find(|factor| decade.saturating_mul(*factor) >= highest)
        {
            return decade.saturating_mul(factor);
        }
        decade = decade.saturating_mul(10);
    }
}

/// Draws; `None` without any attempt.
pub(crate) fn bars(period: Period, slots: &[Bar]) -> Option<Bars> {
    let highest = slots.iter().max_by_key(|slot| slot.counts.attempts())?;
    if highest.counts.attempts() == 0 {
        return None;
    }
    let scale = uppermost(highest.counts.attempts());
    let floor = TOP + PLOT;
    let pixels = |count: u64| match count {
        0 => 0.0,
        count => round((as_f64(count) / as_f64(scale) * PLOT).max(LOWEST)),
    };
    let slot_width = x_of(1, slots.len());
    let stack = |(n, slot): (usize, &Bar)| {
        let (good, bad) = (pixels(slot.counts.succeeded), pixels(slot.counts.failed()));
        let slot_x = x_of(n, slots.len());
        Stack {
            slot_x,
            x: round(slot_x + slot_width * (1.0 - FILLED) / 2.0),
            good_y: round(floor - good),
            good,
            bad_y: round(floor - good - bad),
            bad,
            title: format!("{}: {}", slot_name(period, slot.start), sentence(slot)),
        }
    };
    let mut guides = vec![Guide { y: TOP, label: grouped(scale) }];
    if scale > 1 {
        guides.push(Guide { y: TOP + PLOT / 2.0, label: grouped(scale / 2) });
    }
    let most = format!("{} at {}", grouped(highest.counts.attempts()), slot_name(period, highest.start));
    let all = |of: fn(&Bar) -> u64| grouped(slots.iter().map(of).sum());
    Some(Bars {
        height: floor + BOTTOM,
        top: TOP,
        floor,
        slot: slot_width,
        width: round(slot_width * FILLED),
        stacks: slots.iter().enumerate().map(stack).collect(),
        guides,
        ticks: ticks(period, slots),
        summary: format!(
            "Attempts: {} succeeded, {} failed; the most in one bar: {most}.",
            all(|slot| slot.counts.succeeded),
            all(|slot| slot.counts.failed()),
        ),
    })
}

fn sentence(slot: &Bar) -> String {
    format!("{} succeeded, {} failed", grouped(slot.counts.succeeded), grouped(slot.counts.failed()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::slots;
    use super::*;

    #[test]
    fn a_scale_ends_at_a_round_number_that_can_be_halved() {
        let uppermost_of = [1, 2, 3, 5, 7, 9, 11, 60, 61, 99, 101, 19_999].map(uppermost);
        assert_eq!(uppermost_of, [1, 2, 4, 6, 8, 10, 20, 60, 80, 100, 200, 20_000]);
        assert!(uppermost(u64::MAX) > 0);
    }

    #[test]
    fn what_failed_stands_on_what_succeeded_and_one_failure_is_seen() {
        let chart = bars(Period::Day, &slots(&[(0, 0), (5_000, 5_000), (10_000, 1)])).unwrap();
        let [none, half, one] = &chart.stacks[..] else { panic!("three slots") };
        let at =
            |expected: f64, found: f64| assert!((expected - found).abs() < 0.01, "{found}, not {expected}");
        at(0.0, none.good + none.bad);
        // Of 20 000, 5 000 is a quarter.
        at(33.0, half.good);
        at(33.0, half.bad);
        at(half.good_y, half.bad_y + half.bad);
        at(chart.floor, half.good_y + half.good);
        at(LOWEST, one.bad);
        assert_eq!(half.title, "22:00: 5\u{202f}000 succeeded, 5\u{202f}000 failed");
        assert_eq!(
            chart.summary,
            "Attempts: 15\u{202f}000 succeeded, 5\u{202f}001 failed; the most in one bar: 10\u{202f}001 at 23:00."
        );
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(bars(Period::Day, &slots(&[(0, 0)])), None);
        assert_eq!(bars(Period::Day, &[]), None);
    }
}
