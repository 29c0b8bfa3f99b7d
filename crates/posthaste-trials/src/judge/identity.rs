//! What arrives is what was accepted: the same id, the same bytes, signed (I6).

use std::collections::HashMap;

use super::view::View;
use super::{Findings, Invariant, found};

pub(super) fn what_arrives_is_what_was_accepted(view: &View<'_>, findings: &mut Findings) {
    let mut first_body: HashMap<&str, &str> = HashMap::new();
    for got in &view.ledgers.got {
        let endpoint = &got.endpoint;
        if !got.signed {
            let saw = format!("{endpoint} got it with no signature that verifies");
            found(findings, Invariant::I6, &got.message, saw);
        }
        let stored = view.messages.get(&*got.message);
        let told = view.accepted.get(&*got.message);
        if stored.is_none() && told.is_none() && !view.may_be_forgotten(&got.message) {
            let saw = format!("{endpoint} got this webhook-id, which names no message");
            found(findings, Invariant::I6, &got.message, saw);
        }
        let accepted = stored
            .and_then(|message| message.body_hash.as_deref())
            .or_else(|| told.map(|told| &*told[0].body_hash));
        let expected = *first_body.entry(&got.message).or_insert(accepted.unwrap_or(&got.body_hash));
        if got.body_hash != expected {
            let saw = format!("{endpoint} got other bytes than were accepted");
            found(findings, Invariant::I6, &got.message, saw);
        }
        if let (Some(stored), Some(endpoint)) = (stored, view.endpoints.get(&**endpoint))
            && stored.app != endpoint.app
        {
            let saw = format!("{} of {} got a message of {}", endpoint.id, endpoint.app, stored.app);
            found(findings, Invariant::I6, &got.message, saw);
        }
    }
}
