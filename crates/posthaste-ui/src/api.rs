//! The API, asked as any client asks it: with the visitor's own session as its token.

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::Shared;
use crate::error::{Answer, UiError};
use crate::session::Visitor;

/// Writes a value as a part of a path.
pub(crate) fn part(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Asks, and returns what was answered; a refusal in its own words.
pub(crate) async fn ask(
    state: &Shared,
    visitor: &Visitor,
    method: Method,
    path: &str,
    body: &Value,
) -> Answer<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    ask_with(state, visitor, method, path, body).await
}

/// The same with a body that is written already.
pub(crate) async fn ask_with(
    state: &Shared,
    visitor: &Visitor,
    method: Method,
    path: &str,
    body: String,
) -> Answer<Value> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(AUTHORIZATION, format!("Bearer {}", visitor.session()))
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(|_| UiError::NotFound("page"))?;
    let Ok(response) = state.api.clone().oneshot(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|_| UiError::Unavailable)?.to_bytes();
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    match status.as_u16() {
        200..300 => Ok(said),
        403 => Err(UiError::Forbidden),
        404 => Err(UiError::NotFound("page")),
        503 => Err(UiError::Unavailable),
        400..500 => Err(UiError::Rejected(sentence(&said["detail"]))),
        _ => Err(UiError::Failed),
    }
}

/// A refusal's detail: one sentence, or one for each field.
fn sentence(detail: &Value) -> String {
    let one = |detail: &Value| {
        let field = detail["loc"].as_array().and_then(|places| places.last()).and_then(Value::as_str);
        let (field, said) = (field.unwrap_or_default(), detail["msg"].as_str().unwrap_or_default());
        // Some name their field themselves.
        if said.starts_with(field) { said.to_owned() } else { format!("{field} {said}") }
    };
    match detail {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(one).collect::<Vec<_>>().join("; "),
        _ => "The server said no, and not why.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_told_in_its_own_words() {
        assert_eq!(sentence(&json!("it is gone")), "it is gone");
        let fields = json!([{ "loc": ["body", "url"], "msg": "must be https", "type": "value_error" }]);
        assert_eq!(sentence(&fields), "url must be https");
        let named =
            json!([{ "loc": ["body", "url"], "msg": "url must be https" }, { "loc": [], "msg": "no" }]);
        assert_eq!(sentence(&named), "url must be https; no");
    }
}
