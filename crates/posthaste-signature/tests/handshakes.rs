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
