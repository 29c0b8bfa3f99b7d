//! When to try again, and when to give up. Pure: the answer, the clock and the dice are arguments.

use std::time::Duration;

use posthaste_fault::{Bug, planted};

use crate::attempt::Outcome;
use crate::delivery::{DeadLetter, Verdict};
use crate::limits::RETRY_AFTER_MAX;
use crate::time::Timestamp;

/// The waits between attempts. Empty: one attempt and no retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule(Vec<Duration>);

/// How much a wait may differ from the schedule, either way, so that endpoints that failed together do not all
/// come back together.
const JITTER: f64 = 0.2;

impl RetrySchedule {
    /// Any waits, in order.
    pub fn new(waits: Vec<Duration>) -> Self {
        Self(waits)
    }

    /// The waits, in order.
    pub fn waits(&self) -> &[Duration] {
        &self.0
    }
}

/// 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 10 h, 14 h, 20 h, 24 h: over 85 hours, so that a receiver that broke on a
/// Friday evening still gets everything on Monday.
impl Default for RetrySchedule {
    fn default() -> Self {
        let mins = [5, 30, 120, 300, 600, 600, 840, 1200, 1440];
        let waits = mins.into_iter().map(|m| Duration::from_secs(m * 60));
        Self(std::iter::once(Duration::from_secs(5)).chain(waits).collect())
    }
}

/// What follows from `outcome`, the attempt number `attempts_made` (counted from 1) of its delivery.
///
/// `chance` is in `0.0..1.0`. 2xx delivers. 410 gives up: the endpoint says that it is gone. Everything else,
/// redirects included, is tried again as the schedule says, later if `Retry-After` asks for it.
pub fn judge(
    outcome: &Outcome,
    attempts_made: u32,
    schedule: &RetrySchedule,
    now: Timestamp,
    chance: f64,
) -> Verdict {
    if outcome.is_success() {
        return Verdict::Delivered;
    }
    if outcome.status_code() == 410 {
        return Verdict::GiveUp(DeadLetter::Gone);
    }
    let index = usize::try_from(attempts_made.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(wait) = schedule.0.get(index) else {
        return Verdict::GiveUp(DeadLetter::Exhausted);
    };
    let chance = if planted(Bug::NoJitter) { 0.5 } else { chance };
    let jittered = wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0));
    let asked = retry_after(outcome, now).unwrap_or_default();
    Verdict::RetryAt(now.later(jittered.max(asked)))
}

/// The same for a listener. What somebody's program under construction answers is the answer: whoever wants it asked again
/// replays it. Only what was not answered is tried again.
pub fn judge_listener(
    outcome: &Outcome,
    attempts_made: u32,
    schedule: &RetrySchedule,
    now: Timestamp,
    chance: f64,
) -> Verdict {
    match outcome {
        Outcome::Replied(_) if !outcome.is_success() => Verdict::GiveUp(DeadLetter::Exhausted),
        _ => judge(outcome, attempts_made, schedule, now, chance),
    }
}

/// How long the receiver asks us to wait, by `Retry-After` with seconds or an HTTP date (RFC 9110 §10.2.3), at
/// most [`RETRY_AFTER_MAX`]. Anything else in that header is ignored.
pub fn retry_after(outcome: &Outcome, now: Timestamp) -> Option<Duration> {
    let Outcome::Replied(reply) = outcome else { return None };
    let text = reply.header("retry-after")?.trim();
    let wait = if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = jiff::fmt::rfc2822::parse(text).ok()?;
        Timestamp::from_micros(date.timestamp().as_microsecond()).since(now)
    };
    Some(if planted(Bug::RetryAfterUnclamped) { wait } else { wait.min(RETRY_AFTER_MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{Failure, FailureKind, Reply};
    use bytes::Bytes;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn replied(status: u16, retry_after: Option<&str>) -> Outcome {
        let headers = retry_after.map(|v| ("Retry-After".to_owned(), Bytes::copy_from_slice(v.as_bytes())));
        let headers = headers.into_iter().collect();
        Outcome::Replied(Reply { status, headers, body: Bytes::new(), truncated: false })
    }

    fn after(outcome: &Outcome, attempts_made: u32) -> Verdict {
        judge(outcome, attempts_made, &RetrySchedule::default(), NOW, 0.5)
    }

    fn in_secs(secs: u64) -> Verdict {
        Verdict::RetryAt(NOW.later(Duration::from_secs(secs)))
    }

    #[test]
    fn only_2xx_delivers_and_410_ends() {
        let timeout = Outcome::Failed(Failure { kind: FailureKind::Timeout, detail: String::new() });
        for (outcome, verdict) in [
            (replied(200, None), Verdict::Delivered),
            (replied(299, None), Verdict::Delivered),
            (replied(410, None), Verdict::GiveUp(DeadLetter::Gone)),
            (replied(199, None), in_secs(5)),
            (replied(301, None), in_secs(5)),
            (replied(404, None), in_secs(5)),
            (replied(500, None), in_secs(5)),
            (timeout, in_secs(5)),
        ] {
            assert_eq!(after(&outcome, 1), verdict, "{outcome:?}");
        }
    }

    #[test]
    fn what_a_listener_answers_is_the_last_word_and_what_it_does_not_is_tried_again() {
        let refused = Outcome::Failed(Failure { kind: FailureKind::Connect, detail: String::new() });
        for (outcome, verdict) in [
            (replied(204, None), Verdict::Delivered),
            (replied(500, None), Verdict::GiveUp(DeadLetter::Exhausted)),
            (replied(410, None), Verdict::GiveUp(DeadLetter::Exhausted)),
            (replied(503, Some("60")), Verdict::GiveUp(DeadLetter::Exhausted)),
            (refused, in_secs(5)),
        ] {
            let judged = judge_listener(&outcome, 1, &RetrySchedule::default(), NOW, 0.5);
            assert_eq!(judged, verdict, "{outcome:?}");
        }
    }

    #[test]
    fn waits_follow_the_schedule_and_then_it_gives_up() {
        let failed = replied(500, None);
        assert_eq!(after(&failed, 2), in_secs(300));
        assert_eq!(after(&failed, 10), in_secs(24 * 3600));
        assert_eq!(after(&failed, 11), Verdict::GiveUp(DeadLetter::Exhausted));
        let none = RetrySchedule::new(vec![]);
        assert_eq!(judge(&failed, 1, &none, NOW, 0.5), Verdict::GiveUp(DeadLetter::Exhausted));
    }

    #[test]
    fn jitter_stays_within_a_fifth_of_the_wait() {
        let failed = replied(500, None);
        let at = |chance| judge(&failed, 2, &RetrySchedule::default(), NOW, chance);
        assert_eq!(at(0.0), in_secs(240));
        assert_eq!(at(1.0), in_secs(360));
    }

    #[test]
    fn retry_after_can_put_an_attempt_off_but_not_hasten_it_nor_beyond_a_day() {
        for (value, expected) in [
            ("60", in_secs(60)),
            ("1", in_secs(5)),
            ("99999999999999999999", in_secs(24 * 3600)),
            ("Tue, 14 Nov 2023 22:15:20 GMT", in_secs(120)),
            ("Tue, 14 Nov 2013 22:15:20 GMT", in_secs(5)),
            ("soon", in_secs(5)),
            ("-3", in_secs(5)),
            ("", in_secs(5)),
        ] {
            assert_eq!(after(&replied(503, Some(value)), 1), expected, "{value}");
        }
    }

    #[test]
    fn the_default_schedule_spans_more_than_75_hours() {
        let total: Duration = RetrySchedule::default().waits().iter().sum();
        assert!(total > Duration::from_hours(75), "{total:?}");
    }
}
