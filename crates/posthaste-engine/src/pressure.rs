//! How hard one endpoint may be pushed: so many attempts at once, so many per second. Pure.

use std::num::NonZeroU16;
use std::time::Duration;

use posthaste_core::attempt::{FailureKind, Outcome};
use posthaste_core::owner::RATE_SLACK;
use posthaste_core::time::Timestamp;

/// Attempts at once that an endpoint starts with: little enough that a hundred hanging endpoints together stay far
/// below the global cap, enough for a healthy one to begin briskly.
const CONCURRENCY_START: u32 = 8;
/// Attempts at once that a healthy endpoint can grow to.
const CONCURRENCY_MAX: u32 = 128;

/// The first rest of an endpoint that is in distress though it gets one attempt at a time; doubled each time.
const REST_MIN: Duration = Duration::from_millis(100);
/// The longest such rest, and so how soon it is noticed that a dead endpoint is back.
const REST_MAX: Duration = Duration::from_secs(5);

/// How many attempts at once: grows by one with each success, halves with each sign of distress. A hanging
/// endpoint is soon down to one connection; a recovered one is back within a few round trips.
///
/// One that is in distress even so gets rests between attempts, until it answers. A dead endpoint is knocked at, and
/// its backlog neither burns its attempts as fast as connections are refused nor takes the machine from others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Concurrency {
    limit: u32,
    /// Zero: it needs none.
    rest: Duration,
}

impl Concurrency {
    pub(crate) const fn start() -> Self {
        Self { limit: CONCURRENCY_START, rest: Duration::ZERO }
    }

    pub(crate) const fn limit(self) -> u32 {
        self.limit
    }

    /// Nothing is remembered that a fresh one would not know.
    pub(crate) const fn is_healthy(self) -> bool {
        self.limit >= CONCURRENCY_START
    }

    /// Returns the rest that the endpoint needs now, if it does. `rests`: it rests already, and what comes in now began
    /// before that.
    pub(crate) fn learn(&mut self, outcome: &Outcome, rests: bool) -> Option<Duration> {
        if !is_distress(outcome) {
            self.rest = Duration::ZERO;
            if outcome.is_success() {
                self.limit = (self.limit + 1).min(CONCURRENCY_MAX);
            }
            return None;
        }
        if self.limit > 1 {
            self.limit /= 2;
            return None;
        }
        if rests {
            return None;
        }
        self.rest = (self.rest * 2).clamp(REST_MIN, REST_MAX);
        Some(self.rest)
    }
}

/// Signs that more of the same would make it worse. A 500 or 404 is an answer, given in good time.
fn is_distress(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Replied(reply) => matches!(reply.status, 429 | 502 | 503 | 504),
        Outcome::Failed(failure) => matches!(
            failure.kind,
            FailureKind::Timeout | FailureKind::Connect | FailureKind::Broken | FailureKind::Tls
        ),
    }
}

/// A rate limit as a schedule: the generic cell rate algorithm (ITU-T I.371). It never refuses, it says when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateLimit {
    spacing: Duration,
    next: Timestamp,
}

impl RateLimit {
    pub(crate) fn new(per_second: NonZeroU16) -> Self {
        Self { spacing: Duration::from_secs(1) / u32::from(per_second.get()), next: Timestamp::EPOCH }
    }

    /// The same history under another rate.
    pub(crate) fn set_rate(&mut self, per_second: NonZeroU16) {
        self.spacing = Duration::from_secs(1) / u32::from(per_second.get());
    }

    /// When one more may go. What a clock said that was set back since does not count.
    pub(crate) fn ready_at(&mut self, now: Timestamp) -> Timestamp {
        if self.next > now.later(self.spacing + RATE_SLACK) {
            self.next = now;
        }
        self.next.earlier(RATE_SLACK)
    }

    /// One goes now.
    pub(crate) fn take(&mut self, now: Timestamp) {
        self.next = self.next.max(now).later(self.spacing);
    }

    /// Nothing is remembered that a fresh one would not know.
    pub(crate) fn is_idle(&self, now: Timestamp) -> bool {
        self.next <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_core::attempt::{Failure, Reply};

    fn replied(status: u16) -> Outcome {
        Outcome::Replied(Reply { status, headers: vec![], body: bytes::Bytes::new(), truncated: false })
    }

    #[test]
    fn a_hanging_endpoint_is_soon_down_to_one_attempt_at_a_time() {
        let timeout = Outcome::Failed(Failure { kind: FailureKind::Timeout, detail: String::new() });
        let mut concurrency = Concurrency::start();
        for _ in 0..3 {
            assert_eq!(concurrency.learn(&timeout, false), None);
        }
        assert_eq!(concurrency.limit(), 1);
        for _ in 0..CONCURRENCY_START {
            concurrency.learn(&replied(200), false);
        }
        assert!(concurrency.is_healthy(), "and trusted again after as many successes");
    }

    #[test]
    fn a_dead_endpoint_gets_longer_and_longer_rests_until_it_answers() {
        let refused = Outcome::Failed(Failure { kind: FailureKind::Connect, detail: String::new() });
        let mut concurrency = Concurrency::start();
        let mut rests = Vec::new();
        for _ in 0..11 {
            rests.extend(concurrency.learn(&refused, false).map(|rest| rest.as_millis()));
        }
        assert_eq!(rests, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(concurrency.learn(&refused, true), None, "those that began together count once");
        assert_eq!(concurrency.learn(&replied(500), false), None);
        assert_eq!(
            concurrency.learn(&refused, false),
            Some(REST_MIN),
            "an answer ends them, whatever it says"
        );
    }

    #[test]
    fn an_endpoint_that_says_no_quickly_is_not_slowed() {
        let mut concurrency = Concurrency::start();
        concurrency.learn(&replied(500), false);
        concurrency.learn(&replied(404), false);
        assert_eq!(concurrency.limit(), CONCURRENCY_START);
    }

    #[test]
    fn a_rate_limit_does_not_wait_for_a_clock_that_was_set_back() {
        let mut limit = RateLimit::new(NonZeroU16::MIN);
        let start = Timestamp::from_secs(1_700_000_000);
        limit.take(start);
        let set_back = start.earlier(Duration::from_hours(1));
        assert!(limit.ready_at(set_back) <= set_back);
        limit.take(set_back);
        assert!(limit.ready_at(set_back) > set_back, "and limits again");
    }

    #[test]
    fn a_rate_limit_lets_through_what_it_says_within_a_twentieth() {
        for per_second in [1_u16, 10, 100, 1_000] {
            let mut limit = RateLimit::new(NonZeroU16::new(per_second).unwrap());
            let start = Timestamp::from_secs(1_700_000_000);
            let (mut now, mut let_through) = (start, 0_u32);
            // A caller whose timer is a millisecond late each time.
            while now.since(start) < Duration::from_secs(20) {
                if limit.ready_at(now) <= now {
                    limit.take(now);
                    let_through += 1;
                } else {
                    now = limit.ready_at(now).later(Duration::from_millis(1));
                }
            }
            let expected = f64::from(per_second) * 20.0;
            let ratio = f64::from(let_through) / expected;
            assert!((0.95..=1.05).contains(&ratio), "{per_second}/s let {let_through} through in 20 s");
        }
    }
}
