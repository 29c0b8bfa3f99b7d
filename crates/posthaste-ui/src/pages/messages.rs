//! An app's messages, by what the address asks for.

use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::{Id, MessageId, MessageKind};
use posthaste_core::limits::PAGE_ROWS_MAX;
use posthaste_core::message::Message;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_store::directory::Owner;
use posthaste_store::history::EndpointStats;
use posthaste_store::page::{Cursor, Order, Page, PageRequest};
use serde::{Deserialize, Serialize};

use super::walk::{self, List, Walked};
use super::wanted::{self, Asked, Wanted};
use super::{Frame, Place, ROWS, Turns, head};
use crate::Shared;
use crate::api::part;
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::words::{Moment, State as Shown, moment};

/// Rows that are read at once where their bodies are.
const STEP_WITH_BODIES: u16 = 50;

#[derive(Deserialize)]
pub(crate) struct At {
    app: String,
}

/// A message in a list.
#[derive(Serialize)]
pub(crate) struct Row {
    id: String,
    event_type: String,
    event_id: Option<String>,
    tags: Vec<String>,
    at: Moment,
    /// How its deliveries stand, where that is shown.
    standing: Vec<Shown>,
}

pub(crate) fn row(message: &Message, now: Timestamp) -> Row {
    Row {
        id: message.id.to_string(),
        event_type: message.event_type.as_str().to_owned(),
        event_id: message.event_id.as_ref().map(|id| id.as_str().to_owned()),
        tags: message.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
        at: moment(message.created_at, now),
        standing: Vec::new(),
    }
}

/// `2 delivered`, `failed`: the count where there are several.
fn standing(stats: EndpointStats) -> Vec<Shown> {
    if stats.total() == 0 {
        return vec![Shown::quiet("to nobody")];
    }
    let words = |count, word: &str| {
        if stats.total() == 1 { word.to_owned() } else { format!("{count} {word}") }
    };
    let kinds = [
        (stats.fail, Shown::bad(words(stats.fail, "failed"))),
        (stats.pending, Shown::busy(words(stats.pending, "waiting"))),
        (stats.sending, Shown::busy(words(stats.sending, "sending"))),
        (stats.success, Shown::good(words(stats.success, "delivered"))),
    ];
    kinds.into_iter().filter(|(count, _)| *count > 0).map(|(_, shown)| shown).collect()
}

/// The messages of an app that are asked for.
pub(crate) struct Messages<'a> {
    pub(crate) state: &'a Shared,
    pub(crate) environment: EnvironmentId,
    pub(crate) app: &'a Reference,
    pub(crate) asked: &'a Asked,
}

impl Messages<'_> {
    /// Of some messages those that are asked for, with how their deliveries stand.
    async fn fitting(&self, messages: &[Message]) -> Answer<Vec<(MessageId, EndpointStats)>> {
        let Asked { search, status, endpoint, .. } = self.asked;
        let fit: Vec<_> = messages.iter().filter(|one| search.fits(one)).map(|one| one.id).collect();
        if fit.is_empty() {
            return Ok(Vec::new());
        }
        let history = &self.state.history;
        let standings = history.standings(self.environment, self.app, &fit, endpoint.as_ref()).await?;
        let stats_of = |id: MessageId| {
            standings
                .iter()
                .find(|(of, _)| *of == id)
                .map_or_else(EndpointStats::default, |(_, stats)| *stats)
        };
        let is_meant = |stats: &EndpointStats| {
            status.is_none_or(|status| stats.of(status) > 0) && (endpoint.is_none() || stats.total() > 0)
        };
        let fit = fit.into_iter().map(|id| (id, stats_of(id)));
        Ok(fit.filter(|(_, stats)| is_meant(stats)).collect())
    }
}

impl List<MessageKind> for Messages<'_> {
    type Row = Message;
    type Found = (Message, EndpointStats);

    fn step(&self) -> u16 {
        match (self.asked.is_any(), &self.asked.search.payload) {
            (true, _) => ROWS,
            (false, Some(_)) => STEP_WITH_BODIES,
            (false, None) => PAGE_ROWS_MAX,
        }
    }

    async fn read(&self, request: PageRequest<MessageId>) -> Answer<Page<Message>> {
        let (filter, with_body) = (self.asked.times(), self.asked.search.payload.is_some());
        let history = &self.state.history;
        Ok(history.messages(self.environment, self.app, &filter, request, with_body).await?)
    }

    fn key(row: &Message) -> (Id<MessageKind>, usize) {
        (row.id, row.weight())
    }

    async fn judge(&self, rows: Vec<Message>) -> Answer<Vec<Option<Self::Found>>> {
        let mut fitting = self.fitting(&rows).await?.into_iter().peekable();
        let judged = rows.into_iter().map(|message| {
            let stats = fitting.next_if(|(id, _)| *id == message.id).map(|(_, stats)| stats);
            stats.map(|stats| (message, stats))
        });
        Ok(judged.collect())
    }
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app }): Path<At>,
    (Query(place), Query(wanted), RawQuery(raw)): (Query<Place>, Query<Wanted>, RawQuery),
    headers: HeaderMap,
) -> Answer<Response> {
    let here = format!("{}/apps/{}/messages", visitor.base, part(&app));
    if !wanted.id.trim().is_empty() {
        let to = format!("{here}/{}", part(wanted.id.trim()));
        return Ok(if is_part(&headers) { sent_to(&to) } else { Redirect::to(&to).into_response() });
    }
    let query = wanted.query();
    let clean = if query.is_empty() { here } else { format!("{here}?{}", &query[1..]) };
    // A form sends its empty fields too; the address is for people.
    let is_of_form = raw.unwrap_or_default().split('&').any(|pair| pair.ends_with('='));
    if is_of_form && !is_part(&headers) {
        return Ok(Redirect::to(&clean).into_response());
    }
    let page = shown(&state, &visitor, &app, (&place, &wanted)).await?;
    if is_part(&headers) {
        // With a refusal too: what htmx may not swap in, nobody sees.
        return Ok(([(HeaderName::from_static("hx-push-url"), clean)], page.1).into_response());
    }
    Ok(page.into_response())
}

/// Whether htmx asks, for a part of the page.
pub(crate) fn is_part(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
}

/// Leads all of the page elsewhere, where htmx asked for a part.
fn sent_to(to: &str) -> Response {
    [(HeaderName::from_static("hx-redirect"), to.to_owned())].into_response()
}

async fn shown(
    state: &Shared,
    visitor: &Visitor,
    app: &str,
    (place, wanted): (&Place, &Wanted),
) -> Answer<(StatusCode, Html<String>)> {
    let (environment, app) = visitor.reads(state, app).await?;
    let now = state.clock.now();
    let head = head(state, environment, &app).await?;
    let endpoints = endpoints(state, environment, &app).await?;
    let asked = wanted.read(now);
    let (status, problem) = match &asked {
        Err(UiError::Rejected(why)) => (StatusCode::UNPROCESSABLE_ENTITY, why.clone()),
        _ => (StatusCode::OK, String::new()),
    };
    // Before the list is read: what comes meanwhile is told twice rather than never. Only the first page grows at its top.
    let grows = place.is_start() && asked.as_ref().is_ok_and(|asked| asked.until.is_none());
    let live = if grows { Some(newest(state, environment, &app).await?) } else { None };
    let walked = match &asked {
        Ok(asked) => walk::walk(state, place, &Messages { state, environment, app: &app, asked }).await?,
        Err(_) => Walked { rows: Vec::new(), turns: Turns::none(), looked: None },
    };
    let rows: Vec<_> = walked
        .rows
        .iter()
        .map(|(message, stats)| Row { standing: standing(*stats), ..row(message, now) })
        .collect();
    let choices: Vec<_> =
        endpoints.iter().map(|endpoint| (endpoint.id.to_string(), endpoint.url.clone())).collect();
    let context = context! {
        frame => Frame::of(visitor), app => head, query => wanted.query(), wanted, rows, problem,
        turns => walked.turns, looked => walked.looked, chips => wanted.chips(&endpoints), endpoints => choices,
        spans => wanted::spans(), states => wanted::states(), live,
    };
    Ok((status, state.templates.render("messages.html", context)))
}

/// Behind which message what comes is new; `0` if there is none yet.
async fn newest(state: &Shared, environment: EnvironmentId, app: &Reference) -> Answer<String> {
    let first = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: 1 };
    let all = Asked::default().times();
    let page = state.history.messages(environment, app, &all, first, false).await?;
    Ok(page.rows.first().map_or_else(|| "0".to_owned(), |message| message.id.to_string()))
}

/// The app's endpoints, as many as a form can offer.
pub(crate) async fn endpoints(
    state: &Shared,
    environment: EnvironmentId,
    app: &Reference,
) -> Answer<Vec<Endpoint>> {
    let first = PageRequest { cursor: Cursor::Start, order: Order::Ascending, limit: ROWS };
    Ok(state.directory.endpoints(environment, &Owner::App(app.clone()), first).await?.rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_message_is_counted_where_it_went_to_several() {
        let words = |stats| standing(stats).into_iter().map(|shown| shown.words).collect::<Vec<_>>();
        let none = EndpointStats::default();
        assert_eq!(words(none), ["to nobody"]);
        assert_eq!(words(EndpointStats { fail: 1, ..none }), ["failed"]);
        assert_eq!(words(EndpointStats { success: 2, pending: 1, ..none }), ["1 waiting", "2 delivered"]);
    }
}
