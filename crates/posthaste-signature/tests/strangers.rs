//! What a stranger can do who knows the address, or holds one request that was rightly signed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use http::{HeaderMap, HeaderName, HeaderValue};
use posthaste_signature::Secret;
use posthaste_signature::provider::{Keys, Receiver, Refusal, Request, Settings, Verified};

const NOW: i64 = 1_760_000_000;
/// A public key as Discord shows it.
const DISCORD_KEY: &str = "23db313999a6f19499a965c0837a1d378f347d5d202213cb58e0a8084ba5e6ee";

fn receiver(provider: &str, secret: &str) -> Receiver {
    let settings = Settings { secrets: vec![secret.to_owned()], ..Settings::default() };
    Receiver::new(provider, settings).unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()));
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    headers
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn verdict(receiver: &Receiver, headers: &HeaderMap, body: &[u8]) -> Result<Verified, Refusal> {
    let request = Request { method: "POST", url: "https://example.com/in", headers, body };
    receiver.verify(&request, NOW, &Keys::default())
}

#[test]
fn an_id_beside_the_signed_one_cannot_make_an_old_request_a_new_one() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let signature = Secret::parse(secret).unwrap().sign("msg_1", NOW, b"{}");
    let at = NOW.to_string();
    for (provider, signed, other) in [("clerk", "webhook", "svix"), ("standard-webhooks", "svix", "webhook")]
    {
        let names = ["id", "timestamp", "signature"].map(|name| format!("{signed}-{name}"));
        let captured = [(&*names[0], "msg_1"), (&*names[1], &*at), (&*names[2], &*signature)];
        let receiver = receiver(provider, secret);
        assert!(verdict(&receiver, &headers(&captured), b"{}").is_ok(), "{provider}");
        let other = format!("{other}-id");
        for (id, is_believed) in [("msg_1", true), ("msg_2", false)] {
            let replayed = [&captured[..], &[(&*other, id)]].concat();
            assert_eq!(
                verdict(&receiver, &headers(&replayed), b"{}").is_ok(),
                is_believed,
                "{provider} {id}"
            );
        }
    }
}

#[test]
fn a_request_with_many_signatures_is_not_checked_once_for_each() {
    let discord = receiver("discord", DISCORD_KEY);
    let at = NOW.to_string();
    let signature = "01".repeat(64);
    let mut sent = vec![("x-signature-timestamp", &*at)];
    sent.extend(std::iter::repeat_n(("x-signature-ed25519", &*signature), 4));
    assert!(matches!(verdict(&discord, &headers(&sent), b"{}"), Err(Refusal::Mismatch(_))));
    sent.push(("x-signature-ed25519", &signature));
    assert!(matches!(verdict(&discord, &headers(&sent), b"{}"), Err(Refusal::Malformed { .. })));
}

#[test]
fn a_refusal_is_short_however_long_the_request_is() {
    let base64 = |text: &str| base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, text);
    let long = "x".repeat(1 << 20);
    let token = format!("{}.e30.AAAA", base64(&format!(r#"{{"alg":"RS256","kid":"{long}"}}"#)));
    let jwks = serde_json::json!({ "jwks": { "keys": [{
        "kty": "RSA", "kid": "1", "n": base64(&"n".repeat(256)), "e": "AQAB",
    }] } });
    let settings = Settings { values: serde_json::from_value(jwks).unwrap(), ..Settings::default() };
    let kinde = Receiver::new("kinde", settings).unwrap();
    let refusal = verdict(&kinde, &HeaderMap::new(), token.as_bytes()).unwrap_err();
    assert!(matches!(refusal, Refusal::UnknownKey(_)), "{refusal}");
    assert!(refusal.to_string().len() < 1_000);
    let notification = format!(
        r#"{{"Type":"Notification","Signature":"AAAA","SignatureVersion":"1",
            "SigningCertURL":"https://sns.eu-west-1.amazonaws.com/{long}.pem"}}"#
    );
    let sns = Receiver::new("aws-sns", Settings::default()).unwrap();
    let refusal = verdict(&sns, &HeaderMap::new(), notification.as_bytes()).unwrap_err();
    assert!(refusal.to_string().len() < 1_000);
}

fn form_of(fields: &[(&str, &str)]) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes()
}

#[test]
fn a_signed_field_that_is_there_twice_is_not_believed() {
    let (secret, payload) = ("hush", "cGF5bG9hZA==\n");
    let key = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_ref());
    let signature = format!("public|{}", hex(ring::hmac::sign(&key, payload.as_bytes()).as_ref()));
    let settings = Settings {
        secrets: vec![secret.to_owned()],
        values: serde_json::from_value(serde_json::json!({ "public_key": "public" })).unwrap(),
        ..Settings::default()
    };
    let braintree = Receiver::new("braintree", settings).unwrap();
    let captured = [("bt_signature", &*signature), ("bt_payload", payload)];
    assert!(verdict(&braintree, &HeaderMap::new(), &form_of(&captured)).is_ok());
    for more in [("bt_payload", "ZXZpbA=="), ("bt_signature", "x|y")] {
        let forged = form_of(&[&captured[..], &[more]].concat());
        let refusal = verdict(&braintree, &HeaderMap::new(), &forged).unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed { .. }), "{more:?}: {refusal}");
    }

    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hex(ring::hmac::sign(&key, b"order-1").as_ref());
    let opennode = receiver("opennode", secret);
    let captured = [("id", "order-1"), ("hashed_order", &*tag), ("status", "paid")];
    assert!(verdict(&opennode, &HeaderMap::new(), &form_of(&captured)).is_ok());
    let forged = form_of(&[&captured[..], &[("id", "order-2")]].concat());
    assert!(verdict(&opennode, &HeaderMap::new(), &forged).is_err());
}

#[test]
fn a_form_of_very_many_fields_is_refused_before_it_is_sorted() {
    let many = "a&".repeat(10_001);
    for provider in ["twilio", "mandrill"] {
        let header = if provider == "twilio" { "x-twilio-signature" } else { "x-mandrill-signature" };
        let sent = headers(&[(header, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")]);
        let refusal = verdict(&receiver(provider, "hush"), &sent, many.as_bytes()).unwrap_err();
        assert!(refusal.to_string().contains("10000 parameters at most"), "{provider}: {refusal}");
    }
}

#[test]
fn a_boundary_that_no_sender_may_write_is_none() {
    // One that is nearly everywhere in the body would be compared with it letter by letter.
    for (letters, missing) in [(70, "event.event_time in the form field json"), (71, "the form field json")] {
        let boundary = "-".repeat(letters);
        let kind = format!("multipart/form-data; boundary={boundary}");
        let body = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{{}}\r\n");
        let sent = headers(&[("content-type", &kind)]);
        let refusal = verdict(&receiver("dropbox-sign", "hush"), &sent, body.as_bytes()).unwrap_err();
        assert_eq!(refusal, Refusal::Missing(missing.to_owned()));
    }
}

/// A certificate for `host`, and that of the authority which vouches for it.
fn certified(host: &str) -> (String, String) {
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = params.self_signed(&authority).unwrap().pem();
    let issuer = rcgen::Issuer::new(params, authority);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    (leaf.signed_by(&key, &issuer).unwrap().pem(), root)
}

#[test]
fn a_trusted_certificate_that_is_not_paypals_signs_nothing() {
    let url = "https://www.paypal.com/whatever-a-stranger-can-make-it-say";
    let sent = headers(&[
        ("paypal-transmission-sig", "AAAA"),
        ("paypal-auth-algo", "SHA256withRSA"),
        ("paypal-transmission-id", "1"),
        ("paypal-transmission-time", "2025-10-09T08:53:20Z"),
        ("paypal-cert-url", url),
    ]);
    for (host, is_paypals) in [
        ("messageverificationcerts.paypal.com", true),
        ("evil.example", false),
        ("evilpaypal.com", false),
        ("paypal.com.evil.example", false),
    ] {
        let (leaf, root) = certified(host);
        let values = serde_json::json!({ "webhook_id": "1", "certs": { url: leaf }, "trusted_ca": root });
        let settings = Settings { values: serde_json::from_value(values).unwrap(), ..Settings::default() };
        let refusal = verdict(&Receiver::new("paypal", settings).unwrap(), &sent, b"{}").unwrap_err();
        let judged = !matches!(refusal, Refusal::UntrustedKey(_));
        assert_eq!(judged, is_paypals, "{host}: {refusal}");
    }
}

#[test]
fn an_empty_secret_is_not_learned() {
    for (provider, header, body) in [
        ("notion", "x-other", r#"{"verification_token":""}"#),
        ("gusto", "x-other", r#"{"verification_token":" "}"#),
        ("asana", "x-hook-secret", ""),
    ] {
        let receiver = Receiver::unready(provider, Settings::default()).unwrap();
        let sent = headers(&[(header, " ")]);
        let request =
            Request { method: "POST", url: "https://example.com/in", headers: &sent, body: body.as_bytes() };
        let answer = receiver.handshake(&request, NOW, &Keys::default());
        assert!(!matches!(answer, Some(Ok(_))), "{provider}: {answer:?}");
    }
}

#[test]
fn what_we_sign_for_whoever_asks_is_no_event() {
    let twitter = receiver("twitter", "hush");
    for (body, is_event) in [("AAAA", false), ("{\"for_user_id\":\"1\"}", true)] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"hush");
        let tag = ring::hmac::sign(&key, body.as_bytes());
        let tag = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, tag);
        let sent = headers(&[("x-twitter-webhooks-signature", &format!("sha256={tag}"))]);
        assert_eq!(verdict(&twitter, &sent, body.as_bytes()).is_ok(), is_event, "{body}");
    }
    let settings = Settings {
        secrets: vec!["hush".to_owned()],
        values: serde_json::from_value(serde_json::json!({ "public_key": "public" })).unwrap(),
        ..Settings::default()
    };
    let braintree = Receiver::new("braintree", settings).unwrap();
    let challenge = "20f9f8ed05f77439fe955c977e4c8a53";
    let url = format!("https://example.com/in?bt_challenge={challenge}");
    let request = Request { method: "GET", url: &url, headers: &HeaderMap::new(), body: b"" };
    let signed = braintree.handshake(&request, NOW, &Keys::default()).unwrap().unwrap().body;
    let forged = form_of(&[("bt_signature", &signed), ("bt_payload", challenge)]);
    let refusal = verdict(&braintree, &HeaderMap::new(), &forged).unwrap_err();
    assert!(refusal.to_string().contains("a notification"), "{refusal}");
}

/// A token under HMAC-SHA256, with the claims that FusionAuth's has.
fn token(header: &str, key: &str, body: &[u8]) -> String {
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    let hash = BASE64_STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, body));
    let claims = format!(r#"{{"request_body_sha256":"{hash}"}}"#);
    let signed =
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    let tag = BASE64_URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signed.as_bytes()));
    format!("{signed}.{tag}")
}

#[test]
fn nobody_signs_with_a_public_key_that_was_configured_as_the_secret() {
    let public = rcgen::KeyPair::generate().unwrap().public_key_pem();
    for (secret, is_believed) in [("hush", true), (public.as_str(), false)] {
        let sent = headers(&[("x-fusionauth-signature-jwt", &token(r#"{"alg":"HS256"}"#, secret, b"{}"))]);
        assert_eq!(verdict(&receiver("fusionauth", secret), &sent, b"{}").is_ok(), is_believed, "{secret}");
    }
}

#[test]
fn a_token_with_an_extension_that_must_be_understood_is_refused() {
    let token = token(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, "hush", b"{}");
    let sent = headers(&[("x-fusionauth-signature-jwt", &token)]);
    assert!(verdict(&receiver("fusionauth", "hush"), &sent, b"{}").is_err());
}
