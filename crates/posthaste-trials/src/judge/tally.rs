//! The figures of a trial, for its one line.

use std::collections::BTreeSet;
use std::fmt;

use super::ledgers::{Ledgers, State, What};
use super::view::View;
use super::{Invariant, Violation};

/// What a trial comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Crashes among the faults.
    pub crashes: usize,
    /// Messages that were answered 2xx.
    pub acked: usize,
    /// Deliveries that ended with a 2xx.
    pub delivered: usize,
    /// Deliveries that were given up.
    pub dead: usize,
    /// 2xx beyond the first of a delivery.
    pub repeated: usize,
    /// Messages that were answered 2xx and are not there, or not whole.
    pub lost: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { crashes, acked, delivered, dead, repeated, lost } = self;
        write!(
            f,
            "kills={crashes} acked={acked} delivered={delivered} dead={dead} repeated={repeated} lost={lost}"
        )
    }
}

/// Counts. `violations`: what [`judge`](super::judge) found in the same ledgers.
pub fn tally(ledgers: &Ledgers, violations: &[Violation]) -> Tally {
    let view = View::of(ledgers);
    let in_state = |state: State| ledgers.store.deliveries.iter().filter(|one| one.state == state).count();
    let successes = view.got.values().map(|all| all.iter().filter(|one| one.is_success()).count());
    let lost: BTreeSet<&str> = violations
        .iter()
        .filter(|one| matches!(one.invariant, Invariant::I1 | Invariant::I8))
        .filter_map(|one| one.message.as_deref().filter(|message| view.accepted.contains_key(message)))
        .collect();
    Tally {
        crashes: ledgers.faults.iter().filter(|fault| fault.what == What::Crash).count(),
        acked: view.accepted.len(),
        delivered: in_state(State::Delivered),
        dead: in_state(State::Dead),
        repeated: successes.map(|count| count.saturating_sub(1)).sum(),
        lost: lost.len(),
    }
}
