//! Replays as they are asked for: what is counted, what is refused, and the jobs that come of them.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use posthaste_core::delivery::{DeadLetter, Verdict};
use posthaste_core::id::EndpointId;
use posthaste_core::time::Clock as _;
use posthaste_store::Queue as _;
use posthaste_store::queue::Record;
use posthaste_store::replay::ReplayStep;
use serde_json::{Value, json};

use crate::world::Posthaste;

const APP: &str = "/api/posthaste/v1/app/a/replay";
const ENDPOINT: &str = "/api/v1/app/a/endpoint/e";
const TASKS: &str = "/api/v1/background-task";

/// An app with an endpoint, and deliveries to it that were given up; a second later.
async fn with_dead(seed: u64, count: usize) -> (Posthaste, String, Vec<String>) {
    let (posthaste, token) = Posthaste::with_endpoint(seed).await;
    let mut messages = Vec::new();
    for number in 0..count {
        let body = json!({ "eventType": format!("kind.{}", number % 2), "payload": { "n": number } });
        let (_, made) = posthaste.call("POST", "/api/v1/app/a/msg", &token, Some(body)).await;
        messages.push(made["id"].as_str().unwrap().to_owned());
    }
    let (_, endpoint) = posthaste.call("GET", ENDPOINT, &token, None).await;
    let endpoint = EndpointId::parse(endpoint["id"].as_str().unwrap()).unwrap();
    let now = posthaste.clock.now();
    for claimed in posthaste.store.claim(endpoint, 100, Duration::from_secs(60), now).await.unwrap() {
        let verdict = Verdict::GiveUp(DeadLetter::Exhausted);
        let record = Record { key: claimed.key(), lease: claimed.lease, attempt: None, verdict };
        posthaste.store.record(record, now).await.unwrap();
    }
    posthaste.clock.advance(Duration::from_secs(1));
    (posthaste, token, messages)
}

async fn asks(posthaste: &Posthaste, token: &str, path: &str, body: Value) -> (StatusCode, Value) {
    posthaste.call("POST", path, token, Some(body)).await
}

async fn step(posthaste: &Posthaste) {
    let step = posthaste.store.step_replay(posthaste.clock.now()).await.unwrap();
    assert!(matches!(step, ReplayStep::Made(_)));
}

#[tokio::test]
async fn a_dry_run_counts_and_starts_nothing() {
    let (posthaste, token, messages) = with_dead(800, 5).await;
    for (body, count) in [
        (json!({ "dryRun": true }), 5),
        (json!({ "dryRun": true, "status": "delivered" }), 0),
        (json!({ "dryRun": true, "eventTypes": ["kind.1"] }), 2),
        (json!({ "dryRun": true, "endpoint": "e", "messages": [messages[0], messages[3]] }), 2),
        (json!({ "dryRun": true, "until": "2014-06-01T00:00:00Z" }), 0),
    ] {
        let (status, answer) = asks(&posthaste, &token, APP, body.clone()).await;
        assert_eq!((status, answer), (StatusCode::OK, json!({ "count": count, "more": false })), "{body}");
    }
    let (_, jobs) = posthaste.call("GET", TASKS, &token, None).await;
    assert_eq!(jobs["data"], json!([]));
}

#[tokio::test]
async fn a_replay_is_a_job_that_is_looked_at_listed_and_stopped() {
    let (posthaste, token, _) = with_dead(801, 5).await;
    let body = json!({ "ratePerSecond": 8 });
    let (status, job) = asks(&posthaste, &token, APP, body).await;
    assert_eq!(
        (status, &job["status"], &job["task"]),
        (StatusCode::ACCEPTED, &json!("running"), &json!("endpoint.bulk-replay"))
    );
    assert_eq!((&job["data"]["total"], &job["data"]["deliveriesPutBack"]), (&json!(5), &json!(0)));
    step(&posthaste).await;
    let path = format!("{TASKS}/{}", job["id"].as_str().unwrap());
    let (_, now) = posthaste.call("GET", &path, &token, None).await;
    assert_eq!(now["data"]["deliveriesPutBack"], 2, "of eight a second, a quarter");
    let (_, list) = posthaste.call("GET", &format!("{TASKS}?status=running"), &token, None).await;
    assert_eq!(list["data"], json!([now]));
    let cancel = format!("/api/posthaste/v1/background-task/{}/cancel", job["id"].as_str().unwrap());
    for _ in 0..2 {
        let (status, stopped) = posthaste.call("POST", &cancel, &token, None).await;
        assert_eq!(
            (status, &stopped["status"], &stopped["data"]["state"]),
            (StatusCode::OK, &json!("failed"), &json!("cancelled"))
        );
    }
    let (_, list) =
        posthaste.call("GET", &format!("{TASKS}?status=failed&task=endpoint.replay"), &token, None).await;
    assert_eq!(list["data"], json!([]));
    let (status, _) = posthaste.call("GET", &format!("{TASKS}?task=sdk.generate"), &token, None).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_repetition_with_the_same_idempotency_key_starts_no_second_job() {
    let (posthaste, token, _) = with_dead(802, 1).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let request = Request::post(APP)
            .header("authorization", format!("Bearer {token}"))
            .header("idempotency-key", "once")
            .body(Body::from("{}"));
        let answer = posthaste.ask(request.unwrap()).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        ids.push(serde_json::from_slice::<Value>(answer.body()).unwrap()["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    let (_, jobs) = posthaste.call("GET", TASKS, &token, None).await;
    assert_eq!(jobs["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_svix_calls_bulk_replay_and_replay_missing_are_such_jobs() {
    let (posthaste, token, _) = with_dead(803, 3).await;
    let since = "2014-06-01T00:00:00Z";
    for (path, body, task, total) in [
        (
            "bulk-replay",
            json!({ "since": since, "status": 2, "eventTypes": ["kind.0"] }),
            "endpoint.bulk-replay",
            2,
        ),
        ("bulk-replay", json!({ "since": since }), "endpoint.bulk-replay", 3),
        ("replay-missing", json!({ "since": since }), "endpoint.replay", 0),
    ] {
        let (status, job) = asks(&posthaste, &token, &format!("{ENDPOINT}/{path}"), body.clone()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{path} {body} {job}");
        assert_eq!((&job["task"], &job["data"]["total"]), (&json!(task), &json!(total)), "{path} {body}");
    }
}

#[tokio::test]
async fn what_cannot_be_replayed_is_refused_in_a_sentence() {
    let (posthaste, token, _) = with_dead(804, 1).await;
    for (body, field) in [
        (json!({ "sinse": "2026-01-01T00:00:00Z" }), "sinse is no setting that there is"),
        (json!({ "status": "dead" }), "status must be failed, delivered or any"),
        (json!({ "messages": [] }), "messages must hold 1 to 1000 message ids"),
        (json!({ "messages": ["ep_1"] }), "messages item 0 is no id of a message, msg_…"),
        (json!({ "since": "2999-01-01T00:00:00Z" }), "since must not lie in the future"),
        (json!({ "ratePerSecond": 0 }), "ratePerSecond must be a whole number from 1 to 65535"),
    ] {
        let (status, answer) = asks(&posthaste, &token, APP, body.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer["detail"][0]["msg"], field, "{body}");
    }
    let many: Vec<Value> = vec![json!("msg_2Kx9fZbQv1h0WcYlH8mTtJp3aRs"); 1_001];
    assert_eq!(
        asks(&posthaste, &token, APP, json!({ "messages": many })).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let bulk = format!("{ENDPOINT}/bulk-replay");
    for body in [json!({}), json!({ "since": "2026-01-01T00:00:00Z", "status": 1 })] {
        assert_eq!(asks(&posthaste, &token, &bulk, body).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
    posthaste.call("PATCH", ENDPOINT, &token, Some(json!({ "disabled": true }))).await;
    let (status, answer) = asks(&posthaste, &token, APP, json!({ "endpoint": "e" })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(answer["detail"], "the endpoint is disabled: enable it before you replay to it");
    let (status, _) = asks(&posthaste, &token, APP, json!({ "endpoint": "nobody" })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_customer_may_replay_its_own_and_see_no_jobs() {
    let (posthaste, token, _) = with_dead(805, 1).await;
    let writer = posthaste.portal_token(&token, false).await;
    let reader = posthaste.portal_token(&token, true).await;
    assert_eq!(asks(&posthaste, &reader, APP, json!({ "dryRun": true })).await.0, StatusCode::FORBIDDEN);
    assert_eq!(asks(&posthaste, &writer, APP, json!({ "dryRun": true })).await.0, StatusCode::OK);
    let (status, job) = asks(&posthaste, &writer, APP, json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let cancel = format!("/api/posthaste/v1/background-task/{}/cancel", job["id"].as_str().unwrap());
    assert_eq!(posthaste.call("POST", &cancel, &writer, None).await.0, StatusCode::FORBIDDEN);
    assert_eq!(posthaste.call("GET", TASKS, &writer, None).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_source_is_replayed_by_its_own_name() {
    let (posthaste, token, _) = with_dead(806, 1).await;
    let source = json!({ "name": "S", "uid": "s", "type": "generic-webhook" });
    posthaste.call("POST", "/ingest/api/v1/source", &token, Some(source)).await;
    let path = "/api/posthaste/v1/source/s/replay";
    let (status, answer) = asks(&posthaste, &token, path, json!({ "dryRun": true, "status": "any" })).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({ "count": 0, "more": false })));
    assert_eq!(asks(&posthaste, &token, path, json!({})).await.0, StatusCode::ACCEPTED);
    let nobody = "/api/posthaste/v1/source/nobody/replay";
    assert_eq!(asks(&posthaste, &token, nobody, json!({})).await.0, StatusCode::NOT_FOUND);
}
