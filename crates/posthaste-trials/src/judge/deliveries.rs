//! What is owed: it goes on, it ends, and it ends as it says (I2, I3, I4).

use super::ledgers::{Got, State, StoredDelivery, is_success};
use super::view::{Pair, View};
use super::{Findings, Invariant, Violation, found};

pub(super) fn nothing_is_stuck(view: &View<'_>, findings: &mut Findings) {
    for delivery in &view.ledgers.store.deliveries {
        let StoredDelivery { message, endpoint, state, due_at, lease_until, .. } = delivery;
        let (has_due, has_lease) = (due_at.is_some(), lease_until.is_some());
        let saw = match state {
            State::Waiting if !has_due => format!("waits for {endpoint} with no time to go on at"),
            State::InFlight if !has_lease => format!("is in flight to {endpoint} with no end of its lease"),
            State::Delivered | State::Dead if has_due || has_lease => {
                format!("ended at {endpoint} and is due or leased all the same")
            }
            State::Waiting | State::InFlight if view.ledgers.quiescent => {
                format!("is {state:?} to {endpoint} although everything is healed")
            }
            _ => continue,
        };
        found(findings, Invariant::I2, message, saw);
    }
    let jobs = view.ledgers.store.unfinished_jobs;
    if jobs > 0 && view.ledgers.quiescent {
        let saw = format!("{jobs} jobs are not finished although everything is healed");
        findings.push(Violation { invariant: Invariant::I2, message: None, saw });
    }
}

pub(super) fn ends_are_true(view: &View<'_>, findings: &mut Findings) {
    for delivery in &view.ledgers.store.deliveries {
        let StoredDelivery { message, endpoint, state, why, .. } = delivery;
        // Nobody kept a ledger at an endpoint that the trial did not make.
        if !view.endpoints.contains_key(&**endpoint) {
            continue;
        }
        let pair: Pair<'_> = (message, endpoint);
        let took = view.got.get(&pair).is_some_and(|all| all.iter().any(|one| one.is_success()));
        let rows = view.attempts.get(&pair);
        let recorded = rows.is_some_and(|all| all.iter().any(|one| is_success(one.status)));
        let saw = match state {
            State::Delivered if !took => format!("is delivered to {endpoint}, which answered no 2xx"),
            State::Delivered if !recorded => {
                format!("is delivered to {endpoint} without an attempt that says so")
            }
            State::Dead if why.as_ref().is_none_or(String::is_empty) => {
                format!("was given up at {endpoint} without a reason")
            }
            _ => continue,
        };
        found(findings, Invariant::I3, message, saw);
    }
}

/// Between two 2xx of one delivery there is a fault, and there are as many faults as there are repetitions.
pub(super) fn repetitions_are_explained(view: &View<'_>, findings: &mut Findings) {
    for ((message, endpoint), all) in &view.got {
        let took: Vec<&Got> = all.iter().copied().filter(|one| one.is_success()).collect();
        let [first, .., last] = took[..] else { continue };
        let unexplained = took
            .windows(2)
            .find(|two| view.faults_between(endpoint, two[0].at, two[1].at).next().is_none())
            .map(|two| two[1].at - two[0].at);
        if let Some(micros) = unexplained {
            let saw = format!("{endpoint} answered 2xx twice within {micros} µs and no fault lies between");
            found(findings, Invariant::I4, message, saw);
            continue;
        }
        let faults = view.faults_between(endpoint, first.at, last.at).count();
        if took.len() > 1 + faults {
            let saw = format!("{endpoint} answered 2xx {} times, and {faults} faults explain it", took.len());
            found(findings, Invariant::I4, message, saw);
        }
    }
}
