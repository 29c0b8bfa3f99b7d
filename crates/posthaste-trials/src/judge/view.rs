//! The ledgers, indexed: each rule reads like the sentence it checks.

use std::collections::{BTreeMap, HashMap};

use super::ledgers::{
    Answer, EndpointFact, Fault, Got, Ledgers, Micros, StoredAttempt, StoredMessage, Told, What,
};

/// A message and an endpoint.
pub(super) type Pair<'a> = (&'a str, &'a str);

/// How long a database may be away before nodes take each other for dead, and records are given up: for less, each
/// knows again where it was.
const OUTAGE_MAX: Micros = 9_000_000;

/// Whether nodes may have lost leases by it that they would have kept otherwise.
pub(super) fn explains(fault: &Fault) -> bool {
    fault.what != What::Outage || fault.until - fault.from > OUTAGE_MAX
}

/// Lookups into ledgers.
pub(super) struct View<'a> {
    pub(super) ledgers: &'a Ledgers,
    pub(super) messages: HashMap<&'a str, &'a StoredMessage>,
    /// The requests that were answered with a message.
    pub(super) accepted: BTreeMap<&'a str, Vec<&'a Told>>,
    pub(super) endpoints: HashMap<&'a str, &'a EndpointFact>,
    /// By delivery, each in the order of time.
    pub(super) got: BTreeMap<Pair<'a>, Vec<&'a Got>>,
    pub(super) attempts: BTreeMap<Pair<'a>, Vec<&'a StoredAttempt>>,
}

impl<'a> View<'a> {
    pub(super) fn of(ledgers: &'a Ledgers) -> Self {
        let mut accepted: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
        for told in &ledgers.told {
            if let Answer::Accepted { message, .. } = &told.answer {
                accepted.entry(message).or_default().push(told);
            }
        }
        let mut got: BTreeMap<Pair<'_>, Vec<&Got>> = BTreeMap::new();
        for one in &ledgers.got {
            got.entry((&one.message, &one.endpoint)).or_default().push(one);
        }
        for all in got.values_mut() {
            all.sort_by_key(|one| one.at);
        }
        let mut attempts: BTreeMap<Pair<'_>, Vec<&StoredAttempt>> = BTreeMap::new();
        for one in &ledgers.store.attempts {
            attempts.entry((&one.message, &one.endpoint)).or_default().push(one);
        }
        for all in attempts.values_mut() {
            all.sort_by_key(|one| one.started_at);
        }
        Self {
            ledgers,
            messages: ledgers.store.messages.iter().map(|one| (&*one.id, one)).collect(),
            accepted,
            endpoints: ledgers.endpoints.iter().map(|one| (&*one.id, one)).collect(),
            got,
            attempts,
        }
    }

    /// Whether retention may have taken this message.
    pub(super) fn may_be_forgotten(&self, message: &str) -> bool {
        let Some(kept_since) = self.ledgers.kept_since else { return false };
        self.accepted.get(message).is_none_or(|told| told.iter().any(|one| one.asked_at < kept_since))
    }

    /// Faults that were on at some time from `from` to `until`, at this endpoint.
    pub(super) fn faults_between(
        &self,
        endpoint: &str,
        from: Micros,
        until: Micros,
    ) -> impl Iterator<Item = &'a Fault> {
        let about = endpoint.to_owned();
        self.ledgers.faults.iter().filter(|fault| explains(fault)).filter(move |fault| {
            let here = fault.endpoint.as_ref().is_none_or(|only| *only == about);
            here && fault.from <= until && fault.until >= from
        })
    }

    /// Whether the disk was failing at some time from `from` to `until`.
    pub(super) fn disk_failed(&self, from: Micros, until: Micros) -> bool {
        let overlaps = |fault: &Fault| fault.from <= until && fault.until >= from;
        self.ledgers.faults.iter().any(|fault| fault.what == What::Disk && overlaps(fault))
    }
}
