//! How the environment's portal looks, with a picture of it before it is saved; and whether its catalogue is public.

use axum::Router;
use axum::extract::{Extension, Form, Query, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use minijinja::context;
use posthaste_core::colour::{Colour, TEXT_CONTRAST_MIN};
use posthaste_core::looks::{LOGO_BYTES_MAX, Looks, is_font};
use posthaste_store::access::Choice;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Frame, portal_logo};
use crate::Shared;
use crate::api::ask;
use crate::error::Answer;
use crate::headers::Pictures;
use crate::look::{DARK_GROUNDS, LIGHT_GROUNDS, grounds};
use crate::session::Visitor;

/// What buttons have if nobody chose, in either theme; links then have what we come with.
const OWN: (&str, &str) = ("2456d6", "3f6fe6");
const OWN_LINK: (&str, &str) = ("1f4fc4", "8fb2ff");
const PATH: &str = "/api/posthaste/v1/portal";

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/ui/settings", get(page).post(save))
        .route("/ui/settings/logo", get(portal_logo::serve).post(save_logo))
        .route("/ui/settings/catalogue", post(publish))
}

/// What the form says; what is empty is as we come.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Chosen {
    #[serde(default)]
    name: String,
    #[serde(default)]
    light: String,
    #[serde(default)]
    dark: String,
    #[serde(default)]
    font: String,
}

impl Chosen {
    fn of(looks: &Looks) -> Self {
        let colour = |colour: Option<Colour>| colour.map(|colour| colour.to_string()).unwrap_or_default();
        Self {
            name: looks.name.clone().unwrap_or_default(),
            light: colour(looks.light),
            dark: colour(looks.dark),
            font: looks.font.clone().unwrap_or_default(),
        }
    }
}

/// The portal in small, in one theme.
#[derive(Serialize)]
struct Picture {
    theme: &'static str,
    ground: &'static str,
    raised: &'static str,
    text: &'static str,
    border: &'static str,
    act: String,
    on_act: String,
    link: String,
    contrast: String,
    link_moved: bool,
}

/// In light and dark, as the portal's own style has them.
fn pictures(chosen: &Chosen) -> [Picture; 2] {
    let (light, dark) = (Colour::parse(&chosen.light), Colour::parse(&chosen.dark));
    let chosen = [light.or(dark), dark.or(light)];
    let own = [(OWN.0, OWN_LINK.0), (OWN.1, OWN_LINK.1)];
    let places = [
        ("light", ["#fbfbfa", "#ffffff", "#1b1d21", "#e3e5e8"], LIGHT_GROUNDS),
        ("dark", ["#15171a", "#1c1f23", "#e4e6ea", "#2e3339"], DARK_GROUNDS),
    ];
    std::array::from_fn(|at| {
        let (theme, [ground, raised, text, border], behind) = places[at];
        let act = chosen[at].or_else(|| Colour::parse(own[at].0)).unwrap_or(Colour::BLACK);
        let behind = grounds(behind);
        let link = chosen[at].map(|colour| colour.legible_on(&behind)).or_else(|| Colour::parse(own[at].1));
        let link = link.unwrap_or(Colour::BLACK);
        let on_act = if chosen[at].is_some() { act.ink() } else { Colour::WHITE };
        Picture {
            theme,
            ground,
            raised,
            text,
            border,
            act: format!("#{act}"),
            on_act: format!("#{on_act}"),
            link: format!("#{link}"),
            contrast: format!("{:.1}", act.contrast(on_act)),
            link_moved: chosen[at].is_some_and(|colour| colour != link),
        }
    })
}

/// With a query, as it would look: nothing is changed.
pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Extension(allowed): Extension<Pictures>,
    Query(tried): Query<Chosen>,
) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let looks = state.access.looks(environment).await?;
    allowed.allow(&looks);
    let letters = state.access.chosen(environment, Choice::Catalogue).await?;
    let catalogue =
        letters.map(|letters| format!("{}/events/{}", state.public_url, String::from_utf8_lossy(&letters)));
    let kept = Chosen::of(&looks);
    let is_tried = [&tried.name, &tried.light, &tried.dark, &tried.font].iter().any(|text| !text.is_empty());
    let chosen = if is_tried { tried } else { kept };
    let wrong = wrong(&chosen);
    let context = context! {
        frame => Frame::of(&visitor), pictures => pictures(&chosen), chosen, is_tried, wrong, catalogue,
        logo => portal_logo::address_of(&looks, "/ui/settings"), contrast_min => TEXT_CONTRAST_MIN,
        logo_kib => LOGO_BYTES_MAX / 1_024, frame_ancestors => &state.frame_ancestors,
    };
    Ok(state.templates.render("settings.html", context))
}

/// What of it cannot be shown: the picture is made without it.
fn wrong(chosen: &Chosen) -> Option<&'static str> {
    let is_wrong = |text: &str| !text.is_empty() && Colour::parse(text).is_none();
    if is_wrong(&chosen.light) || is_wrong(&chosen.dark) {
        return Some("A colour is three or six hexadecimal digits, like 28bb93.");
    }
    let is_unfit = !chosen.font.is_empty() && !is_font(&chosen.font);
    is_unfit.then_some("A font is a name like Inter; several have commas in between.")
}

fn or_null(text: &str) -> Value {
    let text = text.trim();
    if text.is_empty() { Value::Null } else { text.into() }
}

pub(crate) async fn save(
    State(state): State<Shared>,
    visitor: Visitor,
    Form(chosen): Form<Chosen>,
) -> Answer<Redirect> {
    let body = json!({
        "name": or_null(&chosen.name),
        "primaryColorLight": or_null(&chosen.light),
        "primaryColorDark": or_null(&chosen.dark),
        "fontFamily": or_null(&chosen.font),
    });
    visitor.environment()?;
    ask(&state, &visitor, Method::PATCH, PATH, &body).await?;
    Ok(Redirect::to("/ui/settings"))
}

/// A picture: an `https` address, or all of it as a `data:` address; a script fills that in from a file.
#[derive(Deserialize)]
pub(crate) struct LogoForm {
    logo: String,
}

pub(crate) async fn save_logo(
    State(state): State<Shared>,
    visitor: Visitor,
    Form(form): Form<LogoForm>,
) -> Answer<Redirect> {
    visitor.environment()?;
    ask(&state, &visitor, Method::PATCH, PATH, &json!({ "logo": or_null(&form.logo) })).await?;
    Ok(Redirect::to("/ui/settings"))
}

#[derive(Deserialize)]
pub(crate) struct Publish {
    public: bool,
}

pub(crate) async fn publish(
    State(state): State<Shared>,
    visitor: Visitor,
    Form(form): Form<Publish>,
) -> Answer<Redirect> {
    visitor.environment()?;
    ask(&state, &visitor, Method::PATCH, PATH, &json!({ "publicCatalogue": form.public })).await?;
    Ok(Redirect::to("/ui/settings#catalogue"))
}
