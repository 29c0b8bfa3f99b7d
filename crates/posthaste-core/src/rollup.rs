//! Counts over time: what charts and numbers on pages are made of. They are written in the transaction of what they count,
//! so that no page ever counts rows.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::attempt::{Attempt, Outcome};
use crate::delivery::Verdict;
use crate::id::{AppId, EndpointId};
use crate::limits::{ROLLUP_DAYS_KEPT, ROLLUP_HOURS_KEPT, ROLLUP_MINUTES_KEPT};
use crate::tenant::EnvironmentId;
use crate::time::Timestamp;

/// Upper bounds of the classes that attempts are counted in by how long they took, in milliseconds; the last class is of
/// those that took longer still.
pub const TOOK_MS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000];
/// Classes of durations.
pub const TOOK_CLASSES: usize = TOOK_MS.len() + 1;

/// What is counted, of some thing in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages accepted. Not counted by endpoint.
    pub accepted: u64,
    /// Deliveries that ended well.
    pub delivered: u64,
    /// Deliveries that ended undelivered.
    pub dead: u64,
    /// Attempts answered with 2xx.
    pub succeeded: u64,
    /// Attempts answered with anything else.
    pub refused: u64,
    /// Attempts without an answer.
    pub unanswered: u64,
    /// Attempts, by the classes of [`TOOK_MS`].
    pub took: [u64; TOOK_CLASSES],
}

impl Counts {
    /// One message that was accepted.
    pub fn of_accepted() -> Self {
        Self { accepted: 1, ..Self::default() }
    }

    /// What came of a delivery that somebody acted on, as it is recorded.
    pub fn of_record(attempt: Option<&Attempt>, verdict: Verdict) -> Self {
        let mut counts = Self::default();
        match verdict {
            Verdict::Delivered => counts.delivered = 1,
            Verdict::GiveUp(_) => counts.dead = 1,
            Verdict::RetryAt(_) => {}
        }
        let Some(attempt) = attempt else { return counts };
        match &attempt.outcome {
            outcome if outcome.is_success() => counts.succeeded = 1,
            Outcome::Replied(_) => counts.refused = 1,
            Outcome::Failed(_) => counts.unanswered = 1,
        }
        counts.note_took(attempt.timing.total);
        counts
    }

    /// Attempts of all outcomes.
    pub fn attempts(&self) -> u64 {
        self.succeeded + self.refused + self.unanswered
    }

    /// Attempts that failed.
    pub fn failed(&self) -> u64 {
        self.refused + self.unanswered
    }

    /// Counts one more attempt of this duration, among the classes alone.
    pub fn note_took(&mut self, took: Duration) {
        self.took[class_of(took)] += 1;
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.dead += other.dead;
        self.succeeded += other.succeeded;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        for (own, others) in self.took.iter_mut().zip(other.took) {
            *own += others;
        }
    }

    /// How long `share` of the attempts took at most (0.95: 95 of 100), as exactly as the classes tell: within one, durations
    /// count as spread evenly. None without attempts. Beyond the last bound it is that bound.
    pub fn took_at_most(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.took.iter().sum();
        if all == 0 {
            return None;
        }
        let wanted = as_f64(all) * share.clamp(0.0, 1.0);
        let (mut below, mut lower) = (0_u64, 0_u64);
        for (count, upper) in self.took.iter().zip(TOOK_MS) {
            if *count > 0 && as_f64(below + count) >= wanted {
                let part = ((wanted - as_f64(below)) / as_f64(*count)).clamp(0.0, 1.0);
                return Some(Duration::from_secs_f64(
                    (as_f64(lower) + part * as_f64(upper - lower)) / 1_000.0,
                ));
            }
            below += count;
            lower = upper;
        }
        Some(Duration::from_millis(lower))
    }
}

/// Which class a duration belongs to.
pub fn class_of(took: Duration) -> usize {
    TOOK_MS.iter().position(|bound| took <= Duration::from_millis(*bound)).unwrap_or(TOOK_MS.len())
}

/// Exact below 2^53, which nobody counts to.
#[expect(clippy::cast_precision_loss, reason = "a share of a count needs no more")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// Of what something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All apps of the environment; those of sources and of operational webhooks too.
    Environment,
    /// One app.
    App(AppId),
    /// One endpoint.
    Endpoint(EndpointId),
}

/// Counts of a stretch of time that begins at `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// When it begins.
    pub start: Timestamp,
    /// What was counted.
    pub counts: Counts,
}

/// How finely counts are kept: the older they are, the coarser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fineness {
    /// As they are written.
    Minute,
    /// Minutes that are some hours old.
    Hour,
    /// Hours that are some days old.
    Day,
}

impl Fineness {
    /// All of them, the finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// How long a stretch of it is.
    pub const fn lasts(self) -> Duration {
        match self {
            Self::Minute => Duration::from_mins(1),
            Self::Hour => Duration::from_hours(1),
            Self::Day => Duration::from_hours(24),
        }
    }

    /// When the stretch began that an instant lies in.
    pub fn start_of(self, at: Timestamp) -> Timestamp {
        let micros = i64::try_from(self.lasts().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(at.as_micros().div_euclid(micros) * micros)
    }

    /// What its stretches become once they are old; `None`: they are removed.
    pub const fn coarser(self) -> Option<Self> {
        match self {
            Self::Minute => Some(Self::Hour),
            Self::Hour => Some(Self::Day),
            Self::Day => None,
        }
    }

    /// Stretches that began before this are old. It lies where a coarser one begins, so that what becomes one is whole.
    pub fn edge(self, now: Timestamp) -> Timestamp {
        let kept = match self {
            Self::Minute => ROLLUP_MINUTES_KEPT,
            Self::Hour => ROLLUP_HOURS_KEPT,
            Self::Day => ROLLUP_DAYS_KEPT,
        };
        self.coarser().unwrap_or(self).start_of(now.earlier(kept))
    }
}

/// What a row of counts is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// When its stretch begins.
    pub start: Timestamp,
    /// Whose it is.
    pub environment: EnvironmentId,
    /// Of what.
    pub scope: Scope,
}

/// Counts that are about to be written, those of one line added together; in the order in which all write them, so that
/// nobody waits for somebody who waits.
#[derive(Debug, Default)]
pub struct Sums(BTreeMap<Line, Counts>);

impl Sums {
    /// A message was accepted for an app.
    pub fn accepted(&mut self, environment: EnvironmentId, app: AppId, now: Timestamp) {
        let start = Fineness::Minute.start_of(now);
        for scope in [Scope::Environment, Scope::App(app)] {
            self.add(Line { start, environment, scope }, &Counts::of_accepted());
        }
    }

    /// Something was recorded of a delivery of an app to an endpoint.
    pub fn recorded(
        &mut self,
        environment: EnvironmentId,
        (app, endpoint): (AppId, EndpointId),
        counts: &Counts,
        now: Timestamp,
    ) {
        let start = Fineness::Minute.start_of(now);
        for scope in [Scope::Environment, Scope::App(app), Scope::Endpoint(endpoint)] {
            self.add(Line { start, environment, scope }, counts);
        }
    }

    /// Adds to a line.
    pub fn add(&mut self, line: Line, counts: &Counts) {
        self.0.entry(line).or_default().add(counts);
    }

    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All lines, in their order.
    pub fn lines(&self) -> impl Iterator<Item = (&Line, &Counts)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{Failure, FailureKind, Reply, Timing, Trigger};
    use crate::delivery::DeadLetter;
    use crate::dice::TestDice;
    use crate::id::{AttemptId, MessageId};
    use bytes::Bytes;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("an instant")
    }

    fn attempt(outcome: Outcome) -> Attempt {
        let dice = TestDice::seeded(1);
        Attempt {
            id: AttemptId::MIN,
            message: MessageId::fresh(Timestamp::EPOCH, &dice),
            endpoint: EndpointId::MIN,
            url: "https://receiver.example.com/".to_owned(),
            trigger: Trigger::Scheduled,
            started_at: Timestamp::EPOCH,
            timing: Timing { total: Duration::from_millis(12), ..Timing::default() },
            remote: None,
            outcome,
        }
    }

    fn replied(status: u16) -> Outcome {
        Outcome::Replied(Reply { status, headers: vec![], body: Bytes::new(), truncated: false })
    }

    #[test]
    fn a_record_counts_its_attempt_and_how_the_delivery_ended() {
        let unanswered = Outcome::Failed(Failure { kind: FailureKind::Timeout, detail: String::new() });
        let retry = Verdict::RetryAt(Timestamp::EPOCH);
        let gave_up = Verdict::GiveUp(DeadLetter::EndpointDisabled);
        let cases = [
            (Some(replied(204)), Verdict::Delivered, (1, 0), [1, 0, 0]),
            (Some(replied(302)), retry, (0, 0), [0, 1, 0]),
            (Some(unanswered), retry, (0, 0), [0, 0, 1]),
            (Some(replied(410)), Verdict::GiveUp(DeadLetter::Gone), (0, 1), [0, 1, 0]),
            (None, gave_up, (0, 1), [0, 0, 0]),
        ];
        for (outcome, verdict, ended, attempts) in cases {
            let tried = outcome.map(attempt);
            let counts = Counts::of_record(tried.as_ref(), verdict);
            assert_eq!((counts.delivered, counts.dead), ended, "{verdict:?}");
            assert_eq!([counts.succeeded, counts.refused, counts.unanswered], attempts, "{verdict:?}");
            assert_eq!(counts.took.iter().sum::<u64>(), counts.attempts(), "each attempt has a class");
        }
    }

    #[test]
    fn what_is_old_is_whole_when_it_becomes_coarser() {
        let now = at("2026-11-21T14:59:59Z");
        assert_eq!(Fineness::Minute.edge(now), at("2026-11-21T11:00:00Z"));
        assert_eq!(Fineness::Hour.edge(now), at("2026-11-13T00:00:00Z"));
        assert_eq!(Fineness::Day.edge(now), at("2025-10-17T00:00:00Z"));
        assert_eq!(Fineness::Minute.start_of(now), at("2026-11-21T14:59:00Z"));
        let before_1970 = Timestamp::from_micros(-1);
        assert_eq!(Fineness::Hour.start_of(before_1970), Timestamp::from_secs(-3_600));
    }

    #[test]
    fn what_is_counted_in_one_minute_of_one_thing_is_one_line() {
        let dice = TestDice::seeded(1);
        let now = at("2026-11-21T14:59:59Z");
        let app = AppId::fresh(now, &dice);
        let endpoints = [EndpointId::fresh(now, &dice), EndpointId::fresh(now, &dice)];
        let mut sums = Sums::default();
        assert!(sums.is_empty());
        for minute in [now, now, now.later(Duration::from_secs(1))] {
            sums.accepted(EnvironmentId(1), app, minute);
        }
        for endpoint in endpoints {
            let delivered = Counts::of_record(Some(&attempt(replied(200))), Verdict::Delivered);
            sums.recorded(EnvironmentId(1), (app, endpoint), &delivered, now);
        }
        let scopes: Vec<_> =
            sums.lines().map(|(line, counts)| (line.scope, counts.accepted, counts.delivered)).collect();
        let mut expected = vec![(Scope::Environment, 2, 2), (Scope::App(app), 2, 2)];
        let mut sorted = endpoints;
        sorted.sort_unstable();
        expected.extend(sorted.map(|endpoint| (Scope::Endpoint(endpoint), 0, 1)));
        expected.extend([(Scope::Environment, 1, 0), (Scope::App(app), 1, 0)]);
        assert_eq!(scopes, expected);
        assert_eq!(sums.len(), 6);
    }

    fn of(took_ms: &[u64]) -> Counts {
        let mut counts = Counts::default();
        for ms in took_ms {
            counts.note_took(Duration::from_millis(*ms));
        }
        counts
    }

    #[test]
    fn a_duration_belongs_to_the_first_class_whose_bound_it_keeps() {
        assert_eq!(class_of(Duration::ZERO), 0);
        assert_eq!(class_of(Duration::from_millis(1)), 0);
        assert_eq!(class_of(Duration::from_micros(1_001)), 1);
        assert_eq!(class_of(Duration::from_secs(20)), TOOK_MS.len() - 1);
        assert_eq!(class_of(Duration::from_mins(1)), TOOK_MS.len());
    }

    #[test]
    fn how_long_most_took_is_told_within_a_class() {
        assert_eq!(Counts::default().took_at_most(0.5), None);
        let counts = of(&[15; 90]);
        assert_eq!(counts.took_at_most(0.5), Some(Duration::from_millis(15)), "half way from 10 to 20");
        let mut mixed = counts;
        mixed.add(&of(&[30_000; 10]));
        assert_eq!(mixed.took_at_most(0.99), Some(Duration::from_secs(20)), "as long as the classes go");
        assert_eq!(mixed.took_at_most(0.9), Some(Duration::from_millis(20)));
        assert_eq!(mixed.took.iter().sum::<u64>(), 100);
    }
}
