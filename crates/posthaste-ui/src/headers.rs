//! What browsers are told of every page: nothing from elsewhere, no frames but where allowed, nothing kept.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use minijinja::context;

use crate::Shared;
use crate::error::Said;
use crate::look::Look;

/// Whatever others wrote, should it ever become markup, can load and run nothing.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'";

/// Where whoever has no session is sent.
const LOGIN: &str = "/ui/login";

/// A part of a page that asks for itself would put the login page in its own place: it is the whole page that has to go there.
fn whole_page_to_login() -> Response {
    let to = [("hx-redirect", HeaderValue::from_static(LOGIN))];
    (StatusCode::UNAUTHORIZED, to).into_response()
}

pub(crate) async fn advise(State(state): State<Shared>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let (is_asset, is_portal) = (path.starts_with("/assets/"), path.starts_with("/portal/"));
    let (is_style, look) = (path.starts_with("/portal/look/"), Look::of_path(path));
    let is_for_a_part = request.headers().contains_key("hx-request");
    let mut response = next.run(request).await;
    if is_for_a_part && response.headers().get(LOCATION).is_some_and(|to| to == LOGIN) {
        response = whole_page_to_login();
    }
    if let Some(Said { title, detail }) = response.extensions_mut().remove::<Said>() {
        let (parts, _) = response.into_parts();
        let page = state.templates.render("error.html", context! { title, detail });
        response = page.into_response();
        *response.status_mut() = parts.status;
        response.headers_mut().extend(parts.headers);
    }
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_asset || is_style {
        return response;
    }
    let allowed = state.frame_ancestors.iter().map(String::as_str);
    let frames: Vec<_> =
        if is_portal { ["'self'"].into_iter().chain(allowed).collect() } else { vec!["'none'"] };
    let images = look.icon_origin().unwrap_or_default();
    let policy = format!("{POLICY}; img-src 'self' data: {images}; frame-ancestors {}", frames.join(" "));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    // A portal's session is in its path, which nobody else is told.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
