//! A new source: a provider is picked from the table, and the form asks for what its scheme needs.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::context;
use posthaste_core::cron;
use posthaste_signature::provider;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Frame, providers};
use crate::Shared;
use crate::api::{ask, part};
use crate::error::{Answer, UiError};
use crate::session::Visitor;

/// With what the names of a scheme's further settings begin in the form.
const SETTING: &str = "setting.";

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/sources/new", get(page)).route("/ui/sources/new", post(create))
}

/// Which provider, or what it is searched by.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    q: String,
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Answer<Html<String>> {
    visitor.environment()?;
    if !wanted.kind.is_empty() {
        return form(&state, &visitor, &wanted.kind, &BTreeMap::new(), "");
    }
    let (q, groups) = (wanted.q.trim(), providers::groups(&wanted.q));
    let context = context! { frame => Frame::of(&visitor), q, groups };
    Ok(state.templates.render("source_pick.html", context))
}

/// The form, with what was typed into it before; secrets apart, which no page shows.
fn form(
    state: &Shared,
    visitor: &Visitor,
    kind: &str,
    typed: &BTreeMap<String, String>,
    problem: &str,
) -> Answer<Html<String>> {
    let was_typed = |name: &str| typed.get(name).cloned().unwrap_or_default();
    let facts = match provider::find(kind) {
        Some(provider) => Some(providers::facts(provider, |name| was_typed(&format!("{SETTING}{name}")))),
        None if kind == cron::PROVIDER => None,
        None => return Err(UiError::NotFound("provider")),
    };
    let typed = context! {
        name => was_typed("name"), uid => was_typed("uid"), variant => was_typed("variant"),
        schedule => was_typed("schedule"), payload => was_typed("payload"), handler => was_typed("handler"),
    };
    let context = context! { frame => Frame::of(visitor), kind, facts, typed, problem };
    Ok(state.templates.render("source_new.html", context))
}

/// The form as the API takes it.
fn body(form: &BTreeMap<String, String>) -> Value {
    let said = |name: &str| form.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let mut config = Map::new();
    let taken_over = ["secret", "variant", "schedule"].map(|name| (name, said(name)));
    let settings = form.keys().filter_map(|name| Some((name.strip_prefix(SETTING)?, said(name))));
    for (name, value) in taken_over.into_iter().chain(settings) {
        config.extend(value.map(|value| (name.to_owned(), Value::from(value))));
    }
    let kind = said("type").unwrap_or_default();
    if kind == cron::PROVIDER {
        config.insert("payload".to_owned(), said("payload").unwrap_or_default().into());
    }
    let mut body = json!({ "name": said("name").unwrap_or_default(), "type": kind, "config": config });
    if let Some(uid) = said("uid") {
        body["uid"] = uid.into();
    }
    body
}

async fn create(
    State(state): State<Shared>,
    visitor: Visitor,
    Form(typed): Form<BTreeMap<String, String>>,
) -> Answer<Response> {
    let asked = body(&typed);
    let made = match ask(&state, &visitor, Method::POST, "/ingest/api/v1/source", &asked).await {
        Ok(made) => made,
        Err(UiError::Rejected(why)) => {
            let kind = asked["type"].as_str().unwrap_or_default();
            let page = form(&state, &visitor, kind, &typed, &why)?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
        Err(error) => return Err(error),
    };
    let key = part(made["uid"].as_str().or(made["id"].as_str()).unwrap_or_default());
    let handler = typed.get("handler").map(|url| url.trim()).unwrap_or_default();
    if !handler.is_empty() {
        let path = format!("/ingest/api/v1/source/{key}/endpoint");
        ask(&state, &visitor, Method::POST, &path, &json!({ "url": handler })).await.map_err(|error| {
            match error {
                UiError::Rejected(why) => UiError::Rejected(format!(
                    "The source was made, but its handler was not: {why}. Add one under the source's settings."
                )),
                error => error,
            }
        })?;
    }
    Ok(Redirect::to(&format!("/ui/sources/{key}")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_left_empty_is_not_said() {
        let form = typed(&[
            ("type", "github"),
            ("name", " GitHub "),
            ("uid", ""),
            ("secret", "hush "),
            ("variant", ""),
            ("setting.header", ""),
            ("setting.public_key", "k"),
        ]);
        let config = json!({ "secret": "hush", "public_key": "k" });
        assert_eq!(body(&form), json!({ "name": "GitHub", "type": "github", "config": config }));
    }

    #[test]
    fn a_schedule_has_a_payload_even_if_it_is_empty() {
        let form = typed(&[("type", "cron"), ("name", "Daily"), ("schedule", "@daily"), ("payload", "")]);
        assert_eq!(body(&form)["config"], json!({ "schedule": "@daily", "payload": "" }));
    }
}
