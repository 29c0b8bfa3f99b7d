//! Figures and states in words, as pages show them.

use std::time::Duration;

use posthaste_core::attempt::{Attempt, Outcome};
use posthaste_core::delivery::{DeadLetter, DeliveryState};
use posthaste_core::time::Timestamp;
use serde::Serialize;

/// A moment: how long ago it was, and exactly when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Moment {
    pub(crate) exact: String,
    pub(crate) words: String,
}

pub(crate) fn moment(at: Timestamp, now: Timestamp) -> Moment {
    let words = if at > now {
        format!("in {}", span(at.since(now)))
    } else {
        match now.since(at) {
            short if short < Duration::from_secs(1) => "now".to_owned(),
            long => format!("{} ago", span(long)),
        }
    };
    let exact = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default();
    Moment { exact: format!("{exact:.3}"), words }
}

/// `36 µs`, `0.4 ms`, `45 ms`, `2.3 s`, `12 min`, `5 h`, `9 d`.
pub(crate) fn span(time: Duration) -> String {
    match time.as_secs() {
        0 if time < Duration::from_micros(100) => format!("{} µs", time.as_micros()),
        0 if time < Duration::from_millis(10) => format!("{:.1} ms", time.as_secs_f64() * 1_000.0),
        0 => format!("{} ms", time.as_millis()),
        1..10 => format!("{:.1} s", time.as_secs_f64()),
        secs @ 10..60 => format!("{secs} s"),
        secs @ 60..3_600 => format!("{} min", secs / 60),
        secs @ 3_600..172_800 => format!("{} h", secs / 3_600),
        secs => format!("{} d", secs / 86_400),
    }
}

/// What is left of a time, in its two largest parts: `23 h 12 min`. The script that counts it down says it alike.
pub(crate) fn left(time: Duration) -> String {
    let secs = time.as_secs();
    let (days, hours, mins) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
    match (days, hours, mins) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, mins) => format!("{mins} min {} s", secs % 60),
        (0, hours, mins) => format!("{hours} h {mins} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// `999 bytes`, `1.8 kB`.
pub(crate) fn size(bytes: usize) -> String {
    let bytes = bytes as f64;
    match bytes {
        small if small < 1_000.0 => format!("{small} bytes"),
        some if some < 1_000_000.0 => format!("{:.1} kB", some / 1_000.0),
        large => format!("{:.1} MB", large / 1_000_000.0),
    }
}

/// `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    parts.join("\u{202f}")
}

/// A state: a word, and which of four looks it has. Never a colour alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    pub(crate) look: &'static str,
    pub(crate) words: String,
}

impl State {
    pub(crate) fn good(words: impl Into<String>) -> Self {
        Self { look: "good", words: words.into() }
    }

    pub(crate) fn bad(words: impl Into<String>) -> Self {
        Self { look: "bad", words: words.into() }
    }

    pub(crate) fn busy(words: impl Into<String>) -> Self {
        Self { look: "busy", words: words.into() }
    }

    pub(crate) fn quiet(words: impl Into<String>) -> Self {
        Self { look: "quiet", words: words.into() }
    }
}

/// Where a delivery stands.
pub(crate) fn delivery(state: DeliveryState, attempts_made: u32, now: Timestamp) -> State {
    match state {
        DeliveryState::Waiting { due } if attempts_made == 0 => {
            State::quiet(format!("waiting, {}", next(due, now)))
        }
        DeliveryState::Waiting { due } => State::busy(format!("retrying, {}", next(due, now))),
        DeliveryState::InFlight { .. } => State::busy("sending"),
        DeliveryState::Delivered => State::good("delivered"),
        DeliveryState::DeadLettered { why } => State::bad(format!("failed: {}", dead_letter(why))),
    }
}

fn next(due: Timestamp, now: Timestamp) -> String {
    if due <= now { "due now".to_owned() } else { format!("next {}", moment(due, now).words) }
}

fn dead_letter(why: DeadLetter) -> &'static str {
    match why {
        DeadLetter::Exhausted => "all tries are used up",
        DeadLetter::Gone => "the receiver said that it is gone",
        DeadLetter::EndpointDisabled => "the endpoint is disabled",
        DeadLetter::EndpointDeleted => "the endpoint was deleted",
        DeadLetter::ContentGone => "the payload is gone",
    }
}

/// What came of a try, as precisely as it is known.
pub(crate) fn attempt(attempt: &Attempt) -> State {
    match &attempt.outcome {
        Outcome::Replied(reply) if attempt.outcome.is_success() => State::good(reply.status.to_string()),
        Outcome::Replied(reply) => State::bad(reply.status.to_string()),
        Outcome::Failed(failure) => State::bad(failure.kind.word().replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_from_now() {
        let now = Timestamp::from_secs(1_000_000);
        let words = |at: Timestamp| moment(at, now).words;
        assert_eq!(words(now), "now");
        assert_eq!(words(now.earlier(Duration::from_secs(95))), "1 min ago");
        assert_eq!(words(now.later(Duration::from_secs(252))), "in 4 min");
        assert_eq!(words(now.earlier(Duration::from_hours(50))), "2 d ago");
        assert_eq!(moment(Timestamp::EPOCH, now).exact, "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_left_is_told_in_its_two_largest_parts() {
        let told = [5, 65, 83_520, 90_000].map(|secs| left(Duration::from_secs(secs)));
        assert_eq!(told, ["5 s", "1 min 5 s", "23 h 12 min", "1 d 1 h"]);
    }

    #[test]
    fn a_delivery_says_what_is_next_or_why_not() {
        let now = Timestamp::from_secs(1_000_000);
        let due = now.later(Duration::from_secs(300));
        assert_eq!(delivery(DeliveryState::Waiting { due }, 2, now).words, "retrying, next in 5 min");
        let why = DeadLetter::Exhausted;
        assert_eq!(
            delivery(DeliveryState::DeadLettered { why }, 8, now).words,
            "failed: all tries are used up"
        );
    }
}
