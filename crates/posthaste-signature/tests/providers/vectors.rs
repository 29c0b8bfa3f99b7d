//! Requests with their verdicts, and what must hold for each of them.

use std::collections::{BTreeMap, BTreeSet};

use posthaste_signature::provider::{Receiver, Refusal, is_setting};
use serde_json::{Map, Value};

use crate::vector::all;

fn join(failures: &[String]) -> String {
    failures.join("\n")
}

#[test]
fn every_vector_gets_the_verdict_it_expects() {
    let vectors = all();
    assert!(vectors.len() > 2_200);
    let failures: Vec<_> =
        vectors.iter().filter_map(|v| v.fails().map(|how| format!("{}: {how}", v.id))).collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), vectors.len(), join(&failures));
}

#[test]
fn every_setting_that_a_vector_has_is_known_by_name() {
    for vector in all() {
        for name in vector.config.iter().flat_map(Map::keys) {
            assert!(is_setting(name), "{name} of {}", vector.id);
        }
    }
}

#[test]
fn the_case_of_header_names_is_nothing() {
    for spell in [str::to_ascii_uppercase as fn(&str) -> String, str::to_ascii_lowercase] {
        let failures: Vec<_> =
            all().iter().filter_map(|v| v.fails_with(spell).map(|how| format!("{}: {how}", v.id))).collect();
        assert!(failures.is_empty(), "{}", join(&failures));
    }
}

#[test]
fn every_scheme_has_a_valid_delivery_unless_nobody_knows_how() {
    let vectors = all();
    let seen: BTreeSet<_> = vectors
        .iter()
        .filter(|v| v.is_delivery() && v.is_valid())
        .map(|v| (v.provider.as_str(), v.variant.as_deref()))
        .collect();
    for provider in posthaste_signature::provider::all() {
        let known = provider.scheme() != "unknown";
        assert_eq!(seen.contains(&(provider.slug.as_str(), None)), known, "{}", provider.slug);
        for variant in provider.variants() {
            assert!(seen.contains(&(provider.slug.as_str(), Some(variant))), "{} {variant}", provider.slug);
        }
    }
}

#[test]
fn what_is_only_too_old_or_too_early_is_right_when_age_is_not_judged() {
    let (mut vectors, mut count) = (all(), 0);
    vectors.retain(|v| matches!(v.reason.as_deref(), Some("timestamp-expired" | "timestamp-future")));
    for vector in vectors {
        let refusal = vector.verdict(&vector.receiver(), &vector.body()).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Expired { .. } | Refusal::Future { .. }),
            "{}: {refusal}",
            vector.id
        );
        let mut settings = vector.settings();
        settings.tolerance = Some(None);
        let receiver = Receiver::new(&vector.provider, settings).unwrap();
        assert!(vector.verdict(&receiver, &vector.body()).is_ok(), "{}", vector.id);
        count += 1;
    }
    assert!(count > 90, "{count}");
}

const SNS: [&str; 11] = [
    "Message",
    "MessageId",
    "Signature",
    "SignatureVersion",
    "SigningCertURL",
    "Subject",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
];

/// What a body says to the scheme, where that is less than its bytes: two bodies that say the same are one.
fn meaning(provider: &str, body: &[u8]) -> Vec<u8> {
    let fields = |keep: fn(&(String, String)) -> bool| {
        let mut fields: Vec<_> = form_urlencoded::parse(body).into_owned().filter(keep).collect();
        fields.sort();
        format!("{fields:?}").into_bytes()
    };
    match provider {
        // White space behind JSON, or behind a token.
        "apple-app-store" | "dialpad" | "exact-online" | "kinde" | "nowpayments" | "wix" => {
            body.trim_ascii_end().to_vec()
        }
        // What is signed of it; the address for ending a subscription is not.
        "aws-sns" => match serde_json::from_slice::<Map<String, Value>>(body) {
            Ok(members) => format!("{:?}", SNS.map(|name| members.get(name))).into_bytes(),
            Err(_) => body.to_vec(),
        },
        // Empty fields are not signed, and there is one type of signature.
        "alipay" => fields(|(name, value)| name != "sign_type" && !value.is_empty()),
        "twilio" => fields(|_| true),
        _ => body.to_vec(),
    }
}

#[test]
fn no_byte_of_a_body_that_is_signed_can_be_changed() {
    let mut failures = vec![];
    let mut count = 0;
    for vector in all().iter().filter(|v| v.is_delivery() && v.is_valid()) {
        let receiver = vector.receiver();
        if !receiver.covers_body() {
            continue;
        }
        let body = vector.body();
        let mut changes: Vec<_> = (0..body.len())
            .map(|at| {
                let mut changed = body.clone();
                changed[at] ^= 1;
                changed
            })
            .collect();
        changes.push([&body[..], b"\n"].concat());
        changes.push(body[..body.len().saturating_sub(1)].to_vec());
        let said = meaning(&vector.provider, &body);
        changes.retain(|changed| meaning(&vector.provider, changed) != said);
        count += changes.len();
        let accepted = changes.iter().filter(|changed| vector.verdict(&receiver, changed).is_ok());
        failures
            .extend(accepted.map(|changed| format!("{}: {}", vector.id, String::from_utf8_lossy(changed))));
    }
    assert!(failures.is_empty(), "{}", join(&failures));
    assert!(count > 40_000, "{count}");
}

#[test]
fn while_a_secret_is_rotated_either_is_accepted_and_the_right_one_is_named() {
    let vectors = all();
    let mut wrong: BTreeMap<_, String> = BTreeMap::new();
    for vector in vectors.iter().filter(|v| v.name == "wrong-secret" || v.name == "wrong-token") {
        if let [secret] = vector.secrets().as_slice() {
            wrong.insert((&vector.provider, &vector.variant), secret.clone());
        }
    }
    let mut count = 0;
    for vector in vectors.iter().filter(|v| v.is_delivery() && v.is_valid()) {
        let secrets = vector.secrets();
        let other = wrong.get(&(&vector.provider, &vector.variant));
        let ([right], Some(other)) = (secrets.as_slice(), other) else { continue };
        if right == other {
            continue;
        }
        let mut settings = vector.settings();
        settings.secrets = vec![other.clone(), right.clone()];
        let receiver = match Receiver::new(&vector.provider, settings) {
            Ok(receiver) => receiver,
            // DingTalk hashes the secret twice over: its receivers hold one.
            Err(error) => {
                assert_eq!(vector.provider, "dingtalk", "{error}");
                continue;
            }
        };
        let verified = vector.verdict(&receiver, &vector.body());
        assert_eq!(verified.map(|verified| verified.secret_index), Ok(1), "{}", vector.id);
        count += 1;
    }
    assert!(count > 200, "{count}");
}
