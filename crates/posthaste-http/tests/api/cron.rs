//! Cron sources over the API: what they show, and that nobody can knock at them.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use posthaste_core::app::Reference;
use posthaste_core::cron::Cron;
use posthaste_core::source::Source;
use posthaste_core::time::{Clock as _, Timestamp};
use posthaste_store::{Directory as _, Sources as _};
use serde_json::{Value, json};

use crate::world::Posthaste;

const SOURCE: &str = "/ingest/api/v1/source/tick";

async fn kept(posthaste: &Posthaste) -> Source {
    let environment = posthaste.store.environment("default", posthaste.clock.now()).await.unwrap().id;
    posthaste.store.source(environment, &Reference::new("tick")).await.unwrap()
}

/// A source `tick` that is due at nine.
async fn made(seed: u64) -> (Posthaste, String, Value) {
    let posthaste = Posthaste::start(seed);
    let token = posthaste.token("default").await;
    let config = json!({ "schedule": "0 9 * * 1-5", "payload": "a,b", "contentType": "text/csv" });
    let body = json!({ "name": "Tick", "uid": "tick", "type": "cron", "config": config });
    let (status, made) = posthaste.call("POST", "/ingest/api/v1/source", &token, Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    (posthaste, token, made)
}

#[tokio::test]
async fn a_cron_source_shows_all_of_its_config_and_changes() {
    let (posthaste, token, made) = made(410).await;
    let config = json!({ "schedule": "0 9 * * 1-5", "payload": "a,b", "contentType": "text/csv" });
    assert_eq!((&made["type"], &made["config"], &made["ingestUrl"]), (&json!("cron"), &config, &Value::Null));
    let (_, renamed) = posthaste.call("PATCH", SOURCE, &token, Some(json!({ "name": "Tock" }))).await;
    assert_eq!((&renamed["name"], &renamed["config"]), (&json!("Tock"), &config));
    let config = json!({ "schedule": "@daily", "payload": "{}" });
    let (_, changed) = posthaste.call("PATCH", SOURCE, &token, Some(json!({ "config": config }))).await;
    assert_eq!((&changed["name"], &changed["config"]), (&json!("Tock"), &config));
    let part = json!({ "config": { "payload": "x" } });
    let (status, _) = posthaste.call("PATCH", SOURCE, &token, Some(part)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "a config is given as a whole");
}

#[tokio::test]
async fn a_schedule_that_stays_goes_on_and_another_begins_when_it_is_set() {
    let (posthaste, token, made) = made(411).await;
    let since = async || Cron::kept(&kept(&posthaste).await.config).unwrap().since;
    let begin = posthaste.clock.now();
    let mut body = json!({ "name": "Tick", "type": "cron", "config": made["config"] });
    let mut call = async |method: &str, name: &str, value: &str| -> (Timestamp, Timestamp) {
        posthaste.clock.advance(Duration::from_secs(1));
        body["config"][name] = json!(value);
        let (status, answer) = posthaste.call(method, SOURCE, &token, Some(body.clone())).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        (since().await, posthaste.clock.now())
    };
    assert_eq!(call("PUT", "payload", "other").await.0, begin);
    assert_eq!(call("PATCH", "payload", "another").await.0, begin);
    let (since, now) = call("PUT", "schedule", "@hourly").await;
    assert_eq!(since, now);
    let (since, now) = call("PATCH", "schedule", "@daily").await;
    assert_eq!(since, now);
}

#[tokio::test]
async fn nobody_can_knock_at_a_cron_source_and_it_has_no_address_to_rotate() {
    let (posthaste, token, _) = made(412).await;
    let door = format!("/in/{}", kept(&posthaste).await.door.expose());
    let knock = async || {
        let answer = posthaste.ask(Request::post(&door).body(Body::from("{}")).unwrap()).await;
        (answer.status(), String::from_utf8(answer.into_body()).unwrap())
    };
    let nobody = Request::post(format!("/in/{}", "x".repeat(32))).body(Body::empty()).unwrap();
    let nobody = posthaste.ask(nobody).await;
    let nobody = (nobody.status(), String::from_utf8(nobody.into_body()).unwrap());
    assert_eq!(knock().await, nobody);
    let (status, answer) = posthaste.call("POST", &format!("{SOURCE}/token/rotate"), &token, None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["detail"].as_str().unwrap().contains("no address"));
    let (_, opened) =
        posthaste.call("PATCH", SOURCE, &token, Some(json!({ "type": "generic-webhook" }))).await;
    assert_eq!(opened["ingestUrl"], format!("http://posthaste.example{door}"));
    assert_eq!(knock().await.0, StatusCode::OK);
    let back = json!({ "type": "cron", "config": { "schedule": "@daily", "payload": "" } });
    assert_eq!(posthaste.call("PATCH", SOURCE, &token, Some(back)).await.0, StatusCode::OK);
    assert_eq!(knock().await, nobody);
}

#[tokio::test]
async fn what_a_cron_source_cannot_be_is_refused_field_by_field() {
    let posthaste = Posthaste::start(413);
    let token = posthaste.token("default").await;
    for (config, field, said) in [
        (Value::Null, "config", "a schedule and a payload"),
        (json!({ "payload": "x" }), "schedule", "required"),
        (json!({ "schedule": "@daily" }), "payload", "required"),
        (json!({ "schedule": 7, "payload": "x" }), "schedule", "string"),
        (json!({ "schedule": "* * * * * *", "payload": "" }), "schedule", "seconds"),
        (json!({ "schedule": "0 25 * * *", "payload": "" }), "schedule", "0 to 23"),
        (json!({ "schedule": "0 0 30 2 *", "payload": "" }), "schedule", "never"),
        (json!({ "schedule": "@daily", "payload": {} }), "payload", "string"),
        (json!({ "schedule": "@daily", "payload": "", "contentType": "a\nb" }), "contentType", "text/plain"),
        (json!({ "schedule": "@daily", "payload": "", "timezone": "CET" }), "timezone", "no setting"),
    ] {
        let body = json!({ "name": "A", "type": "cron", "config": config });
        let (status, answer) = posthaste.call("POST", "/ingest/api/v1/source", &token, Some(body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{config}: {answer}");
        let wrong = &answer["detail"][0];
        assert_eq!(wrong["loc"].as_array().unwrap().last().unwrap(), field, "{answer}");
        assert!(wrong["msg"].as_str().unwrap().contains(said), "{config}: {answer}");
    }
}
