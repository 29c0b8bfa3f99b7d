//! The picture of an environment, if we keep it: served as a picture only, whatever is in it.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use posthaste_core::looks::{Logo, Looks};

use crate::Shared;
use crate::assets;
use crate::error::{Answer, UiError};
use crate::session::Visitor;

/// An SVG that is opened as a page of its own runs nothing, and is of nowhere.
const NOTHING_RUNS: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";
const POLICY: HeaderName = CONTENT_SECURITY_POLICY;

/// For whoever may see an app's pages.
pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/logo", get(serve))
}

/// Where the picture of a portal is: as the link says, or else as the environment does; empty if nowhere.
pub(crate) fn address(visitor: &Visitor) -> String {
    if visitor.look.icon().is_empty() {
        address_of(&visitor.looks, &visitor.base)
    } else {
        visitor.look.icon().to_owned()
    }
}

/// The same for an environment whose pages begin with `base`. A picture that changes has another address.
pub(crate) fn address_of(looks: &Looks, base: &str) -> String {
    match &looks.logo {
        Some(Logo::Address(address)) => address.clone(),
        Some(Logo::Picture { bytes, .. }) => format!("{base}/logo?{:016x}", assets::mark(bytes)),
        None => String::new(),
    }
}

pub(crate) async fn serve(State(state): State<Shared>, visitor: Visitor) -> Answer<Response> {
    picture(state.access.looks(visitor.tenant()).await?)
}

pub(crate) fn picture(looks: Looks) -> Answer<Response> {
    let Some(Logo::Picture { kind, bytes }) = looks.logo else { return Err(UiError::NotFound("picture")) };
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "private, max-age=86400"), (POLICY, NOTHING_RUNS)];
    Ok((headers, bytes).into_response())
}
