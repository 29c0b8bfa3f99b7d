//! The attempts in the store against the receivers' ledger, both ways (I5).

use std::collections::HashMap;

use super::ledgers::{Fault, Got, Micros, StoredAttempt, What};
use super::view::{Pair, View, explains};
use super::{Findings, Invariant, Violation, found};

const MICROS_PER_SECOND: Micros = 1_000_000;

pub(super) fn attempts_are_honest(view: &View<'_>, findings: &mut Findings) {
    let mut without_row: Vec<(Pair<'_>, &Got)> = Vec::new();
    for (pair, got) in &view.got {
        let rows = view.attempts.get(pair).map(Vec::as_slice).unwrap_or_default();
        let unmatched = unmatched(got, rows);
        without_row.extend(unmatched.got.into_iter().map(|one| (*pair, one)));
        for row in unmatched.claims {
            claims_too_much(row, findings);
        }
    }
    let nobody_got = view.attempts.iter().filter(|(pair, _)| !view.got.contains_key(*pair));
    for row in nobody_got.flat_map(|(_, rows)| rows).filter(|row| row.status > 0) {
        if view.endpoints.contains_key(&*row.endpoint) {
            claims_too_much(row, findings);
        }
    }
    crashes_explain(view, without_row, findings);
    counts_agree(view, findings);
}

fn claims_too_much(row: &StoredAttempt, findings: &mut Findings) {
    let saw =
        format!("attempt {} says that {} answered {}, and it did not", row.id, row.endpoint, row.status);
    found(findings, Invariant::I5, &row.message, saw);
}

struct Unmatched<'a> {
    /// Received, and no row.
    got: Vec<&'a Got>,
    /// A row with a status, and not received.
    claims: Vec<&'a StoredAttempt>,
}

/// Pairs what was received with the rows of one delivery. An attempt's timestamp is the second in which it began, and
/// one ends before the next begins: from the last row backwards, each has the first request that came after it began.
fn unmatched<'a>(got: &[&'a Got], rows: &[&'a StoredAttempt]) -> Unmatched<'a> {
    let mut got: Vec<&Got> = got.to_vec();
    let mut claims = Vec::new();
    for row in rows.iter().rev() {
        let began = row.started_at;
        // A row without a status is of a request that may have arrived, and whose answer was lost.
        let own = got.iter().position(|one| {
            one.at >= began
                && one.timestamp == began.div_euclid(MICROS_PER_SECOND)
                && (row.status == 0 || one.status == Some(row.status))
        });
        match own {
            Some(at) => drop(got.remove(at)),
            None if row.status > 0 => claims.push(*row),
            None => {}
        }
    }
    Unmatched { got, claims }
}

/// What was received and has no row was under way when the process died: once a delivery, and once a worker slot.
fn crashes_explain(view: &View<'_>, without_row: Vec<(Pair<'_>, &Got)>, findings: &mut Findings) {
    let mut deaths: Vec<&Fault> = view.ledgers.faults.iter().filter(|fault| loses_attempts(fault)).collect();
    deaths.sort_by_key(|fault| fault.until);
    let mut per_death: HashMap<Micros, u32> = HashMap::new();
    let mut per_delivery: HashMap<(Pair<'_>, Micros), (u32, Micros)> = HashMap::new();
    for (pair @ (message, endpoint), one) in without_row {
        if view.may_be_forgotten(message) && !view.messages.contains_key(message) {
            continue;
        }
        let Some(death) = deaths.iter().find(|death| death.until >= one.at) else {
            let saw = format!("{endpoint} got it and there is no attempt, nor a crash afterwards");
            found(findings, Invariant::I5, message, saw);
            continue;
        };
        *per_death.entry(death.until).or_default() += 1;
        let (count, first) = per_delivery.entry((pair, death.until)).or_insert((0, one.at));
        *count += 1;
        // Who stood still for longer than its lease had not written its own down when another tried again.
        let pauses = view.faults_between(endpoint, *first, one.at).filter(|fault| fault.what == What::Pause);
        if *count as usize > 1 + pauses.count() {
            let saw = format!("{endpoint} got it {count} times without an attempt before the same crash");
            found(findings, Invariant::I5, message, saw);
        }
    }
    for (_, count) in per_death.into_iter().filter(|(_, count)| *count > view.ledgers.worker_slots) {
        let slots = view.ledgers.worker_slots;
        let saw =
            format!("{count} requests have no attempt before one crash, and there are {slots} worker slots");
        findings.push(Violation { invariant: Invariant::I5, message: None, saw });
    }
}

fn loses_attempts(fault: &Fault) -> bool {
    matches!(fault.what, What::Crash | What::Panic | What::Disk | What::Pause | What::Outage)
        && explains(fault)
}

/// Attempt and state are one transaction: the delivery has counted as many as there are rows. One that was put back
/// counts anew, and a process that stood still for longer than its lease adds a row that does not count.
fn counts_agree(view: &View<'_>, findings: &mut Findings) {
    let loses_leases =
        |fault: &&Fault| matches!(fault.what, What::Pause | What::Clock | What::Disk | What::Outage);
    let unfenced = !view.ledgers.faults.iter().filter(loses_leases).any(explains);
    for delivery in &view.ledgers.store.deliveries {
        let pair: Pair<'_> = (&delivery.message, &delivery.endpoint);
        let rows = view.attempts.get(&pair).map_or(0, Vec::len);
        let counted = delivery.attempts as usize;
        if rows < counted || (rows > counted && unfenced && !delivery.manual) {
            let saw = format!("{counted} attempts are counted at {} and {rows} are there", delivery.endpoint);
            found(findings, Invariant::I5, &delivery.message, saw);
        }
    }
}
