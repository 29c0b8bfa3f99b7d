//! One try: what was sent where, what came back, and how long each part took.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Html;
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::attempt::{Outcome, Timing};
use posthaste_core::id::AttemptId;
use serde::{Deserialize, Serialize};

use super::{Frame, head, message, messages};
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::payload::{self, Payload};
use crate::session::Visitor;
use crate::words::span;

#[derive(Deserialize)]
pub(crate) struct At {
    app: String,
    message: String,
    attempt: String,
}

/// A part of the time that a try took.
#[derive(Debug, PartialEq, Serialize)]
struct Part {
    name: &'static str,
    took: String,
    /// Where its bar begins and how long it is, in hundredths of the whole.
    from: u8,
    width: u8,
}

fn parts(timing: Timing) -> Vec<Part> {
    let total = timing.total.as_nanos().max(1);
    let until_first = timing.first_byte;
    let wait = until_first.saturating_sub(timing.dns + timing.connect + timing.tls);
    let read = timing.total.saturating_sub(timing.dns + timing.connect + timing.tls + wait);
    let named = [
        ("name", timing.dns),
        ("connect", timing.connect),
        ("TLS", timing.tls),
        ("wait", wait),
        ("read", read),
    ];
    let share =
        |part: Duration| u8::try_from((part.as_nanos() * 100 + total / 2) / total).unwrap_or(100).min(100);
    let mut begun = Duration::ZERO;
    let happened = named.into_iter().filter(|(_, took)| !took.is_zero());
    happened
        .map(|(name, took)| {
            let from = share(begun);
            begun += took;
            Part { name, took: span(took), from, width: share(took).max(1) }
        })
        .collect()
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
) -> Answer<Html<String>> {
    let (environment, app) = visitor.reads(&state, &at.app).await?;
    let now = state.clock.now();
    let head = head(&state, environment, &app).await?;
    let id = AttemptId::parse(&at.attempt).ok_or(UiError::NotFound("attempt"))?;
    let asked = Reference::new(at.message);
    let row = state.history.attempt(environment, &app, &asked, id).await?;
    let sent = state.history.message(environment, &app, &asked, true).await?;
    let (headers, body, is_cut): (Vec<_>, Option<Payload>, bool) = match &row.attempt.outcome {
        Outcome::Replied(reply) => {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = reply.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
            (headers, Some(payload::shown(&reply.body)), reply.truncated)
        }
        Outcome::Failed(_) => (Vec::new(), None, false),
    };
    let context = context! {
        frame => Frame::of(&visitor), app => head, message => messages::row(&sent, now),
        attempt => message::row(&row, now), url => row.attempt.url.clone(),
        remote => row.attempt.remote.map(|remote| remote.to_string()), parts => parts(row.attempt.timing),
        endpoint => row.attempt.endpoint.to_string(), sent => sent.body.as_deref().map(payload::shown), headers, body, is_cut,
    };
    Ok(state.templates.render("attempt.html", context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_try_stand_one_behind_the_other() {
        let ms = Duration::from_millis;
        let timing = Timing { dns: ms(10), connect: ms(20), tls: ms(30), first_byte: ms(90), total: ms(100) };
        let told: Vec<_> = parts(timing).iter().map(|part| (part.name, part.from, part.width)).collect();
        assert_eq!(
            told,
            [("name", 0, 10), ("connect", 10, 20), ("TLS", 30, 30), ("wait", 60, 30), ("read", 90, 10)]
        );
        assert!(parts(Timing::default()).is_empty());
    }
}
