//! The inbound door, from the side of those who know its address and not its secret.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use serde_json::json;

use crate::inbound::{Source, signature};

/// A body that ends when the test says so.
fn held_back() -> (tokio::sync::oneshot::Sender<Bytes>, Body) {
    let (send, receive) = tokio::sync::oneshot::channel();
    (send, Body::from_stream(futures_util::stream::once(receive)))
}

#[tokio::test]
async fn a_handshake_that_was_held_back_does_not_replace_the_secret_that_was_learned() {
    let source = Source::of(500, json!({ "name": "Asana", "type": "asana", "config": {} })).await;
    let shake = |secret: &str, body: Body| {
        let request = Request::post(&source.door).header("x-hook-secret", secret).body(body).unwrap();
        source.posthaste.ask(request)
    };
    let (end, held) = held_back();
    let (stranger, provider) = tokio::join!(shake("evil", held), async {
        let answer = shake("hush", Body::empty()).await;
        end.send(Bytes::new()).unwrap();
        answer
    });
    assert_eq!((stranger.status(), provider.status()), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
    for (secret, expected) in [("hush", StatusCode::OK), ("evil", StatusCode::UNAUTHORIZED)] {
        let signed = signature(secret, b"{\"events\":[1]}").replace("sha256=", "");
        let request = Request::post(&source.door).header("x-hook-signature", signed);
        let answer = source.posthaste.ask(request.body(Body::from("{\"events\":[1]}")).unwrap()).await;
        assert_eq!(answer.status(), expected, "{secret}");
    }
}

#[tokio::test]
async fn a_learned_secret_outlives_changes_that_say_nothing_of_secrets() {
    let whole = json!({ "name": "Asana", "type": "asana", "config": {} });
    let source = Source::of(501, whole.clone()).await;
    let path = format!("/ingest/api/v1/source/{}", source.id);
    let shake = |secret: &str| {
        source
            .posthaste
            .ask(Request::post(&source.door).header("x-hook-secret", secret).body(Body::empty()).unwrap())
    };
    assert_eq!(shake("hush").await.status(), StatusCode::OK);
    for (method, body) in [
        ("PUT", whole),
        ("PATCH", json!({ "config": { "toleranceSeconds": null } })),
        ("PATCH", json!({ "type": "asana" })),
    ] {
        let (status, _) = source.posthaste.call(method, &path, &source.token, Some(body)).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(shake("evil").await.status(), StatusCode::FORBIDDEN, "{method}");
    }
    // Whoever wants to connect it anew says so.
    source.change(json!({ "config": { "secrets": [] } })).await;
    assert_eq!(shake("fresh").await.status(), StatusCode::OK);
}
