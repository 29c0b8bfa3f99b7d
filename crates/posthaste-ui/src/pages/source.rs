//! One source: its address, what came in last, and what was refused and why.

use axum::extract::{Path, Query, State};
use axum::response::Html;
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::source::Refusal;
use posthaste_core::time::Timestamp;
use posthaste_store::history::MessageFilter;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::{Deserialize, Serialize};

use super::{Frame, Place, messages, sources};
use crate::Shared;
use crate::error::Answer;
use crate::payload::{self, Payload};
use crate::session::Visitor;
use crate::words::{Moment, moment};

/// Messages on a source's page.
const LATEST: u16 = 10;

#[derive(Deserialize)]
pub(crate) struct At {
    source: String,
}

/// A request that was refused.
#[derive(Serialize)]
struct Refused {
    id: String,
    at: Moment,
    method: String,
    reason: String,
    status: u16,
    remote: Option<String>,
    headers: Vec<(String, String)>,
    body: Payload,
}

fn refused(refusal: &Refusal, now: Timestamp) -> Refused {
    Refused {
        id: refusal.id.to_string(),
        at: moment(refusal.at, now),
        method: refusal.origin.method.clone(),
        reason: refusal.reason.clone(),
        status: refusal.status,
        remote: refusal.remote.map(|remote| remote.to_string()),
        headers: refusal
            .origin
            .shown_headers()
            .map(|(name, value)| (name.to_owned(), value.into_owned()))
            .collect(),
        body: payload::shown(&refusal.body),
    }
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { source }): Path<At>,
    Query(place): Query<Place>,
) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let now = state.clock.now();
    let asked = Reference::new(source);
    let source = state.sources.source(environment, &asked).await?;
    let page = state.sources.refusals(environment, &asked, place.request(Order::Descending)?).await?;
    let turns = place.turns(&page, |refusal| refusal.id.to_string());
    let latest = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: LATEST };
    let app = Reference::from(source.app);
    let latest = state.history.messages(environment, &app, &MessageFilter::default(), latest, false).await?;
    let context = context! {
        frame => Frame::of(&visitor), source => sources::row(&source, now), turns,
        url => format!("{}/in/{}", state.public_url, source.door.expose()),
        messages => latest.rows.iter().map(|message| messages::row(message, now)).collect::<Vec<_>>(),
        refusals => page.rows.iter().map(|refusal| refused(refusal, now)).collect::<Vec<_>>(),
    };
    Ok(state.templates.render("source.html", context))
}
