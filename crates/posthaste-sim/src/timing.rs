//! What the four ledgers do not show: who held a lease when a record moved a delivery (I11), and when attempts come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use posthaste_core::attempt::Outcome;
use posthaste_core::delivery::{Claimed, DeliveryKey, Verdict};
use posthaste_core::id::EndpointId;
use posthaste_core::limits::RETRY_AFTER_MAX;
use posthaste_core::retry::RetrySchedule;
use posthaste_core::time::Timestamp;
use posthaste_store::queue::{Record, Recorded};

/// The least that a wait may be, of its step.
const SOONEST: f64 = 0.8;
/// The most, unless the receiver asked for more.
const LATEST: f64 = 1.2;
/// What rounding may cost.
const SLACK: Duration = Duration::from_millis(1);
/// Waits from which on their spread says something.
const WAITS_MIN: usize = 16;
/// The least spread of so many waits, of their step: chance would have to be very kind to go below it.
const SPREAD_MIN: f64 = 0.08;

struct Held {
    token: i64,
    attempts_made: u32,
}

/// When a delivery may be tried again.
struct Earliest {
    due: Timestamp,
    steady: Timestamp,
    jumps: u32,
}

/// The simulation's own ledger.
pub(crate) struct Timing {
    schedule: RetrySchedule,
    holders: BTreeMap<DeliveryKey, Held>,
    earliest: BTreeMap<DeliveryKey, Earliest>,
    /// Waits without a wish of the receiver, of their step.
    waits: Vec<f64>,
    /// When something waits for, by the wall clock.
    dues: BTreeSet<Timestamp>,
    jumps: u32,
    /// A node that stood still sends what another has tried meanwhile: attempts come at any time.
    zombies: bool,
    findings: Vec<String>,
}

impl Timing {
    pub(crate) fn of(schedule: RetrySchedule, zombies: bool) -> Self {
        Self {
            schedule,
            zombies,
            holders: BTreeMap::new(),
            earliest: BTreeMap::new(),
            waits: Vec::new(),
            dues: BTreeSet::new(),
            jumps: 0,
            findings: Vec::new(),
        }
    }

    fn found(&mut self, saw: String) {
        self.findings.push(saw);
    }

    pub(crate) fn claimed(&mut self, claimed: &[Claimed]) {
        for one in claimed {
            let held = Held { token: one.lease.token, attempts_made: one.attempts_made };
            self.holders.insert(one.key(), held);
        }
    }

    /// A record was answered. `now`: when the verdict was given.
    pub(crate) fn recorded(&mut self, record: &Record, recorded: Recorded, now: Timestamp) {
        if !recorded.fenced {
            return;
        }
        let Some(held) = self.holders.remove(&record.key) else { return };
        if held.token != record.lease.token {
            let key = &record.key;
            self.found(format!("I11 {}: a record moved it after its lease had gone to another", key.message));
        }
        if let (Verdict::RetryAt(due), Some(attempt)) = (record.verdict, &record.attempt) {
            self.retry_is_bounded(record, &attempt.outcome, held.attempts_made, due, now);
        }
    }

    fn retry_is_bounded(
        &mut self,
        record: &Record,
        outcome: &Outcome,
        attempts_made: u32,
        due: Timestamp,
        now: Timestamp,
    ) {
        let message = record.key.message;
        let index = usize::try_from(attempts_made).unwrap_or(usize::MAX);
        let Some(step) = self.schedule.waits().get(index).copied() else {
            return self.found(format!("timing {message}: a retry beyond the schedule"));
        };
        let wait = due.since(now);
        let asks = matches!(outcome, Outcome::Replied(reply) if reply.header("retry-after").is_some());
        let latest = step.mul_f64(LATEST).max(if asks { RETRY_AFTER_MAX } else { Duration::ZERO });
        if wait + SLACK < step.mul_f64(SOONEST) {
            self.found(format!("timing {message}: a retry after {wait:?}, sooner than its step of {step:?}"));
        }
        if wait > latest + SLACK {
            self.found(format!("timing {message}: a retry after {wait:?}, later than {latest:?}"));
        }
        if !asks {
            self.waits.push(wait.as_secs_f64() / step.as_secs_f64());
        }
        self.dues.insert(due);
    }

    /// A retry was written down, which was decided at the instant `steady` of the steady clock.
    pub(crate) fn waits(&mut self, record: &Record, recorded: Recorded, steady: Timestamp) {
        if let (Verdict::RetryAt(due), true) = (record.verdict, recorded.fenced) {
            self.earliest.insert(record.key, Earliest { due, steady, jumps: self.jumps });
        }
    }

    /// An attempt begins.
    pub(crate) fn attempted(&mut self, key: DeliveryKey, wall: Timestamp, steady: Timestamp) {
        let Some(earliest) = self.earliest.remove(&key).filter(|_| !self.zombies) else { return };
        let message = key.message;
        // What was claimed before the clock was set back is sent by the new time.
        if wall < earliest.due && earliest.jumps == self.jumps {
            let early = earliest.due.since(wall);
            self.found(format!("timing {message}: tried {early:?} before it was due"));
        }
        let least = self.schedule.waits().iter().min().copied().unwrap_or_default().mul_f64(SOONEST);
        let waited = steady.since(earliest.steady);
        if earliest.jumps == self.jumps && waited + SLACK < least {
            self.found(format!("timing {message}: tried twice within {waited:?}"));
        }
    }

    /// Somebody asks for this to be sent again, at once.
    pub(crate) fn put_back(&mut self, put_back: impl Fn(&DeliveryKey) -> bool) {
        self.earliest.retain(|key, _| !put_back(key));
    }

    /// Everything of this endpoint may be sent again, at once.
    pub(crate) fn recovers(&mut self, endpoint: EndpointId) {
        self.put_back(|key| key.endpoint == endpoint);
    }

    /// What the process knew is gone.
    pub(crate) fn crashed(&mut self) {
        self.holders.clear();
    }

    pub(crate) fn jumped(&mut self) {
        self.jumps += 1;
    }

    pub(crate) fn due_at(&mut self, at: Timestamp) {
        self.dues.insert(at);
    }

    /// The first instant after `wall` at which something is due.
    pub(crate) fn next_due(&mut self, wall: Timestamp) -> Option<Timestamp> {
        self.dues.range(wall.later(Duration::from_micros(1))..).next().copied()
    }

    /// What did not hold.
    pub(crate) fn findings(&self) -> Vec<String> {
        let mut findings = self.findings.clone();
        let most = self.waits.iter().copied().fold(f64::MIN, f64::max);
        let least = self.waits.iter().copied().fold(f64::MAX, f64::min);
        if self.waits.len() >= WAITS_MIN && most - least < SPREAD_MIN {
            let count = self.waits.len();
            findings
                .push(format!("timing: {count} waits lie between {least:.3} and {most:.3} of their step"));
        }
        findings
    }
}
