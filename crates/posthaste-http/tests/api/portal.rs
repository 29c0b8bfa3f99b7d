//! Portal links that end, and how the portal looks.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::Posthaste;

const EXPIRE: &str = "/api/v1/auth/app/a/expire-all";
const PORTAL: &str = "/api/posthaste/v1/portal";

async fn works(posthaste: &Posthaste, token: &str) -> bool {
    posthaste.call("GET", "/api/v1/app/a/endpoint", token, None).await.0 == StatusCode::OK
}

#[tokio::test]
async fn all_links_of_an_app_end_at_once_or_after_a_while() {
    let (posthaste, token) = Posthaste::with_endpoint(720).await;
    let (first, second) =
        (posthaste.portal_token(&token, false).await, posthaste.portal_token(&token, true).await);
    let later = posthaste.call("POST", EXPIRE, &token, Some(json!({ "expiry": 60 }))).await;
    assert_eq!(later, (StatusCode::NO_CONTENT, Value::Null));
    assert!(works(&posthaste, &first).await && works(&posthaste, &second).await);
    posthaste.clock.advance(Duration::from_secs(60));
    assert!(!works(&posthaste, &first).await && !works(&posthaste, &second).await);
    let third = posthaste.portal_token(&token, false).await;
    assert!(works(&posthaste, &third).await, "links made afterwards are others");
    assert_eq!(posthaste.call("POST", EXPIRE, &token, None).await.0, StatusCode::NO_CONTENT);
    assert!(!works(&posthaste, &third).await);
    assert!(works(&posthaste, &token).await, "whoever made them goes on");
}

#[tokio::test]
async fn what_ending_all_links_cannot_do_is_refused_and_ends_nothing() {
    let (posthaste, token) = Posthaste::with_endpoint(721).await;
    let link = posthaste.portal_token(&token, false).await;
    for body in [json!({ "expiry": -1 }), json!({ "expiry": 259_201 }), json!({ "sessionIds": ["user_1"] })] {
        let refused = posthaste.call("POST", EXPIRE, &token, Some(body.clone())).await;
        assert_eq!(refused.0, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
    assert_eq!(
        posthaste.call("POST", EXPIRE, &token, Some(json!({ "sessionIds": [] }))).await.0,
        StatusCode::NO_CONTENT
    );
    assert!(!works(&posthaste, &link).await);
}

#[tokio::test]
async fn looks_read_back_as_they_were_chosen_and_are_the_environments_own() {
    let (posthaste, token) = Posthaste::with_endpoint(722).await;
    let other = posthaste.token("other").await;
    let (_, before) = posthaste.call("GET", PORTAL, &token, None).await;
    assert_eq!((before["name"].clone(), before["publicCatalogue"].clone()), (Value::Null, json!(false)));
    let chosen = json!({
        "name": "Acme", "logo": "data:image/png;base64,iVBORw0KGgo=", "primaryColorLight": "#28BB93", "fontFamily": "Inter",
    });
    let (status, said) = posthaste.call("PATCH", PORTAL, &token, Some(chosen)).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    assert_eq!(said["primaryColorLight"], "28bb93");
    let (_, said) = posthaste.call("PATCH", PORTAL, &token, Some(json!({ "fontFamily": null }))).await;
    assert_eq!((said["name"].clone(), said["fontFamily"].clone()), (json!("Acme"), Value::Null));
    assert_eq!(posthaste.call("GET", PORTAL, &token, None).await.1, said);
    assert_eq!(posthaste.call("GET", PORTAL, &other, None).await.1, before, "another environment's");
}

#[tokio::test]
async fn looks_that_make_no_sense_are_refused_and_change_nothing() {
    let (posthaste, token) = Posthaste::with_endpoint(723).await;
    let (_, before) = posthaste.call("GET", PORTAL, &token, None).await;
    for body in [
        json!({ "name": "" }),
        json!({ "name": "x".repeat(61) }),
        json!({ "logo": "http://cdn.example/a.png" }),
        json!({ "logo": "data:text/html;base64,PHNjcmlwdD4=" }),
        json!({ "primaryColorLight": "red;}" }),
        json!({ "fontFamily": "x;}*{" }),
        json!({ "publicCatalogue": null }),
        json!({ "colour": "28bb93" }),
    ] {
        let (status, said) = posthaste.call("PATCH", PORTAL, &token, Some(body.clone())).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {said}");
    }
    assert_eq!(posthaste.call("GET", PORTAL, &token, None).await.1, before);
}

#[tokio::test]
async fn a_catalogue_that_is_published_again_has_another_address() {
    let (posthaste, token) = Posthaste::with_endpoint(724).await;
    let publish = async |is_public: bool| {
        let body = json!({ "publicCatalogue": is_public });
        posthaste.call("PATCH", PORTAL, &token, Some(body)).await.1["catalogueUrl"].clone()
    };
    let first = publish(true).await;
    assert!(first.as_str().unwrap().starts_with("http://posthaste.example/events/"), "{first}");
    assert_eq!(publish(true).await, first);
    assert_eq!(publish(false).await, Value::Null);
    assert_ne!(publish(true).await, first);
}
