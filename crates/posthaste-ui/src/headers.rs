//! What browsers are told of every page: nothing from elsewhere, no frames but where allowed, nothing kept.

use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use minijinja::context;
use posthaste_core::looks::{Logo, Looks};

use crate::Shared;
use crate::error::Said;
use crate::look::{Look, origin};
use crate::refused::Sent;

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

/// From where the page that is made may load its picture: whoever makes it learns that, the policy comes afterwards.
#[derive(Clone, Default)]
pub(crate) struct Pictures(Arc<OnceLock<String>>);

impl Pictures {
    pub(crate) fn allow(&self, looks: &Looks) {
        if let Some(Logo::Address(address)) = &looks.logo
            && let Some(origin) = origin(address)
        {
            let _ = self.0.set(origin.to_owned());
        }
    }
}

/// What to say of a refusal that came before any page of ours was asked: of an address or a form that is not whole.
fn unsaid(response: &Response) -> Option<Said> {
    let kind = response.headers().get(CONTENT_TYPE)?;
    let is_bare = response.status().is_client_error() && kind.as_bytes().starts_with(b"text/plain");
    is_bare.then(|| Said {
        title: "This is not whole",
        detail: "The address or the form lacks something, or has too much of it. Go back, and try again from there."
            .to_owned(),
    })
}

pub(crate) async fn advise(State(state): State<Shared>, mut request: Request, next: Next) -> Response {
    let pictures = Pictures::default();
    request.extensions_mut().insert(pictures.clone());
    let path = request.uri().path();
    let (is_asset, is_portal) = (path.starts_with("/assets/"), path.starts_with("/portal/"));
    let (is_style, look) = (path.starts_with("/portal/look/"), Look::of_path(path));
    let home = path.starts_with("/ui").then_some("/ui");
    let is_for_a_part = request.headers().contains_key("hx-request");
    let (sent, request) = Sent::read(request).await;
    let mut response = next.run(request).await;
    if is_for_a_part && response.headers().get(LOCATION).is_some_and(|to| to == LOGIN) {
        response = whole_page_to_login();
    }
    if let Some(Said { title, detail }) = response.extensions_mut().remove::<Said>() {
        let (parts, _) = response.into_parts();
        let is_refused = parts.status == StatusCode::UNPROCESSABLE_ENTITY;
        let given_back = sent.filter(|_| is_refused).and_then(|sent| sent.context(title, &detail));
        let page = match given_back {
            Some(form) => state.templates.render("refused.html", form),
            None => state.templates.render("error.html", context! { title, detail, home }),
        };
        response = page.into_response();
        *response.status_mut() = parts.status;
        response.headers_mut().extend(parts.headers);
    }
    if let Some(said) = unsaid(&response) {
        let status = response.status();
        let Said { title, detail } = said;
        response = state.templates.render("error.html", context! { title, detail, home }).into_response();
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A picture of somebody's brings a stricter policy of its own.
    let is_told = headers.contains_key(CONTENT_SECURITY_POLICY);
    if is_asset || is_style || is_told {
        return response;
    }
    let allowed = state.frame_ancestors.iter().map(String::as_str);
    let frames: Vec<_> =
        if is_portal { ["'self'"].into_iter().chain(allowed).collect() } else { vec!["'none'"] };
    let own = pictures.0.get().map_or("", String::as_str);
    let images = format!("{} {own}", look.icon_origin().unwrap_or_default());
    let policy =
        format!("{POLICY}; img-src 'self' data: {}; frame-ancestors {}", images.trim(), frames.join(" "));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    // A portal's session is in its path, which nobody else is told.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
