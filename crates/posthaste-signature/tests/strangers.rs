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
