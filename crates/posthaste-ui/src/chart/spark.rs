//! A day in the width of a word, for lists: what succeeded goes up, what failed goes down.

use posthaste_core::rollup::Bar;
use serde::Serialize;

use super::{as_f64, round};
use crate::words::grouped;

/// Pixels that the highest bar goes up, and down.
const UP: f64 = 14.0;
const DOWN: f64 = 8.0;
/// Pixels of the lowest bar.
const LOWEST: f64 = 1.5;
/// Pixels from one bar to the next.
const STEP: f64 = 4.0;

/// The chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Spark {
    width: f64,
    height: f64,
    floor: f64,
    bars: Vec<Mark>,
    /// The same in a sentence.
    summary: String,
}

/// A bar; a part that is nothing has no height.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Mark {
    x: f64,
    up: f64,
    down: f64,
}

pub(crate) fn spark(slots: &[Bar]) -> Spark {
    let highest = |of: fn(&Bar) -> u64| slots.iter().map(of).max().unwrap_or(0);
    let scale = as_f64(highest(|slot| slot.counts.attempts()).max(1));
    let pixels = |count: u64, most: f64| match count {
        0 => 0.0,
        count => round((as_f64(count) / scale * most).max(LOWEST)),
    };
    let mark = |(n, slot): (u32, &Bar)| Mark {
        x: f64::from(n) * STEP,
        up: pixels(slot.counts.succeeded, UP),
        down: pixels(slot.counts.failed(), DOWN),
    };
    let all = |of: fn(&Bar) -> u64| grouped(slots.iter().map(of).sum());
    Spark {
        width: f64::from(u32::try_from(slots.len()).unwrap_or(u32::MAX)) * STEP,
        height: UP + DOWN,
        floor: UP,
        bars: (0..).zip(slots).map(mark).filter(|mark| mark.up + mark.down > 0.0).collect(),
        summary: format!(
            "By the hour: {} succeeded, {} failed",
            all(|slot| slot.counts.succeeded),
            all(|slot| slot.counts.failed())
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::slots;
    use super::*;

    #[test]
    fn failures_go_down_and_quiet_hours_are_not_drawn() {
        let drawn = spark(&slots(&[(10, 0), (0, 0), (0, 10), (0, 1)]));
        let marks: Vec<_> = drawn.bars.iter().map(|mark| (mark.x, mark.up, mark.down)).collect();
        assert_eq!(marks, [(0.0, UP, 0.0), (8.0, 0.0, DOWN), (12.0, 0.0, LOWEST)]);
        assert_eq!(drawn.summary, "By the hour: 10 succeeded, 11 failed");
    }
}
