//! Sending again what failed at an endpoint: how much that is first, then a job.

use std::time::Duration;

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use axum::routing::get;
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::time::Timestamp;
use posthaste_store::directory::Owner;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::endpoint::At;
use super::resend::{RATE_USUAL, job_at};
use super::{Frame, head};
use crate::Shared;
use crate::api::{ask, part};
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::words::{Moment, grouped, moment, span};

/// Windows to choose from, in hours.
const WINDOWS: [(u64, &str); 5] =
    [(8, "8 hours"), (24, "24 hours"), (72, "3 days"), (168, "7 days"), (336, "14 days")];
/// The longest of them.
const WINDOW_HOURS_MAX: u64 = 336;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/apps/{app}/endpoints/{endpoint}/recover", get(page).post(start))
}

/// Since when, and how fast.
#[derive(Deserialize)]
pub(crate) struct Window {
    #[serde(default = "a_day")]
    hours: u64,
    #[serde(default = "usual_rate")]
    rate: u32,
}

fn a_day() -> u64 {
    24
}

fn usual_rate() -> u32 {
    RATE_USUAL
}

#[derive(Serialize)]
struct Choice {
    hours: u64,
    words: &'static str,
    since: Moment,
}

fn body(at: &At, since: Timestamp, until: Timestamp) -> Value {
    json!({ "endpoint": at.endpoint, "status": "failed", "since": since.to_string(), "until": until.to_string() })
}

fn path_of(app: &str) -> String {
    format!("/api/posthaste/v1/app/{}/replay", part(app))
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Query(Window { hours, rate }): Query<Window>,
) -> Answer<Html<String>> {
    if !visitor.may_write() {
        return Err(UiError::Forbidden);
    }
    if hours == 0 || hours > WINDOW_HOURS_MAX || rate == 0 {
        return Err(UiError::Rejected(format!(
            "The window must be 1 to {WINDOW_HOURS_MAX} hours, and the rate at least 1."
        )));
    }
    let (environment, app) = visitor.reads(&state, &at.app).await?;
    let now = state.clock.now();
    let head = head(&state, environment, &app).await?;
    let (owner, of) = (Owner::App(app), Reference::new(at.endpoint.as_str()));
    let endpoint = state.directory.endpoint(environment, &owner, &of).await?;
    let since = now.earlier(Duration::from_hours(hours));
    let mut asked = body(&at, since, now);
    asked["dryRun"] = true.into();
    let counted = ask(&state, &visitor, Method::POST, &path_of(&at.app), &asked).await?;
    let count = counted["count"].as_u64().unwrap_or_default();
    let choices = WINDOWS.map(|(hours, words)| {
        let since = moment(now.earlier(Duration::from_hours(hours)), now);
        Choice { hours, words, since }
    });
    let context = context! {
        frame => Frame::of(&visitor), app => head, endpoint => at.endpoint, url => endpoint.url, hours, rate, count,
        windows => choices, counted => grouped(count), more => counted["more"].as_bool().unwrap_or_default(),
        lasts => span(Duration::from_secs(count.div_ceil(u64::from(rate)))),
        since => since.to_string(), until => now.to_string(), since_shown => moment(since, now),
    };
    Ok(state.templates.render("endpoint_recover.html", context))
}

/// What was counted.
#[derive(Deserialize)]
pub(crate) struct Counted {
    since: String,
    until: String,
    rate: u32,
}

async fn start(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Form(counted): Form<Counted>,
) -> Answer<Redirect> {
    let time = |text: &str| {
        Timestamp::parse(text).ok_or_else(|| UiError::Rejected(format!("\"{text}\" is no time of ours.")))
    };
    let mut asked = body(&at, time(&counted.since)?, time(&counted.until)?);
    asked["ratePerSecond"] = counted.rate.into();
    let job = ask(&state, &visitor, Method::POST, &path_of(&at.app), &asked).await?;
    Ok(Redirect::to(&job_at(&visitor, &at.app, &job)))
}
