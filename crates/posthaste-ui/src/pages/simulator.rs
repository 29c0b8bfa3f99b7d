//! The simulator: an event as a provider would send it, at a source or a bin of this environment.
//!
//! It goes to the source's door in this process, as any request does that comes in; no address is dialled.

use axum::Router;
use axum::body::Body;
use axum::extract::{Form, Query, State};
use axum::http::{Request, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http_body_util::BodyExt as _;
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::cron;
use posthaste_core::source::Source;
use posthaste_events::Event;
use posthaste_signature::provider::sign::Draft;
use posthaste_signature::provider::{self, Provider, Settings};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{Frame, sources};
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::payload::{self, Payload};
use crate::session::Visitor;
use crate::simulator::{Asked, Mistake, as_command, body_of, made, verified_by};

/// Who is imitated where nobody is named.
const USUAL_PROVIDER: &str = "github";

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/simulator", get(page).post(send))
}

/// What the form says; what is left empty is the first there is.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
struct Typed {
    #[serde(default)]
    source: String,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    event: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    secret: String,
    #[serde(default)]
    mistake: String,
    #[serde(default)]
    twice: Option<String>,
}

/// A source to send to.
#[derive(Serialize)]
struct Target {
    key: String,
    name: String,
    kind: String,
}

/// What was answered.
#[derive(Serialize)]
struct Answered {
    status: u16,
    is_good: bool,
    message: Option<String>,
    headers: Vec<(String, String)>,
    body: Payload,
}

/// What is to be sent, and to whom.
struct Chosen {
    source: Source,
    /// What the source verifies, if it does.
    verified: Option<&'static Provider>,
    event: Event,
    url: String,
}

fn chosen(state: &Shared, source: Source, typed: &Typed) -> Answer<Chosen> {
    let verified = verified_by(&source);
    let named = if typed.provider.is_empty() { USUAL_PROVIDER } else { typed.provider.as_str() };
    let imitated = verified.or_else(|| provider::find(named)).ok_or(UiError::NotFound("provider"))?;
    let event = Some(typed.event.as_str()).filter(|name| !name.is_empty());
    // Another provider was chosen, and the event is still of the one before.
    let event = posthaste_events::event(imitated, event).or_else(|| posthaste_events::event(imitated, None));
    let event = event.ok_or(UiError::NotFound("event"))?;
    let url = format!("{}/in/{}", state.public_url, source.door.expose());
    Ok(Chosen { source, verified, event, url })
}

/// Sources and bins to send to: the newest, and the one that is named.
async fn targets(state: &Shared, visitor: &Visitor, named: &str) -> Answer<(Vec<Source>, Option<Source>)> {
    let environment = visitor.environment()?;
    let has_door = |source: &Source| source.provider != cron::PROVIDER;
    let found = sources::newest(state, environment, &sources::After::default(), has_door).await?.sources;
    let picked = match named {
        "" => found.first().cloned(),
        named => Some(state.sources.source(environment, &Reference::new(named)).await?).filter(has_door),
    };
    Ok((found, picked))
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(typed): Query<Typed>,
) -> Answer<Html<String>> {
    shown(&state, &visitor, typed, "", &[]).await
}

async fn shown(
    state: &Shared,
    visitor: &Visitor,
    mut typed: Typed,
    problem: &str,
    answers: &[Answered],
) -> Answer<Html<String>> {
    let (found, picked) = targets(state, visitor, &typed.source).await?;
    let target = |source: &Source| Target {
        key: sources::key_of(source),
        name: source.name.clone(),
        kind: source.provider.clone(),
    };
    let targets: Vec<_> = found.iter().map(target).collect();
    let Some(picked) = picked else {
        let context = context! { frame => Frame::of(visitor), chosen => false };
        return Ok(state.templates.render("simulator.html", context));
    };
    let chosen = chosen(state, picked, &typed)?;
    let (slug, mistake) = (&chosen.event.provider.slug, Mistake::from_word(&typed.mistake));
    let (events, handshakes) = posthaste_events::names(slug);
    if typed.body.is_empty() {
        typed.body = body_of(&chosen.event, &chosen.url, state.clock.now(), &*state.dice);
    }
    // Secrets are typed once more: no page shows them.
    typed.secret.clear();
    let providers = posthaste_events::all().map(|(provider, _)| (&provider.slug, &provider.name));
    let key = sources::key_of(&chosen.source);
    let context = context! {
        frame => Frame::of(visitor), chosen => true, targets, key, problem, answers, events, handshakes,
        is_listed => found.iter().any(|source| source.id == chosen.source.id),
        name => chosen.source.name, app => chosen.source.app.to_string(), is_verified => chosen.verified.is_some(),
        providers => if chosen.verified.is_none() { providers.collect::<Vec<_>>() } else { vec![] },
        provider => context! { slug, name => chosen.event.provider.name }, event => chosen.event.name,
        command => as_command(&chosen.event, &key, mistake, chosen.verified.is_some()), typed,
    };
    Ok(state.templates.render("simulator.html", context))
}

/// With what it is signed: what was typed, else what the source verifies by.
fn settings(state: &Shared, chosen: &Chosen, secret: &str) -> Settings {
    let mut settings =
        if chosen.verified.is_some() { (state.settings_of)(&chosen.source) } else { Settings::default() };
    // The newest is what the provider signs with.
    settings.secrets.truncate(1);
    if !secret.trim().is_empty() {
        settings.secrets = vec![secret.trim().to_owned()];
    }
    settings
}

async fn send(State(state): State<Shared>, visitor: Visitor, Form(typed): Form<Typed>) -> Answer<Response> {
    let (_, picked) = targets(&state, &visitor, &typed.source).await?;
    let chosen = chosen(&state, picked.ok_or(UiError::NotFound("source"))?, &typed)?;
    let draft = match draft(&state, &chosen, &typed) {
        Ok(draft) => draft,
        Err(why) => {
            let page = shown(&state, &visitor, typed, &why, &[]).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let mut answers = vec![];
    for _ in 0..if typed.twice.is_some() { 2 } else { 1 } {
        answers.push(knock(&state, &draft).await?);
    }
    Ok(shown(&state, &visitor, typed, "", &answers).await?.into_response())
}

fn draft(state: &Shared, chosen: &Chosen, typed: &Typed) -> Result<Draft, String> {
    let body: Value = serde_json::from_str(&typed.body)
        .map_err(|error| format!("The body is not JSON: {error}. Mend it, or choose the event again."))?;
    let settings = settings(state, chosen, &typed.secret);
    let mistake = Mistake::from_word(&typed.mistake);
    let asked = Asked { event: &chosen.event, body, url: &chosen.url, settings, mistake };
    made(asked, state.clock.now(), &*state.dice)
}

/// Knocks at the source's door, in this process.
async fn knock(state: &Shared, draft: &Draft) -> Answer<Answered> {
    let target = draft.url.strip_prefix(&state.public_url).unwrap_or_default();
    let mut request = Request::builder()
        .method(draft.method.as_str())
        .uri(target)
        .body(Body::from(draft.body.clone()))
        .map_err(|_| UiError::Rejected("The event makes no request that could be sent.".to_owned()))?;
    request.headers_mut().clone_from(&draft.headers);
    let Ok(response) = state.api.clone().oneshot(request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| UiError::Unavailable)?.to_bytes();
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Ok(Answered {
        status: parts.status.as_u16(),
        is_good: parts.status.is_success(),
        message: parts.headers.get("posthaste-message").map(text),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: payload::shown(&body),
    })
}
