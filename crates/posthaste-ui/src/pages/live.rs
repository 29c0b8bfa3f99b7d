//! How many messages are newer than those of a page, as they come: server-sent events,
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
//!
//! The store is asked, not the node: it does not matter which one took a message in, and whoever comes back after a
//! break goes on where they were (`Last-Event-ID`).

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{Stream, unfold};
use posthaste_core::app::Reference;
use posthaste_core::id::MessageId;
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::Deserialize;

use super::messages::Messages;
use super::walk::List as _;
use super::wanted::{Asked, Wanted};
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::session::Visitor;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks of one connection; then the browser makes another, and shows its session again.
const LOOKS_MAX: u32 = 300;
/// New messages that are counted one by one; past that there are simply more.
const COUNTED_MAX: u16 = 250;

#[derive(Deserialize)]
pub(crate) struct At {
    app: String,
}

/// Behind which message the page begins; `0` if it has none.
#[derive(Deserialize)]
pub(crate) struct Since {
    since: String,
}

/// Who watches, and how far they have seen.
struct Watch {
    state: Shared,
    environment: EnvironmentId,
    app: Reference,
    asked: Asked,
    seen: Option<MessageId>,
    new_count: usize,
    looks: u32,
}

pub(crate) async fn watch(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app }): Path<At>,
    Query(Since { since }): Query<Since>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let (environment, app) = visitor.reads(&state, &app).await?;
    // Whoever watches what is not there hears so, and not silence.
    state.directory.app(environment, &app).await?;
    // What they were told last: the newest message, and how many there were by then.
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let (seen, new_count) = match last.and_then(|last| last.split_once(' ')) {
        Some((seen, count)) => (seen, count.parse().unwrap_or(0)),
        None => (since.as_str(), 0),
    };
    let seen = match seen {
        "0" => None,
        id => Some(MessageId::parse(id).ok_or(UiError::NotFound("message"))?),
    };
    // What is new has no state yet that one could ask for, and is of no time but now.
    let asked = wanted.read(state.clock.now())?;
    let asked = Asked { status: None, since: None, until: None, ..asked };
    let watch = Watch { state, environment, app, asked, seen, new_count, looks: 0 };
    Ok(Sse::new(unfold(watch, next)).keep_alive(KeepAlive::default()))
}

/// The next event, once there is something to tell.
async fn next(mut watch: Watch) -> Option<(Result<Event, Infallible>, Watch)> {
    while watch.looks < LOOKS_MAX && watch.state.ready.load(Ordering::Relaxed) {
        watch.looks += 1;
        let told_count = watch.new_count;
        if let Some(newest) = watch.look().await?
            && watch.new_count > told_count
        {
            let (seen, count) = (newest.to_string(), watch.new_count);
            let words =
                if count > usize::from(COUNTED_MAX) { format!("{COUNTED_MAX}+") } else { count.to_string() };
            let event = Event::default().id(format!("{seen} {count}")).event("new").data(words);
            return Some((Ok(event), watch));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}

impl Watch {
    /// The newest message that was not seen yet. `None` outside: the store does not answer.
    async fn look(&mut self) -> Option<Option<MessageId>> {
        let cursor = self.seen.map_or(Cursor::Start, Cursor::Before);
        let page = PageRequest { cursor, order: Order::Descending, limit: COUNTED_MAX };
        let Self { state, environment, app, asked, .. } = &*self;
        let list = Messages { state, environment: *environment, app, asked };
        let found = list.read(page).await.ok()?;
        let newest = found.rows.first().map(|message| message.id);
        self.new_count += list.judge(found.rows).await.ok()?.iter().flatten().count();
        self.seen = newest.or(self.seen);
        Some(newest)
    }
}
