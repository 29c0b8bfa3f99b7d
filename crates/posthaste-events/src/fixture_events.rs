//! Every event of every provider is what its receiver expects: signed, of its type, with an id of its own.

use posthaste_core::dice::TestDice;
use posthaste_signature::provider::sign::{Moment, PrivateKey, Signer, needed_key, rehearse};
use posthaste_signature::provider::{Keys, Receiver, Settings};

use super::*;
use crate::trial::{fresh_id, receiver};

const AT_MS: i64 = 1_760_000_000_000;
const URL: &str = "http://127.0.0.1:3000/webhooks";
/// Nobody else can sign for these.
const UNSIGNABLE: [&str; 5] = ["apple-app-store", "aws-sns", "paddle-classic", "paypal", "travis-ci"];

fn receiver_and_request(event: &Event) -> Result<(Receiver, Draft), String> {
    let (slug, dice) = (&event.provider.slug, TestDice::seeded(7));
    let mut settings = Settings::default();
    rehearse(slug, &mut settings, URL).map_err(|error| error.to_string())?;
    let key = needed_key(slug, None).and_then(PrivateKey::for_tests);
    let signer = Signer::new(slug, settings, key).map_err(|error| error.to_string())?;
    let id = fresh_id(&dice);
    let mut draft = event.fill(&id, AT_MS, URL, &dice).draft;
    let moment = Moment { at_ms: AT_MS, id: &id };
    if event.is_signed() {
        signer.sign(&mut draft, &moment).map_err(|error| error.to_string())?;
    }
    Ok((receiver(&signer).unwrap(), draft))
}

fn events(provider: &'static Provider) -> Vec<Event> {
    let (events, _) = names(&provider.slug);
    events.into_iter().map(|name| event(provider, Some(name)).unwrap()).collect()
}

#[test]
fn there_are_enough_and_each_file_is_listed() {
    let (providers, events) = counts();
    assert!(providers >= 40 && events >= 150, "{providers} providers, {events} events");
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/trigger");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), providers, "a file of {dir} is not in FIXTURES");
    for (slug, fixture) in READ.iter() {
        assert!(provider::find(slug).is_some(), "{slug} is not in the table");
        for (name, shape) in fixture.events.iter().chain(&fixture.handshakes) {
            assert!(serde_json::from_value::<Shape>(shape.clone()).is_ok(), "{slug}.{name}");
        }
    }
}

#[test]
fn every_event_is_believed_by_its_receiver_and_is_of_its_type() {
    let mut failures = vec![];
    for event in provider::all().flat_map(events) {
        let (slug, name) = (&event.provider.slug, &event.name);
        let (receiver, draft) = match receiver_and_request(&event) {
            Ok(ready) => ready,
            Err(_) if UNSIGNABLE.contains(&slug.as_str()) || event.provider.scheme() == "unknown" => continue,
            Err(error) => {
                failures.push(format!("{slug}.{name}: {error}"));
                continue;
            }
        };
        let request = draft.request();
        let verified = match receiver.verify(&request, AT_MS / 1000, &Keys::default()) {
            Ok(verified) => verified,
            Err(refusal) => {
                failures.push(format!("{slug}.{name}: {refusal}"));
                continue;
            }
        };
        if receiver.handshake(&request, AT_MS / 1000, &Keys::default()).is_some() {
            failures.push(format!("{slug}.{name}: taken for a handshake"));
        }
        let is_told = |place: &Option<String>| place.as_ref().is_some_and(|place| !place.contains("claim:"));
        if is_told(&event.provider.event_type) && receiver.event_type(&request, &verified).is_none() {
            failures.push(format!("{slug}.{name}: no type of event"));
        }
        if is_told(&event.provider.delivery_id) {
            let again = event.fill("msg_other", AT_MS + 5_000, URL, &TestDice::seeded(8)).draft;
            let ids = [&draft, &again].map(|draft| receiver.delivery_id(&draft.request(), &verified));
            if ids[0].is_none() || ids[0] == ids[1] {
                failures.push(format!("{slug}.{name}: no id of its own: {ids:?}"));
            }
        }
        let text = String::from_utf8_lossy(&draft.body);
        if text.contains("{uuid") || text.contains(r#""0":"#) {
            failures.push(format!("{slug}.{name}: a placeholder or a list's number is left"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_handshake_is_one_and_has_an_answer() {
    let mut count = 0;
    for provider in provider::all() {
        for name in names(&provider.slug).1 {
            let event = event(provider, Some(name)).unwrap();
            let (receiver, draft) = receiver_and_request(&event).unwrap();
            let answer = receiver.handshake(&draft.request(), AT_MS / 1000, &Keys::default());
            assert!(matches!(answer, Some(Ok(_))), "{}.{name}: {answer:?}", provider.slug);
            count += 1;
        }
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn a_provider_without_a_file_says_its_type_where_the_table_says() {
    let plain: Vec<_> = provider::all().filter(|provider| of(&provider.slug).is_none()).collect();
    let (_, draft) = plain
        .iter()
        .filter(|provider| needed_key(&provider.slug, None).is_none())
        .find_map(|provider| receiver_and_request(&event(provider, Some("order.paid")).unwrap()).ok())
        .unwrap();
    assert!(!draft.body.is_empty());
}
