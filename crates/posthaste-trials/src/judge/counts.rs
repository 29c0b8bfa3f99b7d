//! Counts over time against what they are of (I12).

use super::ledgers::{State, StoredCounts, What};
use super::view::{View, explains};
use super::{Findings, Invariant, Violation};

/// They are written in the transaction of what they count: there is one for each, whoever died.
pub(super) fn counts_are_honest(view: &View<'_>, findings: &mut Findings) {
    let store = &view.ledgers.store;
    let Some(counted) = store.counted else { return };
    let mut wrong = |saw| findings.push(Violation { invariant: Invariant::I12, message: None, saw });
    let all = counted.environments;
    if counted.apps != all {
        wrong(format!("apps together have {:?}, their environments {all:?}", counted.apps));
    }
    let endpoints = StoredCounts { accepted: all.accepted, ..counted.endpoints };
    if endpoints != all {
        wrong(format!("endpoints together have {endpoints:?}, their environments {all:?}"));
    }
    // What retention took is counted for a year.
    if view.ledgers.kept_since.is_some() {
        return;
    }
    let in_state = |state| store.deliveries.iter().filter(|one| one.state == state).count() as u64;
    let again = store.deliveries.iter().any(|one| one.manual);
    // An attempt whose lease was lost meanwhile is kept, and not counted.
    let leases_lost = |fault: &What| matches!(fault, What::Pause | What::Clock | What::Disk | What::Outage);
    let unfenced = !view.ledgers.faults.iter().any(|fault| leases_lost(&fault.what) && explains(fault));
    let at_most = |counted, stored| if unfenced { counted == stored } else { counted <= stored };
    // What was put back can end again.
    let at_least = |counted, stored| if again { counted >= stored } else { counted == stored };
    let (messages, attempts) = (store.messages.len() as u64, store.attempts.len() as u64);
    let (delivered, dead) = (in_state(State::Delivered), in_state(State::Dead));
    let rows = [
        ("messages accepted", all.accepted, messages, all.accepted == messages),
        ("deliveries delivered", all.delivered, delivered, at_least(all.delivered, delivered)),
        ("deliveries given up", all.dead, dead, at_least(all.dead, dead)),
        ("attempts", all.attempts, attempts, at_most(all.attempts, attempts)),
    ];
    for (what, counted, stored, _) in rows.into_iter().filter(|(.., holds)| !holds) {
        wrong(format!("{counted} {what} are counted and {stored} are there"));
    }
}
