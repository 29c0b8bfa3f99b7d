//! How the environment's portal looks, and whether its catalogue is public: ours, beyond Svix's API.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::colour::Colour;
use posthaste_core::dice::roll;
use posthaste_core::looks::{Logo, Looks, PORTAL_NAME_LETTERS_MAX, is_font};
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::access::Choice;
use serde_json::{Value, json};

use crate::Shared;
use crate::error::{Answer, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::fields::{Fields, boolean, string, title};

/// Bytes of chance in a public catalogue's address: nobody finds it who was not told.
const LETTERS_BYTES: usize = 12;

fn colour(value: Value) -> Result<Colour, String> {
    Colour::parse(&string(value)?).ok_or_else(|| "must be a colour like 28bb93".to_owned())
}

fn font(value: Value) -> Result<String, String> {
    let text = string(value)?;
    if is_font(&text) { Ok(text) } else { Err("must be names of fonts with commas in between".to_owned()) }
}

fn logo(value: Value) -> Result<Logo, String> {
    Logo::parse(&string(value)?)
}

async fn out(state: &Shared, environment: EnvironmentId) -> Answer<Response> {
    let looks = state.access.looks(environment).await?;
    let letters = state.access.chosen(environment, Choice::Catalogue).await?;
    let catalogue = letters
        .map(|letters| format!("{}/events/{}", state.settings.public_url, String::from_utf8_lossy(&letters)));
    let body = json!({
        "name": looks.name,
        "logo": looks.logo.as_ref().map(Logo::to_text),
        "primaryColorLight": looks.light.map(|colour| colour.to_string()),
        "primaryColorDark": looks.dark.map(|colour| colour.to_string()),
        "fontFamily": looks.font,
        "publicCatalogue": catalogue.is_some(),
        "catalogueUrl": catalogue,
    });
    Ok(json_of(StatusCode::OK, &body))
}

pub(crate) async fn get(State(state): State<Shared>, caller: Caller) -> Answer<Response> {
    out(&state, caller.environment()?).await
}

/// Two that change it at once may undo each other's: it is a form that one operator fills in.
pub(crate) async fn patch(State(state): State<Shared>, caller: Caller, body: JsonBody) -> Answer<Response> {
    let environment = caller.environment()?;
    let mut fields = Fields::of(&body)?;
    let looks = state.access.looks(environment).await?;
    let looks = Looks {
        name: fields.get("name", title(PORTAL_NAME_LETTERS_MAX)).change().unwrap_or(looks.name),
        logo: fields.get("logo", logo).change().unwrap_or(looks.logo),
        light: fields.get("primaryColorLight", colour).change().unwrap_or(looks.light),
        dark: fields.get("primaryColorDark", colour).change().unwrap_or(looks.dark),
        font: fields.get("fontFamily", font).change().unwrap_or(looks.font),
    };
    let is_public = fields.not_null("publicCatalogue", boolean);
    fields.nothing_else();
    fields.done()?;
    state.access.change_looks(environment, &looks).await?;
    if let Some(is_public) = is_public {
        publish(&state, environment, is_public).await?;
    }
    out(&state, environment).await
}

/// Under an address that stays until it is taken back; the next one is another.
async fn publish(state: &Shared, environment: EnvironmentId, is_public: bool) -> Answer<()> {
    let is_so = state.access.chosen(environment, Choice::Catalogue).await?.is_some();
    if is_so != is_public {
        let fresh = || {
            roll::<LETTERS_BYTES>(&*state.dice).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let letters = is_public.then(|| fresh().into_bytes());
        state.access.choose(environment, Choice::Catalogue, letters).await?;
    }
    Ok(())
}
