//! Sending again what a list of messages shows: how many there are first, then a job.

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use axum::routing::get;
use minijinja::context;
use posthaste_core::limits::REPLAY_MESSAGES_MAX;
use posthaste_core::search::TypePattern;
use posthaste_core::time::Timestamp;
use posthaste_store::history::Status;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::messages::{Messages, endpoints};
use super::walk::{LOOKED_ROWS_MAX, Walked, walk_on};
use super::wanted::{Asked, Wanted};
use super::{Frame, Place, head};
use crate::Shared;
use crate::api::{ask, part};
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::words::{grouped, span};

/// Messages a second, if nobody says otherwise: a receiver that was down is not run down again.
pub(crate) const RATE_USUAL: u32 = 20;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/apps/{app}/messages/resend", get(page).post(start))
}

#[derive(Deserialize)]
pub(crate) struct At {
    app: String,
}

/// What is to be sent again, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct How {
    /// `failed`, `delivered` or `any`.
    which: String,
    rate: String,
    /// Until when messages were accepted that were counted.
    counted_until: String,
}

impl How {
    fn which(&self, asked: &Asked) -> Answer<&'static str> {
        let usual = if asked.status == Some(Status::Success) { "delivered" } else { "failed" };
        match self.which.as_str() {
            "" => Ok(usual),
            "failed" => Ok("failed"),
            "delivered" => Ok("delivered"),
            "any" => Ok("any"),
            _ => Err(UiError::Rejected("Which deliveries must be failed, delivered or any.".to_owned())),
        }
    }

    fn rate(&self) -> Answer<u32> {
        match self.rate.trim() {
            "" => Ok(RATE_USUAL),
            text => text.parse().ok().filter(|rate| *rate > 0).ok_or_else(|| {
                UiError::Rejected(format!("\"{text}\" is no number of messages a second: write 1 or more."))
            }),
        }
    }
}

/// What the API is asked to send again.
struct Replay {
    body: Map<String, Value>,
    /// Only messages that were looked at can be named: there may be more behind them.
    is_of_those_looked_at: bool,
}

/// Whether the API can say it by itself; the rest is named message by message.
fn is_plain(asked: &Asked) -> bool {
    asked.search.payload.is_none()
        && !matches!(asked.search.event_type, Some(TypePattern::Below(_)))
        && !matches!(asked.status, Some(Status::Pending | Status::Sending))
}

/// `None`: nothing matches.
async fn replay(
    state: &Shared,
    visitor: &Visitor,
    app: &str,
    (asked, which, until): (&Asked, &str, Timestamp),
) -> Answer<Option<Replay>> {
    let mut body =
        Map::from_iter([("status".to_owned(), which.into()), ("until".to_owned(), until.to_string().into())]);
    if let Some(since) = asked.since {
        body.insert("since".to_owned(), since.to_string().into());
    }
    if let Some(endpoint) = &asked.endpoint {
        body.insert("endpoint".to_owned(), endpoint.as_str().into());
    }
    if is_plain(asked) {
        if let Some(TypePattern::Exactly(name)) = &asked.search.event_type {
            body.insert("eventTypes".to_owned(), json!([name.as_str()]));
        }
        for (name, value) in [
            ("channel", asked.search.channel.as_ref().map(ToString::to_string)),
            ("tag", asked.search.tag.as_ref().map(ToString::to_string)),
        ] {
            body.extend(value.map(|value| (name.to_owned(), value.into())));
        }
        return Ok(Some(Replay { body, is_of_those_looked_at: false }));
    }
    let (environment, app) = visitor.reads(state, app).await?;
    let asked = Asked { until: Some(until), ..asked.clone() };
    let list = Messages { state, environment, app: &app, asked: &asked };
    let Walked { rows, turns, .. } = walk_on(state, &Place::default(), &list, REPLAY_MESSAGES_MAX).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let ids: Vec<_> = rows.iter().map(|(message, _)| message.id.to_string()).collect();
    body.insert("messages".to_owned(), ids.into());
    Ok(Some(Replay { body, is_of_those_looked_at: turns.has_older() }))
}

fn path_of(app: &str) -> String {
    format!("/api/posthaste/v1/app/{}/replay", part(app))
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app }): Path<At>,
    (Query(wanted), Query(how)): (Query<Wanted>, Query<How>),
) -> Answer<Html<String>> {
    if !visitor.may_write() {
        return Err(UiError::Forbidden);
    }
    let (environment, reference) = visitor.reads(&state, &app).await?;
    let now = state.clock.now();
    let head = head(&state, environment, &reference).await?;
    let asked = wanted.read(now)?;
    let (which, rate) = (how.which(&asked)?, how.rate()?);
    let until = asked.until.unwrap_or(now).min(now);
    let found = replay(&state, &visitor, &app, (&asked, which, until)).await?;
    let is_cut = found.as_ref().is_some_and(|found| found.is_of_those_looked_at);
    let counted = match found {
        Some(Replay { mut body, .. }) => {
            body.insert("dryRun".to_owned(), true.into());
            ask(&state, &visitor, Method::POST, &path_of(&app), &body.into()).await?
        }
        None => json!({ "count": 0, "more": false }),
    };
    let count = counted["count"].as_u64().unwrap_or_default();
    let context = context! {
        frame => Frame::of(&visitor), app => head, query => wanted.query(), fields => wanted.pairs(), which, rate,
        chips => wanted.chips(&endpoints(&state, environment, &reference).await?), is_cut, count,
        counted => grouped(count), more => counted["more"].as_bool().unwrap_or_default(),
        lasts => span(std::time::Duration::from_secs(count.div_ceil(u64::from(rate)))),
        until => until.to_string(), looked_max => grouped(LOOKED_ROWS_MAX as u64),
    };
    Ok(state.templates.render("resend.html", context))
}

async fn start(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app }): Path<At>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Answer<Redirect> {
    // Two readings of one form.
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let read = |what| UiError::Rejected(format!("The form is not whole: {what}."));
    let Query(wanted): Query<Wanted> = parsed(&query).ok_or_else(|| read("its filters"))?;
    let Query(how): Query<How> = parsed(&query).ok_or_else(|| read("how fast"))?;
    let asked = wanted.read(state.clock.now())?;
    let until = Timestamp::parse(&how.counted_until).ok_or_else(|| read("until when it counted"))?;
    let found = replay(&state, &visitor, &app, (&asked, how.which(&asked)?, until)).await?;
    let mut body = found.ok_or_else(|| UiError::Rejected("Nothing matches any more.".to_owned()))?.body;
    body.insert("ratePerSecond".to_owned(), how.rate()?.into());
    let job = ask(&state, &visitor, Method::POST, &path_of(&app), &body.into()).await?;
    Ok(Redirect::to(&job_at(&visitor, &app, &job)))
}

/// Where a job is watched. Customers have no page for that: they see what becomes of their messages.
pub(crate) fn job_at(visitor: &Visitor, app: &str, job: &Value) -> String {
    match job["id"].as_str() {
        Some(id) if visitor.is_operator() => format!("/ui/jobs/{}", part(id)),
        _ => format!("{}/apps/{}/messages", visitor.base, part(app)),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(query: &str) -> Option<Query<T>> {
    let address = format!("/?{query}").parse().ok()?;
    Query::try_from_uri(&address).ok()
}
