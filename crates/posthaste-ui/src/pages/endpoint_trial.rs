//! Filters, tried on messages that are there: which of the last ones an endpoint with them would have got.

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::Html;
use axum::routing::post;
use minijinja::context;
use posthaste_core::fanout::wants;
use posthaste_store::history::MessageFilter;
use posthaste_store::page::{Cursor, Order, PageRequest};

use super::endpoint::At;
use super::endpoint_settings::SettingsForm;
use super::{Frame, head, messages};
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::session::Visitor;

/// The last messages of the app, on which filters are tried.
const TRIED_ON: u16 = 200;
/// Messages that are listed of those that fit.
const LISTED_MAX: usize = 50;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/apps/{app}/endpoints/{endpoint}/trial", post(page))
}

/// Changes nothing.
async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Form(form): Form<SettingsForm>,
) -> Answer<Html<String>> {
    let (environment, app) = visitor.reads(&state, &at.app).await?;
    let now = state.clock.now();
    let head = head(&state, environment, &app).await?;
    let newest = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: TRIED_ON };
    let last =
        state.history.messages(environment, &app, &MessageFilter::default(), newest, false).await?.rows;
    let (fitting, problem) = match form.filter() {
        Ok(filter) => {
            let fits = last.iter().filter(|message| wants(&filter, &message.event_type, &message.channels));
            (fits.collect::<Vec<_>>(), String::new())
        }
        Err(UiError::Rejected(why)) => (Vec::new(), why),
        Err(other) => return Err(other),
    };
    let rows: Vec<_> = fitting.iter().take(LISTED_MAX).map(|message| messages::row(message, now)).collect();
    let context = context! {
        frame => Frame::of(&visitor), app => head, endpoint => at.endpoint, form, problem, rows,
        count => fitting.len(), of => last.len(),
    };
    Ok(state.templates.render("endpoint_trial.html", context))
}
