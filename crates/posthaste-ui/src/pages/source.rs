//! One source: what came in, what was refused and why, and what is to be told to its provider.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::bin;
use posthaste_core::source::{Refusal, Source};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_signature::provider;
use posthaste_store::history::MessageFilter;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::{Deserialize, Serialize};

use super::{Frame, Place, messages, providers, sources};
use crate::Shared;
use crate::api::part;
use crate::error::Answer;
use crate::payload::{self, Payload};
use crate::session::Visitor;
use crate::words::{self, Moment, moment};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/ui/sources/{source}", get(requests))
        .route("/ui/sources/{source}/rejected", get(rejected))
}

#[derive(Deserialize)]
pub(crate) struct At {
    pub(crate) source: String,
}

/// A request that was refused.
#[derive(Serialize)]
struct Refused {
    id: String,
    at: Moment,
    method: String,
    path: String,
    query: String,
    /// What was wrong …
    reason: String,
    /// … and what would have helped, one sentence each.
    hints: Vec<String>,
    status: u16,
    remote: Option<String>,
    headers: Vec<(String, String)>,
    body: Payload,
    size: String,
    is_cut: bool,
}

/// The reason, and the hints that stand behind it.
fn told(reason: &str) -> (String, Vec<String>) {
    let mut sentences = reason.split(". ").map(|sentence| sentence.trim_end_matches('.').to_owned());
    (sentences.next().unwrap_or_default(), sentences.filter(|hint| !hint.is_empty()).collect())
}

fn refused(refusal: &Refusal, now: Timestamp) -> Refused {
    let (reason, hints) = told(&refusal.reason);
    let size = usize::try_from(refusal.body_bytes_count).unwrap_or(usize::MAX);
    Refused {
        id: refusal.id.to_string(),
        at: moment(refusal.at, now),
        method: refusal.origin.method.clone(),
        path: refusal.origin.path.clone(),
        query: refusal.origin.shown_query(),
        reason,
        hints,
        status: refusal.status,
        remote: refusal.remote.map(|remote| remote.to_string()),
        headers: refusal
            .origin
            .shown_headers()
            .map(|(name, value)| (name.to_owned(), value.into_owned()))
            .collect(),
        body: payload::shown(&refusal.body),
        size: words::size(size),
        is_cut: refusal.body.len() < size,
    }
}

/// The source of a page; a bin has a page of its own.
async fn found(
    state: &Shared,
    visitor: &Visitor,
    at: &At,
) -> Answer<Result<(EnvironmentId, Source), Redirect>> {
    let environment = visitor.environment()?;
    let source = state.sources.source(environment, &Reference::new(at.source.as_str())).await?;
    if source.provider == bin::PROVIDER {
        return Ok(Err(Redirect::to(&format!("/ui/bins/{}", part(&at.source)))));
    }
    Ok(Ok((environment, source)))
}

/// What came last, taken or not.
#[derive(Serialize)]
struct Last {
    taken: Option<Moment>,
    checked: &'static str,
    /// Only if nothing was taken since.
    refused: Option<Refused>,
}

async fn requests(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Query(place): Query<Place>,
) -> Answer<Response> {
    let (environment, source) = match found(&state, &visitor, &at).await? {
        Ok(found) => found,
        Err(elsewhere) => return Ok(elsewhere.into_response()),
    };
    let now = state.clock.now();
    let (app, request) = (Reference::from(source.app), place.request(Order::Descending)?);
    let page = state.history.messages(environment, &app, &MessageFilter::default(), request, false).await?;
    let turns = place.turns(&page, |message| message.id.to_string());
    let one = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: 1 };
    let newest = state.history.messages(environment, &app, &MessageFilter::default(), one, false).await?;
    let one = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: 1 };
    let refusals = state.sources.refusals(environment, &Reference::new(at.source.as_str()), one).await?;
    let taken_at = newest.rows.first().map(|message| message.created_at);
    let unanswered = refusals.rows.first().filter(|refusal| taken_at.is_none_or(|at| refusal.at > at));
    let last = Last {
        taken: taken_at.map(|at| moment(at, now)),
        checked: providers::checked(&source.provider),
        refused: unanswered.map(|refusal| refused(refusal, now)),
    };
    let is_first = place.after.is_none() && place.before.is_none();
    let live =
        is_first.then(|| page.rows.first().map_or_else(|| "0".to_owned(), |message| message.id.to_string()));
    let facts =
        provider::find(&source.provider).map(|provider| providers::facts(provider, |_| String::new()));
    let context = context! {
        frame => Frame::of(&visitor), source => sources::row(&source, &state.public_url, now), turns, last, live,
        facts, messages => page.rows.iter().map(|message| messages::row(message, now)).collect::<Vec<_>>(),
    };
    Ok(state.templates.render("source.html", context).into_response())
}

async fn rejected(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Query(place): Query<Place>,
) -> Answer<Response> {
    let (environment, source) = match found(&state, &visitor, &at).await? {
        Ok(found) => found,
        Err(elsewhere) => return Ok(elsewhere.into_response()),
    };
    let now = state.clock.now();
    let request = place.request(Order::Descending)?;
    let page = state.sources.refusals(environment, &Reference::new(at.source.as_str()), request).await?;
    let turns = place.turns(&page, |refusal| refusal.id.to_string());
    let context = context! {
        frame => Frame::of(&visitor), source => sources::row(&source, &state.public_url, now), turns,
        refusals => page.rows.iter().map(|refusal| refused(refusal, now)).collect::<Vec<_>>(),
    };
    Ok(state.templates.render("source_rejected.html", context).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_from_its_hints() {
        let (reason, hints) = told("the signature does not match. it would with a line feed less. trim it.");
        assert_eq!(reason, "the signature does not match");
        assert_eq!(hints, ["it would with a line feed less", "trim it"]);
        assert_eq!(told("no signature"), ("no signature".to_owned(), vec![]));
    }
}
