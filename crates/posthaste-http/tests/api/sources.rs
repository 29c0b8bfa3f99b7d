//! Sources over the API: made, changed, refused in words.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::Posthaste;

const SOURCES: &str = "/ingest/api/v1/source";

/// A path of one source.
fn at(source: &Value, rest: &str) -> String {
    format!("{SOURCES}/{}{rest}", source["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_source_is_made_read_changed_and_deleted() {
    let posthaste = Posthaste::start(400);
    let token = posthaste.token("default").await;
    let body = json!({ "name": "Pay", "uid": "pay", "type": "stripe", "config": { "secret": "whsec_x" }, "metadata": { "a": "b" } });
    let (status, made) = posthaste.call("POST", SOURCES, &token, Some(body)).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(!made.to_string().contains("whsec_x"));
    assert_eq!((&made["provider"]["evidence"], &made["provider"]["covers"]), (&json!("sdk"), &json!("all")));
    assert_eq!(
        posthaste.call("GET", &format!("{SOURCES}/pay"), &token, None).await,
        (StatusCode::OK, made.clone())
    );
    let (_, changed) = posthaste.call("PATCH", &at(&made, ""), &token, Some(json!({ "name": "Paid" }))).await;
    assert_eq!(
        (&changed["name"], &changed["type"], &changed["metadata"]["a"]),
        (&json!("Paid"), &json!("stripe"), &json!("b"))
    );
    let whole = json!({ "name": "Hub", "type": "github", "config": { "secret": "s" }, "paused": true });
    let (status, put) = posthaste.call("PUT", &format!("{SOURCES}/pay"), &token, Some(whole.clone())).await;
    assert_eq!(
        (status, &put["type"], &put["uid"], &put["paused"]),
        (StatusCode::OK, &json!("github"), &json!("pay"), &json!(true))
    );
    assert_eq!(put["metadata"], json!({}));
    let (status, put) = posthaste.call("PUT", &format!("{SOURCES}/hub"), &token, Some(whole)).await;
    assert_eq!((status, &put["uid"]), (StatusCode::CREATED, &json!("hub")));
    let (_, page) = posthaste.call("GET", SOURCES, &token, None).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    assert_eq!(posthaste.call("DELETE", &at(&made, ""), &token, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(posthaste.call("GET", &at(&made, ""), &token, None).await.0, StatusCode::NOT_FOUND);
    let (_, apps) = posthaste.call("GET", "/api/v1/app", &token, None).await;
    assert_eq!(apps["data"], json!([]));
}

#[tokio::test]
async fn a_source_of_another_environment_is_not_found() {
    let posthaste = Posthaste::start(401);
    let (ours, theirs) = (posthaste.token("default").await, posthaste.token("other").await);
    let body = json!({ "name": "A", "uid": "a", "type": "generic-webhook" });
    let (_, made) = posthaste.call("POST", SOURCES, &ours, Some(body)).await;
    for path in [at(&made, ""), format!("{SOURCES}/a"), at(&made, "/log"), at(&made, "/endpoint")] {
        assert_eq!(posthaste.call("GET", &path, &theirs, None).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(posthaste.call("DELETE", &at(&made, ""), &theirs, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        posthaste.call("POST", &at(&made, "/token/rotate"), &theirs, None).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn every_type_of_svixs_ingest_can_be_made() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/api/svix-full.openapi.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: the hosted API's OpenAPI document is not here");
        return;
    };
    let document: Value = serde_json::from_str(&text).unwrap();
    let posthaste = Posthaste::start(402);
    let token = posthaste.token("default").await;
    let config = json!({
        "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "verifyToken": "v",
        "publicKey": "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
    });
    let cron = json!({ "schedule": "0 9 * * 1-5", "payload": "{}" });
    let kinds = document["components"]["schemas"]["IngestSourceIn"]["oneOf"].as_array().unwrap();
    for kind in kinds {
        let kind = &kind["properties"]["type"]["enum"][0];
        let config = match kind.as_str() {
            Some("cron") => cron.clone(),
            Some("adobe-sign") => json!({ "clientId": "c" }),
            _ => config.clone(),
        };
        let body = json!({ "name": "Any", "type": kind, "config": config });
        let (status, made) = posthaste.call("POST", SOURCES, &token, Some(body)).await;
        assert_eq!((status, &made["type"]), (StatusCode::CREATED, kind), "{made}");
    }
    assert!(kinds.len() > 40);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_field_and_the_way_out() {
    let posthaste = Posthaste::start(403);
    let token = posthaste.token("default").await;
    for (change, field, said) in [
        (json!({ "type": "nobody" }), "type", "generic-hmac"),
        (json!({ "type": null }), "type", "null"),
        (json!({ "config": {} }), "config", "secret"),
        (json!({ "config": { "secret": "" } }), "config", "must not be empty"),
        (json!({ "config": { "secret": 7 } }), "config", "must be text"),
        (json!({ "config": { "secret": "s", "tolerenceSeconds": 7 } }), "config", "tolerence_seconds"),
        (json!({ "config": { "secret": "s", "toleranceSeconds": -1 } }), "config", "toleranceSeconds"),
        (json!({ "config": { "secret": "s", "variant": "x" } }), "config", "no scheme"),
        (json!({ "type": "discord", "config": { "publicKey": "x" } }), "config", "public_key"),
        (json!({ "type": "generic-hmac", "config": { "secret": "s" } }), "config", "header"),
        (json!({ "name": "" }), "name", "empty"),
        (json!({ "uid": "src_x" }), "uid", "src_"),
        (json!({ "dedupe": { "by": "luck" } }), "by", "header:Name"),
        (json!({ "dedupe": { "windowSeconds": 0 } }), "windowSeconds", "from 1"),
        (json!({ "allowedNetworks": ["10.0.0.0/99"] }), "allowedNetworks", "192.0.2.0/24"),
        (json!({ "bodyBytesMax": 0 }), "bodyBytesMax", "from 1"),
        (json!({ "bodyBytesMax": 1_000_000_000 }), "bodyBytesMax", "20971520"),
        (json!({ "methods": [] }), "methods", "empty"),
        (json!({ "methods": ["TRACE"] }), "methods", "out of"),
        (json!({ "schema": { "type": 7 } }), "schema", "JSON Schema"),
        (json!({ "schema": { "$ref": "https://example.com/x" } }), "schema", "JSON Schema"),
        (json!({ "schemaMismatch": "shrug" }), "schemaMismatch", "reject or flag"),
        (json!({ "answer": { "status": 500 } }), "status", "200 to 299"),
        (json!({ "answer": { "headers": { "Set-Cookie": "a" } } }), "headers", "no header that can be set"),
        (json!({ "answer": { "headers": { "x": "a\nb" } } }), "headers", "character"),
        (json!({ "answer": { "delayMs": 60_000 } }), "delayMs", "10000"),
        (json!({ "answer": { "status": 204, "body": "taken" } }), "body", "no body with the status 204"),
    ] {
        let mut body = json!({ "name": "A", "type": "github", "config": { "secret": "s" } });
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let (status, answer) = posthaste.call("POST", SOURCES, &token, Some(body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{change}: {answer}");
        let wrong = &answer["detail"][0];
        assert_eq!(wrong["loc"].as_array().unwrap().last().unwrap(), field, "{answer}");
        assert!(wrong["msg"].as_str().unwrap().contains(said), "{change}: {answer}");
    }
    let (_, page) = posthaste.call("GET", SOURCES, &token, None).await;
    assert_eq!(page["data"], json!([]));
}

#[tokio::test]
async fn the_endpoints_of_a_source_have_secrets_and_headers_of_their_own() {
    let posthaste = Posthaste::start(404);
    let token = posthaste.token("default").await;
    let body = json!({ "name": "A", "type": "generic-webhook" });
    let (_, source) = posthaste.call("POST", SOURCES, &token, Some(body)).await;
    let endpoint = json!({ "url": "https://example.com/", "uid": "e" });
    let (status, made) = posthaste.call("POST", &at(&source, "/endpoint"), &token, Some(endpoint)).await;
    assert_eq!(status, StatusCode::CREATED);
    let (_, secret) = posthaste.call("GET", &at(&source, "/endpoint/e/secret"), &token, None).await;
    let path = at(&source, "/endpoint/e/secret/rotate");
    assert_eq!(posthaste.call("POST", &path, &token, Some(json!({}))).await.0, StatusCode::OK);
    let (_, rotated) = posthaste.call("GET", &at(&source, "/endpoint/e/secret"), &token, None).await;
    assert_ne!(secret["key"], rotated["key"]);
    let headers = json!({ "headers": { "x-a": "b" } });
    let path = at(&source, "/endpoint/e/headers");
    assert_eq!(posthaste.call("PUT", &path, &token, Some(headers.clone())).await.0, StatusCode::NO_CONTENT);
    assert_eq!(posthaste.call("GET", &path, &token, None).await.1["headers"], headers["headers"]);
    // The same endpoint through the source's own app.
    let path = format!(
        "/api/v1/app/{}/endpoint/{}",
        source["appId"].as_str().unwrap(),
        made["id"].as_str().unwrap()
    );
    assert_eq!(posthaste.call("GET", &path, &token, None).await.0, StatusCode::OK);
    let (status, link) = posthaste.call("POST", &at(&source, "/dashboard"), &token, Some(json!({}))).await;
    assert_eq!(status, StatusCode::OK);
    assert!(link["token"].is_string());
    assert_eq!(
        posthaste.call("DELETE", &at(&source, "/endpoint/e"), &token, None).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        posthaste.call("GET", &at(&source, "/endpoint/e"), &token, None).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn patches_of_different_rules_do_not_undo_each_other() {
    let posthaste = Posthaste::start(405);
    let token = posthaste.token("default").await;
    let body = json!({ "name": "A", "type": "generic-webhook" });
    let (_, source) = posthaste.call("POST", SOURCES, &token, Some(body)).await;
    let path = at(&source, "");
    let patches = [
        json!({ "bodyBytesMax": 100 }),
        json!({ "rateLimit": 7 }),
        json!({ "methods": ["PUT"] }),
        json!({ "allowedNetworks": ["10.0.0.0/8"] }),
    ];
    let sent = patches.iter().map(|patch| posthaste.call("PATCH", &path, &token, Some(patch.clone())));
    for (status, answer) in futures_util::future::join_all(sent).await {
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    let (_, source) = posthaste.call("GET", &path, &token, None).await;
    for (name, value) in patches.iter().flat_map(|patch| patch.as_object().unwrap()) {
        assert_eq!(&source[name], value);
    }
}
