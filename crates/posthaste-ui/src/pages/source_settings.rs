//! What can be changed of a source: its secrets, its rules, its answer, its handlers, and whether it hands anything on.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::cron::{self, Cron};
use posthaste_core::source::{DedupeBy, Source};
use posthaste_signature::provider::{self, Settings};
use posthaste_store::directory::Owner;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde_json::{Map, Value, json};

use super::answer_form::{AnswerForm, number};
use super::app::endpoint_row;
use super::source::At;
use super::{Frame, ROWS, providers, sources};
use crate::Shared;
use crate::api::{ask, part};
use crate::error::{Answer, UiError};
use crate::session::Visitor;

/// What dedupe windows are typed in.
const HOUR_SECS: u64 = 3_600;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/ui/sources/{source}/settings", get(page))
        .route("/ui/sources/{source}/change", post(change))
}

async fn page(State(state): State<Shared>, visitor: Visitor, Path(at): Path<At>) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let now = state.clock.now();
    let reference = Reference::new(at.source.as_str());
    let source = state.sources.source(environment, &reference).await?;
    let first = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: ROWS };
    let handlers = state.directory.endpoints(environment, &Owner::Source(reference), first).await?;
    let settings = (state.settings_of)(&source);
    let facts = provider::find(&source.provider)
        .map(|provider| providers::facts(provider, |name| settings.text(name).unwrap_or_default()));
    let (by, of) = match &source.rules.dedupe.by {
        DedupeBy::Provider => ("provider", ""),
        DedupeBy::Body => ("body", ""),
        DedupeBy::Off => ("off", ""),
        DedupeBy::Header(name) => ("header", name.as_str()),
        DedupeBy::Json(path) => ("json", path.as_str()),
    };
    let networks: Vec<_> = source.rules.allowed_networks.iter().map(ToString::to_string).collect();
    let rules = context! {
        by, of, hours => source.rules.dedupe.window.as_secs() / HOUR_SECS,
        networks => networks.join("\n"), rate => source.rules.rate_per_second.map(u16::from),
        methods => source.rules.methods.join(", "),
    };
    let schedule = (source.provider == cron::PROVIDER).then(|| Cron::kept(&source.config)).flatten();
    let context = context! {
        frame => Frame::of(&visitor), source => sources::row(&source, &state.public_url, now), facts, rules,
        answer => AnswerForm::of(&source.rules.answer), secrets_count => settings.secrets.len(),
        schedule => schedule.map(|cron| context! { expression => cron.expression, payload => cron.payload }),
        handlers => handlers.rows.iter().map(|endpoint| endpoint_row(endpoint, now)).collect::<Vec<_>>(),
    };
    Ok(state.templates.render("source_settings.html", context))
}

type Typed = BTreeMap<String, String>;

fn said<'t>(form: &'t Typed, name: &str) -> &'t str {
    form.get(name).map(|text| text.trim()).unwrap_or_default()
}

/// All that a source knows of its provider, as the API takes it: it is replaced as a whole.
fn config(settings: Settings) -> Value {
    let mut config: Map<String, Value> = settings.values;
    config.insert("secrets".to_owned(), settings.secrets.into());
    config.extend(settings.variant.map(|variant| ("variant".to_owned(), variant.into())));
    if let Some(age) = settings.tolerance {
        config.insert("tolerance_seconds".to_owned(), age.map(|age| age.as_secs()).into());
    }
    config.into()
}

/// The rules as they were typed.
fn rules(form: &Typed) -> Answer<Value> {
    let by = match said(form, "by") {
        by @ ("header" | "json") => format!("{by}:{}", said(form, "of")),
        by => by.to_owned(),
    };
    let listed = |name: &str| {
        let parts = said(form, name).split([',', ' ', '\n', '\r']).filter(|part| !part.is_empty());
        parts.map(Value::from).collect::<Vec<_>>()
    };
    let rate = match number(said(form, "rate"), "Requests a second", 0)? {
        0 => Value::Null,
        rate => rate.into(),
    };
    let mut dedupe = json!({ "by": by });
    if !said(form, "hours").is_empty() {
        let hours = number(said(form, "hours"), "For how many hours", 0)?;
        dedupe["windowSeconds"] = hours.saturating_mul(HOUR_SECS).into();
    }
    let networks = listed("networks");
    Ok(json!({
        "dedupe": dedupe,
        "allowedNetworks": if networks.is_empty() { Value::Null } else { networks.into() },
        "rateLimit": rate,
        "methods": listed("methods"),
    }))
}

/// What a form of the page asks of the API: with which method, behind the source's path, and with which body.
fn asked(form: &Typed, source: &Source, mut settings: Settings) -> Answer<(Method, &'static str, Value)> {
    let patch = |body| Ok((Method::PATCH, "", body));
    match said(form, "what") {
        "name" => patch(json!({ "name": said(form, "name") })),
        "secret" => {
            // The newest signs first; those before are believed along until they are forgotten.
            settings.secrets.insert(0, said(form, "secret").to_owned());
            patch(json!({ "config": config(settings) }))
        }
        "forget" => {
            settings.secrets.truncate(1);
            patch(json!({ "config": config(settings) }))
        }
        "schedule" => {
            let config = json!({ "schedule": said(form, "schedule"), "payload": said(form, "payload") });
            patch(json!({ "config": config }))
        }
        "settings" => {
            for (name, value) in
                form.iter().filter_map(|(name, value)| Some((name.strip_prefix("setting.")?, value)))
            {
                // A secret setting is not shown again: what is left empty stays.
                if !value.trim().is_empty() {
                    settings.values.insert(name.to_owned(), value.trim().into());
                }
            }
            patch(json!({ "config": config(settings) }))
        }
        "rules" => patch(rules(form)?),
        "answer" => {
            let of = |name: &str| form.get(name).cloned().unwrap_or_default();
            let pairs = ["status", "headers", "body", "delay_ms", "sequence", "fail_percent"];
            let typed: Map<String, Value> =
                pairs.into_iter().map(|name| (name.to_owned(), of(name).into())).collect();
            let typed: AnswerForm = serde_json::from_value(typed.into()).unwrap_or_default();
            let mut body = json!({ "answer": typed.as_body()? });
            if let Some(keep) = form.get("keep_hours") {
                body["keepSeconds"] = match number(keep, "For how many hours", 0)? {
                    0 => Value::Null,
                    hours => hours.saturating_mul(HOUR_SECS).into(),
                };
            }
            patch(body)
        }
        "pause" => patch(json!({ "paused": true })),
        "resume" => patch(json!({ "paused": false })),
        "address" => Ok((Method::POST, "/token/rotate", json!({}))),
        "endpoint" => Ok((Method::POST, "/endpoint", json!({ "url": said(form, "url") }))),
        "delete" if said(form, "name") == source.name => Ok((Method::DELETE, "", Value::Null)),
        "delete" => {
            Err(UiError::Rejected("Nothing was deleted: type its name, exactly so, to delete it.".to_owned()))
        }
        _ => Err(UiError::NotFound("change")),
    }
}

pub(crate) async fn change(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Form(form): Form<Typed>,
) -> Answer<Redirect> {
    let environment = visitor.environment()?;
    let source = state.sources.source(environment, &Reference::new(at.source.as_str())).await?;
    let (method, behind, body) = asked(&form, &source, (state.settings_of)(&source))?;
    let is_gone = method == Method::DELETE;
    let key = part(&at.source);
    ask(&state, &visitor, method, &format!("/ingest/api/v1/source/{key}{behind}"), &body).await?;
    let list = if source.provider == posthaste_core::bin::PROVIDER { "bins" } else { "sources" };
    Ok(Redirect::to(&if is_gone { format!("/ui/{list}") } else { format!("/ui/{list}/{key}/settings") }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn typed(pairs: &[(&str, &str)]) -> Typed {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_config_goes_back_whole() {
        let settings = Settings {
            variant: Some("v1a".to_owned()),
            secrets: vec!["new".to_owned(), "old".to_owned()],
            values: Map::from_iter([("webhook_id".to_owned(), "W".into())]),
            tolerance: Some(Some(Duration::from_secs(60))),
        };
        let expected = json!({ "webhook_id": "W", "secrets": ["new", "old"], "variant": "v1a", "tolerance_seconds": 60 });
        assert_eq!(config(settings), expected);
        let any_age = Settings { tolerance: Some(None), ..Settings::default() };
        assert_eq!(config(any_age), json!({ "secrets": [], "tolerance_seconds": null }));
    }

    #[test]
    fn rules_are_read_as_they_are_typed() {
        let form = typed(&[
            ("by", "json"),
            ("of", "data.id"),
            ("hours", "24"),
            ("networks", "192.0.2.0/24\r\n203.0.113.9"),
            ("rate", ""),
            ("methods", "POST, PUT"),
        ]);
        let expected = json!({
            "dedupe": { "by": "json:data.id", "windowSeconds": 86_400 },
            "allowedNetworks": ["192.0.2.0/24", "203.0.113.9"], "rateLimit": null, "methods": ["POST", "PUT"],
        });
        assert_eq!(rules(&form).unwrap(), expected);
        let wrong = typed(&[("by", "off"), ("rate", "many")]);
        assert!(matches!(rules(&wrong), Err(UiError::Rejected(why)) if why.contains("\"many\"")));
    }
}
