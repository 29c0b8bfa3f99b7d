//! What goes out, header by header.

use std::sync::Arc;
use std::time::Duration;

use posthaste_signature::Secret;
use posthaste_signature::standard::{Signed, Verifier, verify};

use super::*;
use crate::dice::TestDice;
use crate::endpoint::{Filter, Secrets};
use crate::id::{AppId, EndpointId, MessageId};
use crate::name::EventTypeName;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const BODY: &[u8] = b"{\"a\": 1.0}";

fn built(origin: Option<Origin>, own_headers: &[(&str, &str)]) -> Outgoing {
    let dice = TestDice::seeded(1);
    let own = own_headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let endpoint = Endpoint {
        id: EndpointId::fresh(NOW, &dice),
        app: AppId::fresh(NOW, &dice),
        uid: None,
        url: "http://example.com/hook?own=1".to_owned(),
        description: String::new(),
        rate_per_second: None,
        app_rate_per_second: None,
        disabled: false,
        filter: Filter::default(),
        headers: own.collect(),
        metadata: std::collections::BTreeMap::default(),
        secrets: Secrets::first(Secret::hmac(&[9; 24]).unwrap()),
        failing_since: None,
        created_at: NOW,
        updated_at: NOW,
    };
    let message = Message {
        id: MessageId::fresh(NOW, &dice),
        app: endpoint.app,
        event_type: EventTypeName::parse("a.b").unwrap(),
        event_id: None,
        channels: vec![],
        tags: vec![],
        body: Some(Bytes::from_static(BODY)),
        origin: origin.map(Arc::new),
        created_at: NOW,
        deliver_at: None,
    };
    Outgoing::build(&message, &endpoint, NOW)
}

fn origin(headers: &[(&str, &[u8])]) -> Origin {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
    Origin { method: "POST".to_owned(), path: String::new(), query: String::new(), headers }
}

fn sent(origin: Origin) -> Outgoing {
    built(Some(origin), &[])
}

fn values<'a>(outbound: &'a Outgoing, name: &str) -> Vec<&'a [u8]> {
    outbound.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

/// The names that went out, ours apart.
fn passed_on(outbound: &Outgoing) -> Vec<&str> {
    let ours = |name: &HeaderName| OURS.contains(name) || name == USER_AGENT;
    outbound.headers.keys().filter(|name| !ours(name)).map(HeaderName::as_str).collect()
}

#[test]
fn a_message_of_ours_is_posted_as_json_and_says_who_we_are() {
    let outbound = built(None, &[("X-Own", "1")]);
    assert_eq!((&outbound.method, outbound.query.as_str()), (&Method::POST, ""));
    assert_eq!(outbound.headers[CONTENT_TYPE], JSON);
    assert_eq!(outbound.headers[USER_AGENT], AGENT);
    assert_eq!(outbound.headers["x-own"], "1");
}

#[test]
fn what_a_source_received_goes_out_as_it_came_with_its_method_query_and_headers() {
    let mut came = origin(&[
        ("Content-Type", b"application/x-www-form-urlencoded"),
        ("X-Hub-Signature-256", b"sha256=00"),
        ("X-Twice", b"1"),
        ("User-Agent", b"GitHub-Hookshot/1"),
        ("X-Twice", b"\xFF\xFE"),
    ]);
    came.method = "PUT".to_owned();
    came.query = "a=b&c=%20".to_owned();
    let outbound = sent(came);
    assert_eq!((&outbound.method, outbound.query.as_str()), (&Method::PUT, "a=b&c=%20"));
    assert_eq!(outbound.url, "http://example.com/hook?own=1");
    assert_eq!(passed_on(&outbound), ["content-type", "x-hub-signature-256", "x-twice"]);
    assert_eq!(values(&outbound, "content-type"), [&b"application/x-www-form-urlencoded"[..]]);
    assert_eq!(values(&outbound, "x-twice"), [&b"1"[..], b"\xFF\xFE"]);
    assert_eq!(values(&outbound, "user-agent"), [&b"GitHub-Hookshot/1"[..]]);
    assert_eq!(&*outbound.body, BODY);
}

#[test]
fn no_content_type_is_made_up_and_a_provider_without_a_name_goes_by_ours() {
    let outbound = sent(origin(&[]));
    assert!(!outbound.headers.contains_key(CONTENT_TYPE));
    assert_eq!(outbound.headers[USER_AGENT], AGENT);
}

#[test]
fn headers_of_the_providers_connection_stay_behind() {
    let outbound = sent(origin(&[
        ("Connection", b"keep-alive, X-Hop"),
        ("connection", b"x-other-hop ,close"),
        ("X-Hop", b"1"),
        ("X-Other-Hop", b"1"),
        ("Keep-Alive", b"timeout=5"),
        ("Proxy-Authorization", b"Basic eA=="),
        ("Proxy-Connection", b"keep-alive"),
        ("TE", b"trailers"),
        ("Trailer", b"X-Sum"),
        ("Transfer-Encoding", b"chunked"),
        ("Upgrade", b"h2c"),
        ("HTTP2-Settings", b"x"),
        ("Host", b"in.example.com"),
        ("Content-Length", b"10"),
        ("Expect", b"100-continue"),
        ("Accept-Encoding", b"gzip"),
        ("Content-Encoding", b"gzip"),
        ("Authorization", b"Bearer x"),
    ]));
    assert_eq!(passed_on(&outbound), ["content-encoding", "authorization"]);
}

#[test]
fn our_signature_takes_the_place_of_the_providers_which_goes_out_under_another_name() {
    let outbound = sent(origin(&[
        ("Webhook-Id", b"msg_theirs"),
        ("webhook-timestamp", b"1"),
        ("webhook-signature", b"v1,AAAA"),
        ("svix-id", b"msg_svix"),
        ("svix-signature", b"v1,BBBB"),
        ("Posthaste-Original-Webhook-Id", b"msg_forged"),
    ]));
    assert_eq!(values(&outbound, "posthaste-original-webhook-id"), [b"msg_theirs"]);
    assert_eq!(values(&outbound, "posthaste-original-webhook-timestamp"), [b"1"]);
    assert_eq!(values(&outbound, "posthaste-original-webhook-signature"), [b"v1,AAAA"]);
    assert_eq!(values(&outbound, "posthaste-original-svix-id"), [b"msg_svix"]);
    assert_eq!(values(&outbound, "posthaste-original-svix-signature"), [b"v1,BBBB"]);
    for name in OURS {
        assert_eq!(values(&outbound, name.as_str()).len(), 1, "{name}");
    }
    let header = |name: &str| outbound.headers.get(name).and_then(|value| value.to_str().ok());
    let key = Verifier::from(&Secret::hmac(&[9; 24]).unwrap());
    let signed = Signed::from_headers(header).unwrap();
    verify(&signed, BODY, &[key], NOW.as_secs(), Some(Duration::from_secs(1))).unwrap();
}

#[test]
fn names_that_a_receiver_could_take_for_others_are_left_out() {
    let outbound = sent(origin(&[
        ("webhook_id", b"msg_forged"),
        ("svix-id", b"msg_svix"),
        ("svix_signature", b"v1,AAAA"),
        ("posthaste_original_svix_id", b"msg_forged"),
        ("content_length", b"0"),
        ("transfer-encoding", b"chunked"),
        ("transfer_encoding", b"chunked"),
        ("x_other", b"1"),
    ]));
    assert_eq!(passed_on(&outbound), ["posthaste-original-svix-id", "x_other"]);
}

#[test]
fn an_endpoints_own_headers_replace_the_providers_and_never_a_signature() {
    let came = origin(&[("Content-Type", b"text/plain"), ("X-A", b"1"), ("X-A", b"2"), ("User-Agent", b"p")]);
    let own = [("content-type", "text/html"), ("x-a", "own"), ("user-agent", "me"), ("webhook-id", "own")];
    let outbound = built(Some(came), &own);
    assert_eq!(values(&outbound, "content-type"), [b"text/html"]);
    assert_eq!(values(&outbound, "x-a"), [b"own"]);
    assert_eq!(values(&outbound, "user-agent"), [b"me"]);
    assert_ne!(values(&outbound, "webhook-id"), [b"own"]);
}

#[test]
fn six_methods_go_out_and_any_other_becomes_a_post() {
    let cases = [
        ("GET", Method::GET),
        ("HEAD", Method::HEAD),
        ("POST", Method::POST),
        ("PUT", Method::PUT),
        ("PATCH", Method::PATCH),
        ("DELETE", Method::DELETE),
        ("CONNECT", Method::POST),
        ("TRACE", Method::POST),
        ("get", Method::POST),
        ("", Method::POST),
    ];
    for (came, goes) in cases {
        assert_eq!(method_of(&Origin { method: came.to_owned(), ..Origin::default() }), goes, "{came}");
    }
}

#[test]
fn what_is_no_header_is_left_out_and_harms_no_other() {
    let outbound = sent(origin(&[("X A", b"1"), ("", b"1"), ("X-Break", b"a\r\nb: c"), ("X-Well", b"1")]));
    assert_eq!(passed_on(&outbound), ["x-well"]);
}

#[test]
fn whoever_looks_at_it_sees_no_credential_and_a_signature_only_if_it_is_theirs() {
    let mut came = origin(&[("Authorization", b"Bearer hush"), ("X-Well", b"1")]);
    came.query = "a=1&token=hush".to_owned();
    let outgoing = built(Some(came), &[("X-Api-Key", "hush")]);
    for (with_signature, signature) in
        [(true, &values(&outgoing, "webhook-signature")), (false, &vec![&b"(hidden)"[..]])]
    {
        let shown = outgoing.clone().shown(with_signature);
        for name in ["authorization", "x-api-key"] {
            assert_eq!(values(&shown, name), [b"(hidden)"], "{name}");
        }
        assert_eq!(values(&shown, "x-well"), [b"1"]);
        assert_eq!(&values(&shown, "webhook-signature"), signature);
        assert_eq!(values(&shown, "svix-signature"), values(&shown, "webhook-signature"));
        assert_eq!(shown.draft().url, "http://example.com/hook?own=1&a=1&token=(hidden)");
        let text = printed::as_curl(&shown.draft());
        assert!(text.contains("x-well: 1") && !text.contains("hush"), "{text}");
    }
}
