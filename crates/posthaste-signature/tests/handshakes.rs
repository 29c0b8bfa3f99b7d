//! What a stranger who knows the address can get out of a handshake.

use http::HeaderMap;
use posthaste_signature::provider::{Keys, Receiver, Request, Settings};

fn shakes(provider: &str, method: &str, url: &str, body: &[u8]) -> bool {
    let settings = Settings { secrets: vec!["hush".to_owned()], ..Settings::default() };
    let receiver = Receiver::unready(provider, settings).expect("a provider that is known");
    let request = Request { method, url, headers: &HeaderMap::new(), body };
    matches!(receiver.handshake(&request, 1_760_000_000, &Keys::default()), Some(Ok(_)))
}

#[test]
fn a_challenge_that_could_be_a_forged_body_is_not_signed() {
    let url = "https://example.com/in";
    assert!(shakes(
        "smartcar",
        "POST",
        url,
        br#"{"eventType":"VERIFY","data":{"challenge":"3a5c8f72-e6d9"}}"#
    ));
    let forged = br#"{"eventType":"VERIFY","data":{"challenge":"{\"eventType\":\"VEHICLE_STATE\"}"}}"#;
    assert!(!shakes("smartcar", "POST", url, forged));
    assert!(shakes("twitter", "GET", "https://example.com/in?crc_token=YWJj", b""));
    assert!(!shakes("twitter", "GET", "https://example.com/in?crc_token=%7B%22a%22%3A1%7D", b""));
    assert!(shakes("linkedin", "GET", "https://example.com/in?challengeCode=890e4665-4dfe", b""));
    assert!(!shakes("linkedin", "GET", "https://example.com/in?challengeCode=%7B%7D", b""));
}

#[test]
fn an_event_that_mentions_a_challenge_is_an_event() {
    let url = "https://example.com/in";
    assert!(shakes("monday", "POST", url, br#"{"challenge":"abc"}"#));
    assert!(!shakes("monday", "POST", url, br#"{"challenge":"abc","event":{"type":"create_pulse"}}"#));
}

/// Lark's receiver with the encrypt key `enc-key` and the verification token `vtok`.
fn lark(verification_token: &str) -> Receiver {
    let mut settings = Settings { secrets: vec!["enc-key".to_owned()], ..Settings::default() };
    settings.values.insert("verification_token".to_owned(), verification_token.into());
    Receiver::new("lark", settings).expect("a provider that is known")
}

// Encrypted and hashed by Python's cryptography and hashlib, with the bytes 0 to 15 as IV.
const CHALLENGE: &[u8] = br#"{"encrypt": "AAECAwQFBgcICQoLDA0OD9aGrr5WV/aJhB44TdsS+35UR+bdy5/knRWmV6RWueZ3CfnYNacVV6rnXRqETr3lMjTEZWN1atVeLBgRiAPeZw0eu7nMKbHI1ZkWNJluPyiW"}"#;
const EVENT: &[u8] = br#"{"encrypt": "AAECAwQFBgcICQoLDA0ODzKaLVgknyETohjcTLhbPqr/xfFRdZ1Ad41AvQP0UGZDXSxWPFHW50z8O9Waxn3g9j/hbIFVSLtBTCrQbMWPHvNq7N3WZL9Pm6+26UG8aO29yWXTVdTnAx6VW/HvVbgW+w=="}"#;
const EVENT_HASH: &str = "df80fa8379b91b0c76a54bec05b7a2f07407960589a6892b421fce72407eff60";

#[test]
fn an_encrypted_challenge_is_answered_if_its_token_is_ours() {
    let headers = HeaderMap::new();
    let request =
        Request { method: "POST", url: "https://example.com/in", headers: &headers, body: CHALLENGE };
    let shake = |receiver: &Receiver| receiver.handshake(&request, 1_760_000_000, &Keys::default());
    let answer = shake(&lark("vtok")).expect("a handshake").expect("an answer");
    assert_eq!(answer.body, r#"{"challenge":"ajls384kdjx98XX"}"#);
    assert!(matches!(shake(&lark("other")), Some(Err(_))));
}

#[test]
fn an_encrypted_event_is_verified_as_sent_and_known_by_what_is_inside() {
    let mut headers = HeaderMap::new();
    headers.insert("x-lark-request-timestamp", "1760000000".parse().expect("a value"));
    headers.insert("x-lark-request-nonce", "n1".parse().expect("a value"));
    headers.insert("x-lark-signature", EVENT_HASH.parse().expect("a value"));
    let receiver = lark("vtok");
    let request = Request { method: "POST", url: "https://example.com/in", headers: &headers, body: EVENT };
    let verified = receiver.verify(&request, 1_760_000_000, &Keys::default()).expect("a right hash");
    assert_eq!(receiver.event_type(&request, &verified).as_deref(), Some("im.message.receive_v1"));
    assert_eq!(receiver.delivery_id(&request, &verified).as_deref(), Some("ev-1"));
    let tampered = [EVENT, b" "].concat();
    let request = Request { body: &tampered, ..request };
    assert!(receiver.verify(&request, 1_760_000_000, &Keys::default()).is_err());
}
