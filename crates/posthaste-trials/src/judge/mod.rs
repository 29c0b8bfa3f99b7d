//! The judge: compares the four ledgers and says what does not hold. It knows nothing of how they came about.

mod accepted;
mod attempts;
mod counts;
mod database;
mod deliveries;
mod fence;
mod identity;
mod ledgers;
mod store;
mod tally;
mod view;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use database::dump_database;
pub(crate) use database::id;
pub use ledgers::{
    Answer, Counted, Dump, EndpointFact, Fault, ForbiddenChange, Got, Ledgers, Micros, State, StoredAttempt,
    StoredCounts, StoredDelivery, StoredKey, StoredMessage, Told, What, hash,
};
pub use store::{DumpError, dump};
pub use tally::{Tally, tally};
use view::View;

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Invariant {
    /// No acknowledged loss: a message answered 2xx is stored, with a delivery to every endpoint that wanted it.
    I1,
    /// Nothing is stuck: what is open has an instant at which it goes on, and once all is healed nothing is open.
    I2,
    /// What ended ended as it says: delivered with a 2xx that the receiver knows of, or given up with a reason.
    I3,
    /// No second 2xx for one delivery without a fault between the two that explains it.
    I4,
    /// The attempts are honest: what was received has a row, what has a row with a status was received.
    I5,
    /// Identity: every attempt carries the id and the bytes that were accepted, with a signature that verifies.
    I6,
    /// One idempotency key is one message, with one answer.
    I7,
    /// No false success: what was answered 2xx is what is in the store, also while the disk fails.
    I8,
    /// Nobody changes a delivery whose lease another one has, or that is over.
    I11,
    /// Counts over time are honest: each thing that is stored was counted, once.
    I12,
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// What should.
    pub invariant: Invariant,
    /// Of which message, where it is about one.
    pub message: Option<String>,
    /// What was seen, in one sentence.
    pub saw: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.as_deref().unwrap_or("-");
        write!(f, "{:?} {message}: {}", self.invariant, self.saw)
    }
}

/// What the rules add to.
type Findings = Vec<Violation>;

fn found(findings: &mut Findings, invariant: Invariant, message: &str, saw: String) {
    findings.push(Violation { invariant, message: Some(message.to_owned()), saw });
}

/// Every invariant that does not hold, and by what. Empty: the trial is passed.
pub fn judge(ledgers: &Ledgers) -> Vec<Violation> {
    let view = View::of(ledgers);
    let mut findings = Findings::new();
    accepted::no_acknowledged_loss(&view, &mut findings);
    accepted::one_message_a_key(&view, &mut findings);
    deliveries::nothing_is_stuck(&view, &mut findings);
    deliveries::ends_are_true(&view, &mut findings);
    deliveries::repetitions_are_explained(&view, &mut findings);
    attempts::attempts_are_honest(&view, &mut findings);
    fence::nobody_writes_without_a_lease(&view, &mut findings);
    counts::counts_are_honest(&view, &mut findings);
    identity::what_arrives_is_what_was_accepted(&view, &mut findings);
    findings.sort_by(|a, b| (a.invariant, &a.message).cmp(&(b.invariant, &b.message)));
    findings
}
