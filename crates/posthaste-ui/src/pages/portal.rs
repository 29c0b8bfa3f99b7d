//! Where portal links lead. Their token stands behind the `#`, which no server is sent: a script hands it in.

use axum::extract::{Form, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use posthaste_core::tenant::Scope;
use serde::Deserialize;

use crate::Shared;
use crate::api::part;
use crate::error::{Answer, UiError};
use crate::look::Look;
use crate::session::begin;
use crate::stranger::Stranger;

pub(crate) async fn page(
    State(state): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let bin = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "bin");
    let bin = bin.map(|(_, bin)| bin.into_owned()).unwrap_or_default();
    let mut look = Look::read(&query);
    if headers.get("sec-fetch-dest").is_some_and(|dest| dest == "document") {
        look = look.on_a_page_of_its_own();
    }
    let (theme, look) = (look.theme(), look.as_segment());
    state.templates.render("portal.html", context! { theme, look, bin }).into_response()
}

/// What the link says.
#[derive(Deserialize)]
pub(crate) struct Link {
    token: String,
    #[serde(default)]
    look: String,
    /// A bin that it is about, by its name: that is the page it leads to.
    #[serde(default)]
    bin: String,
}

/// No matter from which site: whoever has the token has the session too.
pub(crate) async fn enter(
    State(state): State<Shared>,
    stranger: Stranger,
    Form(link): Form<Link>,
) -> Answer<Redirect> {
    let (session, principal) = begin(&state, &stranger, &link.token).await?.ok_or(UiError::Ended)?;
    let Scope::App { app, .. } = principal.scope else { return Err(UiError::Forbidden) };
    // Written once as a segment, and read here from a form: encoded once less.
    let query = form_urlencoded::parse(link.look.as_bytes()).next().map(|(name, _)| name.into_owned());
    let look = Look::read(&query.unwrap_or_default()).as_segment();
    let base = format!("/portal/s/{}/{look}", session.expose());
    let to = if link.bin.is_empty() { format!("apps/{app}") } else { format!("bins/{}", part(&link.bin)) };
    Ok(Redirect::to(&format!("{base}/{to}")))
}
