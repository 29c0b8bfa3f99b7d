//! What is read out of a request that is believed: its type of event, and its id.

use http::{HeaderMap, HeaderName, HeaderValue};
use posthaste_signature::provider::{Request, Verified};

use crate::plausible;
use crate::vector;

/// The type of event and the delivery's id, as the provider of this slug says them.
fn facts(slug: &str, headers: &[(&'static str, &'static str)], body: &str) -> [Option<String>; 2] {
    let vectors = vector::all();
    let receiver = plausible::receiver(posthaste_signature::provider::find(slug).unwrap(), None, &vectors);
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    let url = "https://hooks.example.com/in?type=payment";
    let request = Request { method: "POST", url, headers: &headers, body: body.as_bytes() };
    let verified = Verified::default();
    [receiver.event_type(&request, &verified), receiver.delivery_id(&request, &verified)]
}

#[test]
fn types_and_ids_come_from_headers_bodies_forms_and_queries() {
    let form =
        "payload=%7B%22state%22%3A%22passed%22%7D&mandrill_events=%5B%7B%22event%22%3A%22send%22%7D%5D";
    for (slug, headers, body, kind, id) in [
        (
            "github",
            &[("x-github-event", "push"), ("x-github-delivery", "72d3")][..],
            "{}",
            Some("push"),
            Some("72d3"),
        ),
        (
            "stripe",
            &[],
            r#"{"id":"evt_1","type":"charge.succeeded"}"#,
            Some("charge.succeeded"),
            Some("evt_1"),
        ),
        // Two values are joined, and the first place that has one counts.
        (
            "ably",
            &[],
            r#"{"items":[{"source":"channel.message","name":"a"}]}"#,
            Some("channel.message.a"),
            None,
        ),
        (
            "discord",
            &[],
            r#"{"type":1,"event":{"type":"ENTITLEMENT_CREATE"}}"#,
            Some("ENTITLEMENT_CREATE"),
            None,
        ),
        ("discord", &[], r#"{"type":2,"id":"7"}"#, Some("2"), Some("7")),
        ("mercadopago", &[("x-request-id", "r1")], "", Some("payment"), Some("r1")),
        ("travis-ci", &[], form, Some("passed"), None),
        ("mandrill", &[], form, Some("send"), None),
        // The id of an item, of which more than one change is told: not a delivery's.
        (
            "webflow",
            &[],
            r#"{"triggerType":"collection_item_changed","payload":{"id":"i1"}}"#,
            Some("collection_item_changed"),
            None,
        ),
        // Whichever names of Standard Webhooks were used.
        ("svix", &[("webhook-id", "msg_1")], r#"{"type":"a.b"}"#, Some("a.b"), Some("msg_1")),
        ("svix", &[("svix-id", "msg_2")], "not json", None, Some("msg_2")),
    ] {
        assert_eq!(facts(slug, headers, body), [kind, id].map(|fact| fact.map(str::to_owned)), "{slug}");
    }
}

#[test]
fn types_and_ids_come_from_the_claims_of_a_token() {
    for (id, kind) in
        [("own/wix/valid", Some("wix.ecom.v1.order_created")), ("kinde/valid", Some("user.created"))]
    {
        let vectors = vector::all();
        let vector = vectors.iter().find(|vector| vector.id == id).unwrap();
        let (receiver, body) = (vector.receiver(), vector.body());
        let verified = vector.verdict(&receiver, &body).unwrap();
        let headers = HeaderMap::new();
        let request = vector.request(&headers, &body);
        assert_eq!(receiver.event_type(&request, &verified).as_deref(), kind, "{id}");
        // Without the claims nothing is known: the token is not read twice.
        assert_eq!(receiver.event_type(&request, &Verified::default()), None);
    }
}
