//! Sources.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::app::Reference;
use posthaste_core::bin;
use posthaste_core::cron::PROVIDER as CRON;
use posthaste_core::id::{AppId, SourceId};
use posthaste_core::limits::DOOR_GRACE;
use posthaste_core::name::Uid;
use posthaste_core::source::{Config, Door, NewSource, Rules, Source, SourceChange};
use posthaste_core::time::Timestamp;
use posthaste_signature::provider::{Provider, find};
use posthaste_store::ChangeError;
use posthaste_store::page::Order;
use serde_json::{Map, Value, json};

use super::{cron, rules};
use crate::Shared;
use crate::api::portal;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::fields::{Fields, boolean, metadata, object, shown, string, title, uid, uid_in_path};
use crate::extract::path::Path;
use crate::extract::query::{ListOut, Query};
use crate::inbound::config::ProviderConfig;
use crate::state::ApiState;

/// How often a change is tried that another one comes before.
const TRIES_MAX: usize = 5;
/// Letters of a source's name.
pub(crate) const NAME_LENGTH_MAX: usize = 256;

/// What Svix calls a source whose requests nobody signs.
const UNSIGNED: &str = "generic-webhook";

/// A source on the wire: Svix's fields, and then what its API lacks.
fn out(source: &Source, state: &ApiState) -> Value {
    let provider = find(&source.provider);
    let mut out = Map::new();
    let mut add = |name: &str, value: Value| out.insert(name.to_owned(), value);
    add("id", json!(source.id.to_string()));
    add("uid", json!(source.uid.as_ref().map(Uid::as_str)));
    add("name", json!(source.name));
    // Svix's SDKs know their own words only, and read no list that has another.
    let is_bin = source.provider == bin::PROVIDER;
    let kind = if is_bin { UNSIGNED } else { source.provider.as_str() };
    add("type", json!(provider.map_or(kind, Provider::svix_type)));
    add("config", config_of(source));
    add("ingestUrl", json!(ingest_url(source, state)));
    add("metadata", json!(source.metadata));
    add("createdAt", json!(source.created_at.to_string()));
    add("updatedAt", json!(source.updated_at.to_string()));
    add("appId", json!(source.app.to_string()));
    add("paused", json!(source.paused));
    add("bin", json!(is_bin));
    add("provider", json!(provider.map(facts)));
    rules::out(&source.rules, &mut out);
    Value::Object(out)
}

/// What whoever relies on the source should know of its provider: how well we know its scheme, and how much of a body
/// the signature covers.
fn facts(provider: &Provider) -> Value {
    json!({
        "name": provider.name,
        "docs": provider.docs,
        "evidence": provider.evidence.as_str(),
        "covers": provider.covers().as_str(),
        "note": provider.note,
    })
}

fn config_of(source: &Source) -> Value {
    if source.provider == CRON {
        return cron::out(&source.config);
    }
    ProviderConfig::kept(&source.config).shown()
}

/// The address for the provider; there is none where nobody knocks.
fn ingest_url(source: &Source, state: &ApiState) -> Option<String> {
    let url = || format!("{}/in/{}", state.settings.public_url, source.door.expose());
    (source.provider != CRON).then(url)
}

/// What makes a source's messages.
#[derive(Clone, Copy)]
enum Kind {
    Provider(&'static Provider),
    Cron,
    Bin,
}

impl Kind {
    fn find(name: &str) -> Option<Self> {
        match name {
            CRON => Some(Self::Cron),
            bin::PROVIDER => Some(Self::Bin),
            name => find(name).map(Self::Provider),
        }
    }

    fn slug(self) -> &'static str {
        match self {
            Self::Provider(provider) => &provider.slug,
            Self::Cron => CRON,
            Self::Bin => bin::PROVIDER,
        }
    }

    /// The rules of such a source where nothing is said of them.
    fn rules(self) -> Rules {
        match self {
            Self::Bin => bin::rules(),
            Self::Provider(_) | Self::Cron => Rules::default(),
        }
    }
}

/// What was said of a source.
struct Said {
    name: Option<String>,
    uid: Option<Option<Uid>>,
    metadata: Option<posthaste_core::app::Metadata>,
    provider: Option<String>,
    config: Option<Config>,
    rules: Rules,
    paused: Option<bool>,
}

/// Reads it. `before`: the source that is patched, whose type and rules hold where nothing is said; `known`: the one that
/// is there, whose learned secret does.
fn read(body: &JsonBody, before: Option<&Source>, known: Option<&Source>, now: Timestamp) -> Answer<Said> {
    let mut fields = Fields::of(body)?;
    let patch = before.is_some();
    let named = title(NAME_LENGTH_MAX);
    let name = if patch { fields.not_null("name", named) } else { fields.required("name", named) };
    let uid = fields.get("uid", uid("src_", Uid::parse)).change();
    let metadata = fields.not_null("metadata", metadata);
    let paused = fields.not_null("paused", boolean);
    let said_kind = if patch { fields.not_null("type", kind) } else { fields.required("type", kind) };
    let usual = || said_kind.map_or_else(Rules::default, Kind::rules);
    let rules = rules::read(&mut fields, before.map_or_else(usual, |source| source.rules.clone()));
    let config = match said_kind.or_else(|| before.and_then(|source| Kind::find(&source.provider))) {
        Some(Kind::Cron) => {
            let config = cron::read(&mut fields, said_kind.is_some(), now);
            config.map(|config| match known {
                Some(known) => cron::going_on(config, &known.config),
                None => config,
            })
        }
        Some(Kind::Provider(provider)) => {
            let given = fields.get("config", object).value();
            // A type without a config: fine for those that need none.
            let given = given.or_else(|| said_kind.map(|_| Map::new()));
            given.and_then(|config| read_config(&mut fields, provider, config, known))
        }
        // There is nothing to know of whoever sends to it.
        Some(Kind::Bin) => {
            fields.get("config", no_config);
            said_kind.is_some().then(|| ProviderConfig::default().to_keep())
        }
        None => None,
    };
    fields.done()?;
    let provider = said_kind.map(|kind| kind.slug().to_owned());
    Ok(Said { name, uid, metadata, provider, config, rules, paused })
}

fn no_config(value: Value) -> Result<(), String> {
    if object(value)?.is_empty() { Ok(()) } else { Err("must be empty: a bin verifies nothing".to_owned()) }
}

fn kind(value: Value) -> Result<Kind, String> {
    let text = string(value)?;
    Kind::find(&text).ok_or_else(|| {
        let shown = shown(&text);
        format!("{shown:?} is no provider we know: for any HMAC use generic-hmac, for no signature generic-webhook")
    })
}

fn read_config(
    fields: &mut Fields,
    provider: &Provider,
    config: Map<String, Value>,
    known: Option<&Source>,
) -> Option<Config> {
    let known = known.filter(|known| find(&known.provider).is_some_and(|kind| kind.slug == provider.slug));
    let read = ProviderConfig::read(provider, config).map(|config| match known {
        Some(known) => config.or_learned(&provider.slug, &known.config),
        None => config,
    });
    match read.and_then(|config| config.judge(&provider.slug).map(|()| config)) {
        Ok(config) => Some(config.to_keep()),
        Err(error) => {
            fields.wrong("config", error);
            None
        }
    }
}

/// A new source from what was said of it; everything that has to be said was checked to be there.
fn new_source(state: &ApiState, said: Said) -> Answer<NewSource> {
    let now = state.clock.now();
    let (Some(name), Some(provider), Some(config)) = (said.name, said.provider, said.config) else {
        return Err(ApiError::bad_request("the body is incomplete"));
    };
    Ok(NewSource {
        id: SourceId::fresh(now, &*state.dice),
        app: AppId::fresh(now, &*state.dice),
        uid: said.uid.flatten(),
        name,
        provider,
        config,
        door: Door::fresh(&*state.dice),
        rules: said.rules,
        paused: said.paused.unwrap_or(false),
        metadata: said.metadata.unwrap_or_default(),
    })
}

pub(crate) async fn list(State(state): State<Shared>, caller: Caller, query: Query) -> Answer<Response> {
    let environment = caller.environment()?;
    let page = query.page_of_ids(Order::Ascending, state.clock.now())?;
    let page = state.sources.sources(environment, page).await?;
    Ok(json_of(
        StatusCode::OK,
        &ListOut::of(page, |source| source.id.to_string(), |source| out(&source, &state)),
    ))
}

pub(crate) async fn create(State(state): State<Shared>, caller: Caller, body: JsonBody) -> Answer<Response> {
    let environment = caller.environment()?;
    let new = new_source(&state, read(&body, None, None, state.clock.now())?)?;
    let source = state.sources.create_source(environment, new, state.clock.now()).await?;
    Ok(json_of(StatusCode::CREATED, &out(&source, &state)))
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
) -> Answer<Response> {
    let source = state.sources.source(caller.environment()?, &Reference::new(source)).await?;
    Ok(json_of(StatusCode::OK, &out(&source, &state)))
}

/// Changes a source; `None`: somebody else did so meanwhile, and there is a try left to begin again with.
async fn changed(
    state: &ApiState,
    caller: &Caller,
    source: &Reference,
    change: SourceChange,
    tries_left: &mut usize,
) -> Answer<Option<Response>> {
    *tries_left -= 1;
    match state.sources.change_source(caller.environment()?, source, change, state.clock.now()).await {
        Err(ChangeError::Outdated(_)) if *tries_left > 0 => Ok(None),
        changed => Ok(Some(json_of(StatusCode::OK, &out(&changed?, state)))),
    }
}

/// Replaces a source, its door and its endpoints apart, or makes it under the uid of the path.
pub(crate) async fn put(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let reference = Reference::new(source);
    let mut tries_left = TRIES_MAX;
    loop {
        let known = match state.sources.source(environment, &reference).await {
            Err(ChangeError::NotFound(_)) => None,
            found => Some(found?),
        };
        let now = state.clock.now();
        let mut said = read(&body, None, known.as_ref(), now)?;
        let Some(known) = known else {
            let in_path =
                uid_in_path("src_", reference.as_str()).ok_or_else(|| ApiError::not_found("source"))?;
            said.uid = Some(said.uid.flatten().or(Some(in_path)));
            let source = state.sources.create_source(environment, new_source(&state, said)?, now).await?;
            return Ok(json_of(StatusCode::CREATED, &out(&source, &state)));
        };
        let change = SourceChange {
            name: said.name,
            // A body without a uid keeps the one that the path was found by.
            uid: said.uid.or_else(|| reference.id::<posthaste_core::id::SourceKind>().map(|_| None)),
            provider: said.provider,
            config: said.config,
            config_was: Some(known.config),
            rules: Some(said.rules),
            rules_were: None,
            paused: Some(said.paused.unwrap_or(false)),
            metadata: Some(said.metadata.unwrap_or_default()),
        };
        if let Some(answer) = changed(&state, &caller, &reference, change, &mut tries_left).await? {
            return Ok(answer);
        }
    }
}

pub(crate) async fn patch(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let reference = Reference::new(source);
    let mut tries_left = TRIES_MAX;
    loop {
        let before = state.sources.source(environment, &reference).await?;
        let now = state.clock.now();
        let said = read(&body, Some(&before), Some(&before), now)?;
        // Only if something was said of them, and only if they still are as they were read: two patches of different
        // fields must not undo each other.
        let rules = (said.rules != before.rules).then_some(said.rules);
        let config_was = said.config.as_ref().map(|_| before.config.clone());
        let change = SourceChange {
            name: said.name,
            uid: said.uid,
            provider: said.provider,
            config: said.config,
            config_was,
            rules_were: rules.as_ref().map(|_| before.rules),
            rules,
            paused: said.paused,
            metadata: said.metadata,
        };
        if let Some(answer) = changed(&state, &caller, &reference, change, &mut tries_left).await? {
            return Ok(answer);
        }
    }
}

pub(crate) async fn delete(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
) -> Answer<StatusCode> {
    let environment = caller.environment()?;
    state.sources.delete_source(environment, &Reference::new(source), state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Another address; the old one works on for a day, so that the provider can be told first.
pub(crate) async fn rotate_token(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
) -> Answer<Response> {
    let (environment, source) = (caller.environment()?, Reference::new(source));
    if state.sources.source(environment, &source).await?.provider == CRON {
        return Err(ApiError::bad_request("a source of type cron has no address: nothing comes in by it"));
    }
    let (door, now) = (Door::fresh(&*state.dice), state.clock.now());
    let source = state.sources.rotate_door(environment, &source, door, DOOR_GRACE, now).await?;
    Ok(json_of(StatusCode::OK, &json!({ "ingestUrl": ingest_url(&source, &state) })))
}

/// A link to the portal of the source's own app.
pub(crate) async fn dashboard(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let source = state.sources.source(environment, &Reference::new(source)).await?;
    portal::link_to(&state, environment, source.app, portal::Asked::read(&body)?).await
}
