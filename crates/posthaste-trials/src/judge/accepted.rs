//! What was answered 2xx: it is there, whole, once, and as it was told (I1, I7, I8).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::ledgers::{Answer, EndpointFact, Micros, StoredMessage, Told};
use super::view::View;
use super::{Findings, Invariant, found};

/// The one status below 500 after which the same request is sent again.
const TOO_MANY: u16 = 429;

pub(super) fn no_acknowledged_loss(view: &View<'_>, findings: &mut Findings) {
    for (message, told) in &view.accepted {
        match view.messages.get(message) {
            Some(stored) => told.iter().for_each(|told| is_as_told(stored, told, findings)),
            None if view.may_be_forgotten(message) => {}
            None => lost(view, message, told[0], findings),
        }
    }
    let mut owed: HashMap<&str, HashSet<&str>> = HashMap::new();
    for delivery in &view.ledgers.store.deliveries {
        owed.entry(&delivery.message).or_default().insert(&delivery.endpoint);
        if !view.messages.contains_key(&*delivery.message) {
            let saw = format!("a delivery to {} is owed of a message that is not stored", delivery.endpoint);
            found(findings, Invariant::I1, &delivery.message, saw);
        }
    }
    let mut by_app: HashMap<&str, Vec<&EndpointFact>> = HashMap::new();
    for endpoint in &view.ledgers.endpoints {
        by_app.entry(&endpoint.app).or_default().push(endpoint);
    }
    let nobody = HashSet::new();
    for message in &view.ledgers.store.messages {
        let endpoints = by_app.get(&*message.app).map(Vec::as_slice).unwrap_or_default();
        let owed = owed.get(&*message.id).unwrap_or(&nobody);
        is_owed_to_all(view, message, endpoints, owed, findings);
    }
}

/// A loss if it was there once, as far as anybody can tell; a false success if the disk was failing when it was told.
fn lost(view: &View<'_>, message: &str, told: &Told, findings: &mut Findings) {
    let number = told.request;
    let arrived = view.got.range((message, "")..).take_while(|((of, _), _)| *of == message).count();
    let saw = format!(
        "request {number} was answered 2xx and the message is not in the store; it arrived at {arrived} endpoints"
    );
    let failing = view.disk_failed(told.asked_at, told.answered_at);
    found(findings, if failing { Invariant::I8 } else { Invariant::I1 }, message, saw);
}

fn is_as_told(stored: &StoredMessage, told: &Told, findings: &mut Findings) {
    let body_differs = stored.body_hash.as_ref().is_some_and(|hash| *hash != told.body_hash);
    let type_differs = told.event_type.as_ref().is_some_and(|name| *name != stored.event_type);
    let differs = [
        ("app", stored.app != told.app),
        ("payload", body_differs),
        ("event type", type_differs),
        ("event id", stored.event_id != told.event_id),
    ];
    for (what, _) in differs.iter().filter(|(_, differs)| *differs) {
        let saw = format!("request {} was answered 2xx and another {what} is stored", told.request);
        found(findings, Invariant::I8, &stored.id, saw);
    }
}

/// Every endpoint that was surely there and wanted it is owed it, and nobody who surely did not want it is.
fn is_owed_to_all(
    view: &View<'_>,
    message: &StoredMessage,
    endpoints: &[&EndpointFact],
    owed: &HashSet<&str>,
    findings: &mut Findings,
) {
    let (from, until) = when_accepted(view, message);
    for endpoint in endpoints {
        let there = endpoint.alive_from <= from && endpoint.alive_until.is_none_or(|end| end >= until);
        let wants = endpoint.wants(&message.event_type);
        if wants && there && !owed.contains(&*endpoint.id) {
            let saw = format!(
                "no delivery to {}, which wanted {} and was there ({} of its deliveries are)",
                endpoint.id,
                message.event_type,
                owed.len()
            );
            found(findings, Invariant::I1, &message.id, saw);
        }
        if !wants && there && owed.contains(&*endpoint.id) {
            let saw = format!("a delivery to {}, which does not want {}", endpoint.id, message.event_type);
            found(findings, Invariant::I1, &message.id, saw);
        }
    }
}

/// The earliest and the latest instant at which its endpoints may have been looked up.
fn when_accepted(view: &View<'_>, message: &StoredMessage) -> (Micros, Micros) {
    let Some(told) = view.accepted.get(&*message.id) else { return (message.created_at, message.created_at) };
    let from = told.iter().map(|one| one.asked_at).min().unwrap_or(message.created_at);
    let until = told.iter().map(|one| one.answered_at).min().unwrap_or(message.created_at);
    (from.min(message.created_at), until.max(message.created_at))
}

pub(super) fn one_message_a_key(view: &View<'_>, findings: &mut Findings) {
    let mut by_key: BTreeMap<(&str, &str), Vec<&Told>> = BTreeMap::new();
    let mut keys_of_body: HashMap<(&str, &str), BTreeSet<Option<&str>>> = HashMap::new();
    for told in &view.ledgers.told {
        if let Some(key) = &told.key {
            by_key.entry((&told.app, key)).or_default().push(told);
        }
        keys_of_body.entry((&told.app, &told.body_hash)).or_default().insert(told.key.as_deref());
    }
    for ((_, key), told) in &by_key {
        answers_agree(key, told, findings);
    }
    refused_is_not_stored(view, &by_key, findings);
    // Also what nobody was told of: a repetition that was taken for something new, its first answer lost.
    let mut stored: BTreeMap<(&str, &str), Vec<&StoredMessage>> = BTreeMap::new();
    for message in &view.ledgers.store.messages {
        if let Some(body) = &message.body_hash {
            stored.entry((&message.app, body)).or_default().push(message);
        }
    }
    for (of, messages) in stored.iter().filter(|(_, messages)| messages.len() > 1) {
        // A body that was sent under two keys, or without one, says nothing.
        let Some(keys) = keys_of_body.get(of) else { continue };
        if let [Some(key)] = keys.iter().copied().collect::<Vec<_>>()[..] {
            let saw = format!("{} messages are stored of the one key {key}", messages.len());
            found(findings, Invariant::I7, &messages[1].id, saw);
        }
    }
    for key in &view.ledgers.store.keys {
        if !view.messages.contains_key(&*key.message) && view.ledgers.kept_since.is_none() {
            let saw = "a stored key answers with this message, which is not stored".to_owned();
            found(findings, Invariant::I7, &key.message, saw);
        }
    }
    one_message_an_event_id(view, findings);
}

fn refused_is_not_stored(
    view: &View<'_>,
    by_key: &BTreeMap<(&str, &str), Vec<&Told>>,
    findings: &mut Findings,
) {
    let bodies: HashMap<(&str, &str), &str> = view
        .ledgers
        .store
        .messages
        .iter()
        .filter_map(|message| Some(((&*message.app, message.body_hash.as_deref()?), &*message.id)))
        .collect();
    for ((app, key), told) in by_key {
        let refused = told.iter().find_map(|one| refusal(one).map(|status| (*one, status)));
        if let Some((one, status)) = refused
            && let Some(message) = bodies.get(&(*app, &*one.body_hash))
        {
            let saw = format!("key {key} was refused with {status}, and its message is stored");
            found(findings, Invariant::I7, message, saw);
        }
    }
}

/// A status that says that nothing was done, and that asking again is of no use.
fn refusal(told: &Told) -> Option<u16> {
    match told.answer {
        Answer::Refused(status) if (400..500).contains(&status) && status != TOO_MANY => Some(status),
        _ => None,
    }
}

fn answers_agree(key: &str, told: &[&Told], findings: &mut Findings) {
    let mut first: Option<(&str, &str)> = None;
    for one in told {
        let Answer::Accepted { message, said } = &one.answer else { continue };
        match first {
            None => first = Some((message, said)),
            Some((known, _)) if known != message => {
                let saw = format!("key {key} was answered with this message and with {known}");
                found(findings, Invariant::I7, message, saw);
            }
            Some((_, known)) if known != said => {
                let saw = format!("key {key} was answered twice, and the answers differ");
                found(findings, Invariant::I7, message, saw);
            }
            Some(_) => {}
        }
    }
}

fn one_message_an_event_id(view: &View<'_>, findings: &mut Findings) {
    let mut seen: HashMap<(&str, &str), &str> = HashMap::new();
    for message in &view.ledgers.store.messages {
        let Some(event_id) = &message.event_id else { continue };
        if let Some(other) = seen.insert((&message.app, event_id), &message.id) {
            let saw = format!("has the event id {event_id}, as {other} has");
            found(findings, Invariant::I7, &message.id, saw);
        }
    }
}
