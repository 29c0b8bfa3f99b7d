//! An app's messages, by what the address asks for.

use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use minijinja::context;
use posthaste_core::message::Message;
use posthaste_core::name::{Channel, EventTypeName, Tag};
use posthaste_core::time::Timestamp;
use posthaste_store::history::MessageFilter;
use posthaste_store::page::Order;
use serde::{Deserialize, Serialize};

use super::{Frame, Place, head};
use crate::Shared;
use crate::api::part;
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::words::{Moment, moment};

#[derive(Deserialize)]
pub(crate) struct At {
    app: String,
}

/// What to show, as the form and the address say it; what is empty is any.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    id: String,
    #[serde(default)]
    event_type: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    tag: String,
}

impl Wanted {
    pub(crate) fn filter(&self) -> Answer<MessageFilter> {
        let no = |what: &str, why: &dyn std::fmt::Display| UiError::Rejected(format!("The {what} {why}."));
        let mut filter = MessageFilter::default();
        if !self.event_type.is_empty() {
            let name = EventTypeName::parse(self.event_type.trim()).map_err(|why| no("event type", &why))?;
            filter.event_types = Some(vec![name]);
        }
        if !self.channel.is_empty() {
            filter.channel = Some(Channel::parse(self.channel.trim()).map_err(|why| no("channel", &why))?);
        }
        if !self.tag.is_empty() {
            filter.tag = Some(Tag::parse(self.tag.trim()).map_err(|why| no("tag", &why))?);
        }
        Ok(filter)
    }

    /// The same as a part of an address, for the links to other pages of the list.
    fn query(&self) -> String {
        let pairs = [("event_type", &self.event_type), ("channel", &self.channel), ("tag", &self.tag)];
        let set = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        set.map(|(name, value)| format!("&{name}={}", part(value))).collect()
    }
}

/// A message in a list.
#[derive(Serialize)]
pub(crate) struct Row {
    id: String,
    event_type: String,
    event_id: Option<String>,
    tags: Vec<String>,
    at: Moment,
}

pub(crate) fn row(message: &Message, now: Timestamp) -> Row {
    Row {
        id: message.id.to_string(),
        event_type: message.event_type.as_str().to_owned(),
        event_id: message.event_id.as_ref().map(|id| id.as_str().to_owned()),
        tags: message.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
        at: moment(message.created_at, now),
    }
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app }): Path<At>,
    Query(place): Query<Place>,
    Query(wanted): Query<Wanted>,
) -> Answer<Response> {
    if !wanted.id.trim().is_empty() {
        let id = part(wanted.id.trim());
        return Ok(
            Redirect::to(&format!("{}/apps/{}/messages/{id}", visitor.base, part(&app))).into_response()
        );
    }
    let (environment, app) = visitor.reads(&state, &app).await?;
    let now = state.clock.now();
    let head = head(&state, environment, &app).await?;
    let request = place.request(Order::Descending)?;
    let page = state.history.messages(environment, &app, &wanted.filter()?, request, false).await?;
    let turns = place.turns(&page, |message| message.id.to_string());
    let rows: Vec<_> = page.rows.iter().map(|message| row(message, now)).collect();
    // Only the first page grows at its top.
    let live = (place.after.is_none() && place.before.is_none())
        .then(|| page.rows.first().map_or_else(|| "0".to_owned(), |message| message.id.to_string()));
    let context = context! {
        frame => Frame::of(&visitor), app => head, query => wanted.query(), wanted, rows, turns, live,
    };
    let page: Html<String> = state.templates.render("messages.html", context);
    Ok(page.into_response())
}
