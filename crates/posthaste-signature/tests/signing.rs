//! What is signed here is believed here: every row of the table, and no changed body.

use http::{HeaderMap, HeaderValue};
use posthaste_signature::provider::sign::{
    Draft, Moment, PrivateKey, SignError, Signer, needed_key, rehearse,
};
use posthaste_signature::provider::{self, Keys, Receiver, Settings};

const NOW: i64 = 1_760_000_000;
const MOMENT: Moment<'_> = Moment { at_ms: NOW * 1000 + 250, id: "msg_2mXkQpYzR4tUvWbN8cDfGhJkLaS" };
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Those that nobody else can sign for.
const UNSIGNABLE: [&str; 5] = ["apple-app-store", "aws-sns", "paypal", "paddle-classic", "travis-ci"];

/// A body in which the scheme finds what it signs; each holds the digits 1250.
fn body(scheme: &str, provider: &str) -> (&'static str, &'static str) {
    match (scheme, provider) {
        ("adyen", _) => (
            JSON,
            r#"{"live":"false","notificationItems":[{"NotificationRequestItem":{"eventCode":"AUTHORISATION","success":"true","pspReference":"P1","merchantAccountCode":"Shop","merchantReference":"R1","amount":{"value":1250,"currency":"EUR"}}},{"NotificationRequestItem":{"eventCode":"CAPTURE","success":"true","pspReference":"P2","merchantAccountCode":"Shop","merchantReference":"R2","amount":{"value":99,"currency":"EUR"}}}]}"#,
        ),
        ("dropbox-sign", _) => (
            FORM,
            "json=%7B%22event%22%3A%7B%22event_time%22%3A%221250%22%2C%22event_type%22%3A%22sent%22%7D%7D",
        ),
        ("exact-online", _) => (JSON, r#"{"Content":{"Topic":"Accounts","Amount":1250},"HashCode":""}"#),
        ("braintree", _) => (FORM, "bt_payload=PG5vdGlmaWNhdGlvbj4xMjUwPC9ub3RpZmljYXRpb24%2B1250"),
        ("alipay" | "paddle-classic", _) => (FORM, "total=1250&currency=CNY&notify_id=a1&sign_type=RSA2"),
        ("twilio" | "plivo-v3", _) => (FORM, "MessageSid=SM1&Body=1250+euros&From=%2B15550100"),
        (_, "mandrill" | "mattermost" | "opennode" | "travis-ci") => {
            (FORM, "payload=1250&id=o1&token=&mandrill_events=%5B%7B%22n%22%3A1250%7D%5D")
        }
        (_, "microsoft-graph") => (JSON, r#"{"value":[{"id":"n1","amount":1250},{"id":"n2"}]}"#),
        (_, "mailgun") => (JSON, r#"{"signature":{"timestamp":"1","token":"t0"},"event-data":{"n":1250}}"#),
        (_, "midtrans") => (JSON, r#"{"order_id":"o1","status_code":"200","gross_amount":"1250.00"}"#),
        _ => (JSON, r#"{"id":"evt_1","type":"order.paid","data":{"amount":1250}}"#),
    }
}

struct Trial {
    signer: Signer,
    receiver: Receiver,
    draft: Draft,
}

/// A request of a provider, and a receiver that was told what signs it.
fn trial(slug: &str, variant: Option<&str>) -> Result<Trial, SignError> {
    let url = "https://hooks.example.com/in/x?a=1";
    let mut settings = Settings { variant: variant.map(str::to_owned), ..Settings::default() };
    rehearse(slug, &mut settings, url)?;
    let key = needed_key(slug, variant).and_then(PrivateKey::for_tests);
    let signer = Signer::new(slug, settings, key)?;
    let (kind, body) = body(signer.provider().scheme(), slug);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(kind));
    let mut draft =
        Draft { method: "POST".to_owned(), url: url.to_owned(), headers, body: body.as_bytes().to_vec() };
    signer.sign(&mut draft, &MOMENT)?;
    let mut settings = signer.settings().clone();
    if let Some(pem) = signer.public_pem() {
        settings.values.insert("public_key".to_owned(), pem.into());
    }
    Ok(Trial { receiver: Receiver::new(slug, settings)?, signer, draft })
}

/// Every scheme of every row.
fn schemes() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    provider::all().flat_map(|provider| {
        let slug = provider.slug.as_str();
        std::iter::once((slug, None)).chain(provider.variants().map(move |name| (slug, Some(name))))
    })
}

fn changed(body: &[u8]) -> Vec<u8> {
    let mut changed = body.to_vec();
    match body.windows(4).position(|window| window == b"1250") {
        Some(at) => changed[at] = b'9',
        // A token in the body's place: its middle is claims.
        None => {
            let at = body.len() / 2;
            changed[at] = if body[at] == b'A' { b'B' } else { b'A' };
        }
    }
    changed
}

#[test]
fn what_a_signer_signs_its_receiver_believes_and_no_changed_body() {
    let (mut failures, mut signed, mut changes) = (vec![], 0, 0);
    for (slug, variant) in schemes() {
        let unsignable = UNSIGNABLE.contains(&slug) || provider::find(slug).unwrap().scheme() == "unknown";
        let Trial { receiver, draft, .. } = match trial(slug, variant) {
            Ok(trial) => trial,
            Err(error) if unsignable => {
                assert!(error.to_string().contains(' '), "{slug}: {error}");
                continue;
            }
            Err(error) => {
                failures.push(format!("{slug} {variant:?}: not signed: {error}"));
                continue;
            }
        };
        assert!(!unsignable, "{slug} can be signed after all");
        signed += 1;
        let keys = Keys::default();
        if let Err(refusal) = receiver.verify(&draft.request(), NOW, &keys) {
            failures.push(format!("{slug} {variant:?}: {refusal} {:?}", draft.headers));
            continue;
        }
        if receiver.covers_body() {
            let other = Draft { body: changed(&draft.body), ..draft };
            changes += 1;
            if receiver.verify(&other.request(), NOW, &keys).is_ok() {
                failures.push(format!("{slug} {variant:?}: a changed body was believed"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(signed > 300 && changes > 230, "{signed} signed, {changes} changed");
}

#[test]
fn signing_again_takes_the_place_of_what_was_signed_before() {
    for slug in ["stripe", "standard-webhooks", "twilio", "shippo", "mailgun", "adyen", "wechat-official"] {
        let Trial { signer, receiver, mut draft } = trial(slug, None).unwrap();
        let later = Moment { at_ms: MOMENT.at_ms + 60_000, id: "msg_later" };
        signer.sign(&mut draft, &later).unwrap();
        let verified = receiver.verify(&draft.request(), NOW + 60, &Keys::default());
        assert!(verified.is_ok(), "{slug}: {verified:?}");
    }
}

#[test]
fn while_a_secret_is_rotated_lists_hold_a_signature_of_each() {
    let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"];
    for slug in ["standard-webhooks", "svix", "stripe"] {
        let settings = Settings { secrets: secrets.map(str::to_owned).to_vec(), ..Settings::default() };
        let signer = Signer::new(slug, settings, None).unwrap();
        let mut draft = Draft { method: "POST".to_owned(), body: b"{}".to_vec(), ..Draft::default() };
        signer.sign(&mut draft, &MOMENT).unwrap();
        for secret in secrets {
            let settings = Settings { secrets: vec![secret.to_owned()], ..Settings::default() };
            let receiver = Receiver::new(slug, settings).unwrap();
            assert!(receiver.verify(&draft.request(), NOW, &Keys::default()).is_ok(), "{slug}");
        }
    }
}

#[test]
fn the_public_half_is_shown_as_the_provider_shows_it_and_verifies() {
    for (slug, looks_right) in [
        ("discord", (|text| text.len() == 64) as fn(&str) -> bool),
        ("telnyx", |text| text.len() == 44 && text.ends_with('=')),
        ("sendgrid", |text| text.starts_with("MFkw")),
        ("wise", |text| text.starts_with("-----BEGIN PUBLIC KEY-----")),
    ] {
        let Trial { signer, draft, .. } = trial(slug, None).unwrap();
        let public = signer.public_key().unwrap();
        assert!(looks_right(&public), "{slug}: {public}");
        let settings = Settings { secrets: vec![public], ..Settings::default() };
        let receiver = Receiver::new(slug, settings).unwrap();
        assert!(receiver.verify(&draft.request(), NOW, &Keys::default()).is_ok(), "{slug}");
    }
}

#[test]
fn a_private_key_is_read_or_refused_with_what_is_wanted() {
    assert!(PrivateKey::parse("hello").unwrap_err().to_string().contains("PEM"));
    let settings = Settings::default;
    let none = Signer::new("discord", settings(), None).unwrap_err().to_string();
    assert!(none.contains("ed25519"), "{none}");
    let rsa = needed_key("wise", None).and_then(PrivateKey::for_tests);
    let other = Signer::new("discord", settings(), rsa).unwrap_err().to_string();
    assert!(other.contains("ed25519"), "{other}");
}

#[test]
fn what_stripe_and_github_document_is_what_comes_out() {
    let sign = |slug: &str, secret: &str, at: i64, body: &[u8]| {
        let settings = Settings { secrets: vec![secret.to_owned()], ..Settings::default() };
        let mut draft = Draft { method: "POST".to_owned(), body: body.to_vec(), ..Draft::default() };
        let moment = Moment { at_ms: at * 1000, id: "msg_p5jXN8AQM9LWM0D4loKWxJek" };
        Signer::new(slug, settings, None).unwrap().sign(&mut draft, &moment).unwrap();
        draft.headers
    };
    // The example of GitHub's documentation.
    let headers = sign("github", "It's a Secret to Everybody", NOW, b"Hello, World!");
    assert_eq!(
        headers["x-hub-signature-256"],
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    );
    // The example of Standard Webhooks.
    let headers = sign(
        "standard-webhooks",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        1_614_265_330,
        br#"{"test": 2432232314}"#,
    );
    assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let headers = sign("stripe", "whsec_test", NOW, b"{}");
    assert!(headers["stripe-signature"].to_str().unwrap().starts_with("t=1760000000,v1="));
}
