//! What a source took in, as it came: every header in its order, and the body byte for byte.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::try_join_all;
use posthaste_core::app::Reference;
use posthaste_core::bin;
use posthaste_core::message::Message;
use posthaste_core::origin::{Origin, is_credential};
use posthaste_core::source::Source;
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::ChangeError;
use posthaste_store::page::{Order, Page};
use serde_json::{Value, json};

use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::path::Path;
use crate::extract::query::{ListOut, Query};

/// How much of a request is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Some providers send their secret with each request, and a secret is never shown again.
    ButCredentials,
    /// Whoever may touch a bin looks at what they sent to it themselves.
    Whole,
}

/// A source, and how much of its requests the caller may see: also whoever was given a link to it.
async fn looked_at(state: &Shared, caller: Caller, source: String) -> Answer<(EnvironmentId, Source, Shown)> {
    let (environment, own) = caller.environment_and_app();
    let found = state.sources.source(environment, &Reference::new(source)).await;
    match own {
        None => {
            let source = found?;
            let is_bin = source.provider == bin::PROVIDER;
            Ok((environment, source, if is_bin { Shown::Whole } else { Shown::ButCredentials }))
        }
        // One answer for what is another's and for what is not there.
        Some(app) => match found {
            Ok(source) if source.app == app => Ok((environment, source, Shown::ButCredentials)),
            Ok(_) | Err(ChangeError::NotFound(_)) => Err(ApiError::forbidden()),
            Err(error) => Err(error.into()),
        },
    }
}

/// A request on the wire; `None` if its content is gone.
fn out(message: &Message, shown: Shown) -> Option<Value> {
    let (origin, body) = (message.origin.as_deref()?, message.body.as_ref()?);
    let query = if shown == Shown::Whole { origin.query.clone() } else { origin.shown_query() };
    Some(json!({
        "id": message.id.to_string(),
        "timestamp": message.created_at.to_string(),
        "eventType": message.event_type.to_string(),
        "tags": message.tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "method": origin.method,
        "path": origin.path,
        "query": query,
        "headers": headers(origin, shown),
        "body": BASE64_STANDARD.encode(body),
        "bodyBytes": body.len(),
    }))
}

/// Names and values in their order. A value that is no text is in base64; one that is a credential is not there.
fn headers(origin: &Origin, shown: Shown) -> Vec<Value> {
    let one = |(name, value): &(String, Vec<u8>)| match std::str::from_utf8(value) {
        _ if shown == Shown::ButCredentials && is_credential(name) => json!({ "name": name, "hidden": true }),
        Ok(text) => json!({ "name": name, "value": text }),
        Err(_) => json!({ "name": name, "base64": BASE64_STANDARD.encode(value) }),
    };
    origin.headers.iter().map(one).collect()
}

async fn page(
    state: &Shared,
    (environment, source): (EnvironmentId, &Source),
    query: &Query,
    with_content: bool,
) -> Answer<Page<Message>> {
    let filter = query.message_filter()?;
    let page = query.page_of_ids(Order::Descending, state.clock.now())?;
    Ok(state.history.messages(environment, &source.app.into(), &filter, page, with_content).await?)
}

pub(crate) async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
    query: Query,
) -> Answer<Response> {
    let (environment, source, shown) = looked_at(&state, caller, source).await?;
    let page = page(&state, (environment, &source), &query, true).await?;
    // What was removed is passed over, and is a place on its page all the same: the next one begins behind it.
    let list = ListOut::of(page, |message| message.id.to_string(), |message| out(&message, shown));
    Ok(json_of(StatusCode::OK, &list.compact()))
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path((source, message)): Path<(String, String)>,
) -> Answer<Response> {
    let (environment, source, shown) = looked_at(&state, caller, source).await?;
    let message = Reference::new(message);
    let found = state.history.message(environment, &source.app.into(), &message, true).await?;
    let found = out(&found, shown).ok_or_else(|| ApiError::not_found("request"))?;
    Ok(json_of(StatusCode::OK, &found))
}

/// Removes the content of one page of requests for good: that they came, stays known until retention forgets it.
pub(crate) async fn clear(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
    query: Query,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let source = state.sources.source(environment, &Reference::new(source)).await?;
    let app = Reference::from(source.app);
    let page = page(&state, (environment, &source), &query, true).await?;
    let there: Vec<_> = page.rows.iter().filter(|message| message.body.is_some()).collect();
    let removed_count = there.len();
    let ids: Vec<_> = there.iter().map(|message| Reference::new(message.id.to_string())).collect();
    // All at once: they share a commit.
    try_join_all(ids.iter().map(|id| state.history.expunge_message(environment, &app, id))).await?;
    let iterator = page.rows.last().map(|message| message.id.to_string());
    let out = json!({ "removed": removed_count, "iterator": iterator, "done": page.done });
    Ok(json_of(StatusCode::OK, &out))
}
