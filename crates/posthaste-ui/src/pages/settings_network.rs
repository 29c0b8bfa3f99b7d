//! Whether an address may be called, and why not: asked of the same rule that judges endpoints.

use std::net::IpAddr;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::get;
use minijinja::context;
use posthaste_core::target::{Refused, Target, why_refused};
use serde::Deserialize;

use super::Frame;
use crate::Shared;
use crate::error::Answer;
use crate::session::Visitor;
use crate::words::State as Shown;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/settings/network", get(page))
}

/// An address, a name or a URL.
#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    target: String,
}

/// As a URL, which is what the rule judges.
fn as_url(text: &str, https_only: bool) -> String {
    let scheme = if https_only { "https" } else { "http" };
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => format!("{scheme}://[{v6}]/"),
        Ok(IpAddr::V4(v4)) => format!("{scheme}://{v4}/"),
        Err(_) if text.contains("://") => text.to_owned(),
        Err(_) => format!("{scheme}://{text}/"),
    }
}

/// Why not, and what an operator can do about it.
fn sentence(refused: &Refused) -> String {
    let allow =
        |what: &dyn std::fmt::Display| format!(" POSTHASTE_ALLOW_TARGETS can allow it by name: add {what}.");
    match refused {
        Refused::Text(error) => format!("It {error}."),
        Refused::OwnName(name) => format!("{name} is this server's own name: calling ourselves would loop."),
        Refused::OwnAddress(address) => {
            format!("{address} is where this server listens: calling ourselves would loop.")
        }
        Refused::PrivateName(name) => {
            format!("{name} is private by definition, whatever it resolves to.{}", allow(name))
        }
        Refused::Metadata(address) => {
            format!(
                "At {address} clouds serve credentials: only exactly this address can be allowed.{}",
                allow(address)
            )
        }
        Refused::NotPublic(address, kind) => format!("{address} is {kind}, not public.{}", allow(address)),
    }
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Answer<Html<String>> {
    visitor.environment()?;
    let policy = &state.policy;
    let text = asked.target.trim();
    let url = as_url(text, policy.https_only);
    let refused = if text.is_empty() { None } else { why_refused(&url, &[], policy) };
    let is_name = Target::parse(&url, policy).is_ok_and(|target| target.literal().is_none());
    let verdict = match &refused {
        _ if text.is_empty() => None,
        Some(_) => Some(Shown::bad("refused")),
        None if is_name => Some(Shown::busy("it depends")),
        None => Some(Shown::good("allowed")),
    };
    let why = match &refused {
        Some(refused) => sentence(refused),
        None if is_name => {
            "The name may be called; each address that it resolves to is judged before each attempt, \
            and one that is not public refuses them all."
                .to_owned()
        }
        None => String::new(),
    };
    let allowed: Vec<_> = policy.allow.iter().map(ToString::to_string).collect();
    let context = context! {
        frame => Frame::of(&visitor), target => text, verdict, why, allowed, https_only => policy.https_only,
    };
    Ok(state.templates.render("settings_network.html", context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_typed_is_asked_about_as_a_url() {
        for (typed, asked) in [
            ("10.0.0.5", "http://10.0.0.5/"),
            ("::1", "http://[::1]/"),
            ("example.com", "http://example.com/"),
            ("https://example.com/hook", "https://example.com/hook"),
        ] {
            assert_eq!(as_url(typed, false), asked);
        }
        assert_eq!(as_url("10.0.0.5", true), "https://10.0.0.5/");
    }
}
