//! What can be set of a bin: what it answers, how long it keeps, where it hands on, who else may look; and emptying it.

use std::time::Duration;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::bin;
use posthaste_store::directory::Owner;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer_form::AnswerForm;
use super::app::endpoint_row;
use super::bin::At;
use super::{Frame, ROWS, sources};
use crate::Shared;
use crate::api::{ask, part};
use crate::error::{Answer, UiError};
use crate::session::Visitor;

/// Pages of requests that one press of the button removes, of [`CLEARED_AT_ONCE`] each.
const CLEARS_MAX: u32 = 40;
const CLEARED_AT_ONCE: u32 = 250;
const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/ui/bins/{bin}/settings", get(page))
        .route("/ui/bins/{bin}/share", post(share))
        .route("/ui/bins/{bin}/clear", post(clear))
}

async fn page(State(state): State<Shared>, visitor: Visitor, Path(at): Path<At>) -> Answer<Html<String>> {
    shown(&state, &visitor, &at.bin, "").await
}

/// The page; `link` is shown on it, if one was asked for.
async fn shown(state: &Shared, visitor: &Visitor, bin: &str, link: &str) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let now = state.clock.now();
    let reference = Reference::new(bin);
    let source = state.sources.source(environment, &reference).await?;
    if source.provider != bin::PROVIDER {
        return Err(UiError::NotFound("bin"));
    }
    let first = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: ROWS };
    let handlers = state.directory.endpoints(environment, &Owner::Source(reference), first).await?;
    let keep_hours = source.rules.keep.map(|keep| keep.as_secs().div_ceil(HOUR.as_secs()));
    let context = context! {
        frame => Frame::of(visitor), source => sources::row(&source, &state.public_url, now), link, keep_hours,
        here => format!("/ui/bins/{}", part(&sources::key_of(&source))),
        answer => AnswerForm::of(&source.rules.answer),
        handlers => handlers.rows.iter().map(|endpoint| endpoint_row(endpoint, now)).collect::<Vec<_>>(),
    };
    Ok(state.templates.render("bin_settings.html", context))
}

/// For how long a link is good.
#[derive(Deserialize)]
struct Share {
    hours: u64,
}

/// A link to the bin, for looking only. Shown once, and by POST: it is good for whoever has it.
async fn share(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Form(form): Form<Share>,
) -> Answer<Html<String>> {
    let path = format!("/ingest/api/v1/source/{}/dashboard", part(&at.bin));
    let asked = json!({ "readOnly": true, "expiry": form.hours.saturating_mul(HOUR.as_secs()) });
    let made = ask(&state, &visitor, Method::POST, &path, &asked).await?;
    let link = made["url"].as_str().unwrap_or_default();
    let (page, key) = link.split_once('#').unwrap_or((link, ""));
    shown(&state, &visitor, &at.bin, &format!("{page}?bin={}#{key}", part(&at.bin))).await
}

/// Removes what came, page by page, as far as one request may go on for.
async fn clear(State(state): State<Shared>, visitor: Visitor, Path(at): Path<At>) -> Answer<Redirect> {
    let key = part(&at.bin);
    let mut iterator = String::new();
    for _ in 0..CLEARS_MAX {
        let path = format!("/ingest/api/v1/source/{key}/request?limit={CLEARED_AT_ONCE}{iterator}");
        let page = ask(&state, &visitor, Method::DELETE, &path, &Value::Null).await?;
        match page["iterator"].as_str() {
            Some(next) if page["done"] == false => iterator = format!("&iterator={}", part(next)),
            _ => break,
        }
    }
    Ok(Redirect::to(&format!("/ui/bins/{key}")))
}
