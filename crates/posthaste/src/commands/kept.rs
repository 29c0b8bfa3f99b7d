//! What `trigger` and `verify` ask a server: where a source's door is, and a request that it keeps.

use http::Method;
use posthaste_core::id::MessageId;
use posthaste_signature::provider::{self, Provider};
use serde_json::Value;

use crate::cli::laptop::{TriggerArgs, VerifyArgs};
use crate::laptop::came::Came;
use crate::laptop::captured::Captured;
use crate::laptop::complaint::Complaint;
use crate::laptop::server::{Server, part};
use crate::wiring;

/// Types of sources that believe whoever knocks.
const BELIEVES_ALL: [&str; 2] = [posthaste_core::bin::PROVIDER, posthaste_core::bin::SCHEME];

fn asking<T>(asks: impl Future<Output = Result<T, Complaint>>) -> Result<T, Complaint> {
    let runtime = wiring::runtime().map_err(|error| {
        Complaint::failure("nobody can be asked", format!("{error:#}"), "try again when the system has room")
    })?;
    runtime.block_on(asks)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// The address of a source that would take an event of this provider's, signed like this.
pub(super) fn door(source: &str, provider: &Provider, args: &TriggerArgs) -> Result<String, Complaint> {
    let server = Server::of(&args.server)?;
    let found = asking(server.get(&format!("/ingest/api/v1/source/{}", part(source))))?;
    let kind = text(&found, "type");
    let believes_all = BELIEVES_ALL.contains(&kind);
    if !believes_all && provider::find(kind).is_none_or(|found| found.slug != provider.slug) {
        return Err(Complaint::rejected(
            format!("the source \"{source}\" takes no events of {}", provider.name),
            format!("it is of type {kind}, and verifies that"),
            format!("trigger an event of {kind}, or make a source of type {}", provider.slug),
        ));
    }
    let has_secret = !args.signer.scheme.secret.is_empty() || args.signer.key.is_some();
    if !believes_all && !has_secret && !args.unsigned {
        return Err(Complaint::usage(
            format!("what the source \"{source}\" verifies with is not known here"),
            "a server never shows a provider's secret",
            "add --secret SECRET, or --unsigned to see it refused",
        ));
    }
    Ok(text(&found, "ingestUrl").to_owned())
}

/// A request that a server keeps, and what is known of it.
pub(super) struct Kept {
    pub(super) captured: Captured,
    /// Who its source says has sent it; nobody, if it believes all.
    pub(super) provider: Option<String>,
    pub(super) came_at_secs: i64,
    /// Headers that the server does not show.
    pub(super) hidden: Vec<String>,
}

/// The request that the arguments name by its id, if they do.
pub(super) fn request(args: &VerifyArgs) -> Result<Option<Kept>, Complaint> {
    let named = args.file.as_deref().and_then(|file| file.to_str());
    let Some(id) = named.filter(|text| MessageId::parse(text).is_some()) else { return Ok(None) };
    let server = Server::of(&args.server)?;
    asking(async {
        let source = match &args.source {
            Some(source) => source.clone(),
            None => source_of(&server, id).await?,
        };
        let path = format!("/ingest/api/v1/source/{}", part(&source));
        let source = server.get(&path).await?;
        let told = server.get(&format!("{path}/request/{id}")).await?;
        let came = Came::read(told).ok_or_else(|| {
            Complaint::failure(
                format!("{id} cannot be read"),
                "the server answered with what is no request",
                "is it of the same version as this command?",
            )
        })?;
        let draft = came.to(text(&source, "ingestUrl"));
        let mut captured =
            Captured { method: draft.method, url: draft.url, body: draft.body, ..Captured::default() };
        for (name, value) in &came.headers {
            if let Some(value) = value {
                // What a server took in as a header is one.
                let _ = captured.add(name, value);
            }
        }
        let kind = text(&source, "type");
        Ok(Some(Kept {
            captured,
            provider: Some(kind.to_owned()).filter(|kind| !BELIEVES_ALL.contains(&kind.as_str())),
            came_at_secs: came.at.as_secs(),
            hidden: came.hidden().map(str::to_owned).collect(),
        }))
    })
}

/// The source that a message came in by.
async fn source_of(server: &Server, id: &str) -> Result<String, Complaint> {
    let found = server.ask(Method::GET, &format!("/api/posthaste/v1/find/{id}"), None).await;
    let source = found.ok().and_then(|found| found["sourceId"].as_str().map(str::to_owned));
    source.ok_or_else(|| {
        Complaint::usage(
            format!("no source is known that {id} came in by"),
            "only what a provider sent is checked: what an app sends is signed anew with each attempt",
            "say which source keeps it: --source NAME",
        )
    })
}
