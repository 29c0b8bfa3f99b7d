//! `posthaste verify`: whether a captured request is what its provider signed, and if not, why.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use posthaste_core::attempt::Outcome;
use posthaste_core::time::Clock as _;
use posthaste_engine::client::{Client, ClientSettings, Outbound, SystemResolver};
use posthaste_signature::provider::{Hint, Keys, Receiver, Refusal, Settings, SetupError, Verified};
use serde_json::json;

use super::kept;
use crate::cli::laptop::VerifyArgs;
use crate::laptop::captured::{self, Captured};
use crate::laptop::complaint::{Complaint, NOT_VERIFIED, told};
use crate::laptop::{scheme, signing};
use crate::system::SystemTimer;
use crate::telemetry::{print_line, tell};
use crate::terminal::shown;
use crate::wiring;

/// Keys and certificates that one request may make us fetch: a key, and those above it.
const FETCHES_COUNT_MAX: usize = 3;
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// What is said of a request.
pub(crate) enum Judged {
    /// A delivery, rightly signed.
    Valid { verified: Verified, event: Option<String>, delivery: Option<String> },
    /// It asks whether we are there, and this is the answer to give.
    Handshake { status: u16, body: String },
    /// Neither.
    Invalid { why: Refusal, hints: Vec<Hint> },
}

/// Runs it.
pub(crate) fn verify(args: &VerifyArgs) -> ExitCode {
    told(run(args))
}

fn run(args: &VerifyArgs) -> Result<ExitCode, Complaint> {
    let settings = settings(args)?;
    let kept = kept::request(args)?;
    let mut args = args.clone();
    if let (Some(provider), "") =
        (kept.as_ref().and_then(|kept| kept.provider.clone()), args.provider.as_str())
    {
        args.provider = provider;
    }
    let args = &args;
    if args.provider.is_empty() {
        return Err(Complaint::usage(
            "it is not said who sent it",
            "neither --provider says so, nor a source that keeps it",
            "add --provider PROVIDER; all names: posthaste trigger --list",
        ));
    }
    let at = kept.as_ref().map(|kept| kept.came_at_secs);
    let now = args.now.or(at).unwrap_or_else(|| SystemTimer.now().as_secs());
    let hidden = kept.as_ref().map(|kept| kept.hidden.clone()).unwrap_or_default();
    let captured = request(args, kept.map(|kept| kept.captured))?;
    let (receiver, judged) = judge_fetching(args, settings, &captured, now)?;
    let missing: Vec<_> =
        hidden.iter().filter(|name| !captured.headers.contains_key(name.as_str())).collect();
    if let (Judged::Invalid { .. }, false) = (&judged, missing.is_empty()) {
        for name in missing {
            tell(&shown(&format!(
                "note: the server hides the header {name}: give it with --header '{name}: …'"
            )));
        }
    }
    if args.json {
        print_line(&as_json(&receiver, &judged).to_string());
    } else {
        for line in sentences(&receiver, &judged, &captured) {
            print_line(&shown(&line));
        }
    }
    Ok(match judged {
        Judged::Valid { .. } | Judged::Handshake { .. } => ExitCode::SUCCESS,
        Judged::Invalid { .. } => ExitCode::from(NOT_VERIFIED),
    })
}

fn settings(args: &VerifyArgs) -> Result<Settings, Complaint> {
    let mut settings = scheme::settings(&args.scheme)?;
    settings.tolerance = match args.tolerance.as_deref() {
        None => None,
        Some("off") => Some(None),
        Some(text) => Some(Some(Duration::from_secs(text.parse().map_err(|_| {
            Complaint::usage(
                format!("--tolerance {text} cannot be used"),
                "it is neither a number of seconds nor `off`",
                "write --tolerance 300",
            )
        })?))),
    };
    Ok(settings)
}

/// The captured request, with what the arguments put in its place.
fn request(args: &VerifyArgs, kept: Option<Captured>) -> Result<Captured, Complaint> {
    let mut captured = match (kept, &args.file) {
        (Some(kept), _) => kept,
        (None, Some(file)) => of_file(file, args)?,
        (None, None) => Captured::default(),
    };
    let given = signing::headers(&args.header)?;
    for name in given.keys() {
        captured.headers.remove(name);
    }
    captured.headers.extend(given);
    if let Some(file) = &args.body {
        captured.body = captured::read(file)?;
    }
    if let Some(url) = &args.url {
        captured.url.clone_from(url);
    }
    if let Some(method) = &args.method {
        captured.method = method.to_ascii_uppercase();
    } else if captured.method.is_empty() {
        "POST".clone_into(&mut captured.method);
    }
    Ok(captured)
}

fn of_file(file: &Path, args: &VerifyArgs) -> Result<Captured, Complaint> {
    let text = captured::read(file)?;
    if !captured::is_request(&text) && args.body.is_none() && !args.header.is_empty() {
        // The headers are given, so this is what is missing.
        return Ok(Captured { body: text, ..Captured::default() });
    }
    captured::parse(&text, args.entry).map_err(|why| {
        Complaint::usage(
            format!("{} holds no request that can be read", file.display()),
            why,
            "give the parts instead: --method, --url, --header and --body",
        )
    })
}

/// Judges it; a key that the provider publishes is fetched, and then it is judged again.
fn judge_fetching(
    args: &VerifyArgs,
    settings: Settings,
    captured: &Captured,
    now: i64,
) -> Result<(Receiver, Judged), Complaint> {
    let receiver = |settings| {
        Receiver::unready(&args.provider, settings).map_err(|error| scheme::complain(&args.provider, &error))
    };
    let mut keys = Keys::default();
    let receiver = receiver(settings)?;
    for _ in 0..FETCHES_COUNT_MAX {
        let judged = judge(&receiver, captured, now, &keys)
            .map_err(|error| scheme::complain(&args.provider, &error))?;
        let url = match &judged {
            Judged::Invalid { why: Refusal::KeyNeeded(url), .. } if !args.offline => url.clone(),
            _ => return Ok((receiver, judged)),
        };
        let Some(text) = wiring::runtime().ok().and_then(|runtime| runtime.block_on(fetched(&url))) else {
            return Ok((receiver, judged));
        };
        keys.insert(url, text);
    }
    let judged = judge(&receiver, captured, now, &keys);
    Ok((receiver, judged.map_err(|error| scheme::complain(&args.provider, &error))?))
}

/// What a receiver set up like this would say to the request; an `Err` is one that cannot be set up like this.
pub(crate) fn judge(
    receiver: &Receiver,
    captured: &Captured,
    now: i64,
    keys: &Keys,
) -> Result<Judged, SetupError> {
    let request = captured.request();
    let refused = |why: Refusal| match why {
        Refusal::NotReady(error) => Err(error),
        why => Ok(Judged::Invalid { hints: receiver.explain(&request, now, keys, &why), why }),
    };
    match receiver.handshake(&request, now, keys) {
        Some(Ok(answer)) => return Ok(Judged::Handshake { status: answer.status, body: answer.body }),
        Some(Err(why)) => return refused(why),
        None => {}
    }
    match receiver.verify(&request, now, keys) {
        Ok(verified) => Ok(Judged::Valid {
            event: receiver.event_type(&request, &verified),
            delivery: receiver.delivery_id(&request, &verified),
            verified,
        }),
        Err(why) => refused(why),
    }
}

/// What stands at an address of the provider.
async fn fetched(url: &str) -> Option<String> {
    let client = Client::new(ClientSettings::default(), Arc::new(SystemResolver::new()));
    let request = Outbound {
        method: http::Method::GET,
        url: url.to_owned(),
        query: String::new(),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
        timeout: FETCH_TIMEOUT,
    };
    match client.send(request).await.outcome {
        Outcome::Replied(reply) if reply.status == 200 && !reply.truncated => {
            String::from_utf8(reply.body.to_vec()).ok()
        }
        _ => None,
    }
}

fn as_json(receiver: &Receiver, judged: &Judged) -> serde_json::Value {
    let provider = &receiver.provider().slug;
    match judged {
        Judged::Valid { verified, event, delivery } => json!({
            "valid": true, "reason": null, "hint": null, "provider": provider, "kind": "delivery",
            "secret": verified.secret_index + 1, "eventType": event, "deliveryId": delivery,
        }),
        Judged::Handshake { status, body } => json!({
            "valid": true, "reason": null, "hint": null, "provider": provider, "kind": "handshake",
            "answer": { "status": status, "body": body },
        }),
        Judged::Invalid { why, hints } => json!({
            "valid": false, "reason": why.to_string(), "hint": hints.first().map(Hint::to_string),
            "hints": hints.iter().map(Hint::to_string).collect::<Vec<_>>(), "provider": provider,
        }),
    }
}

fn sentences(receiver: &Receiver, judged: &Judged, captured: &Captured) -> Vec<String> {
    let provider = receiver.provider();
    let bytes = crate::words::size(captured.body.len() as u64);
    let checked = format!(
        "checked  {} request with a body of {bytes}, as {} signs: {}",
        captured.method,
        provider.name,
        receiver.describe()
    );
    match judged {
        Judged::Valid { verified, event, delivery } => {
            let mut lines = vec![format!("valid    {} sent it", provider.name), checked];
            if verified.secret_index > 0 {
                lines.push(format!("secret   number {} of those given", verified.secret_index + 1));
            }
            lines.extend(event.iter().map(|event| format!("event    {event}")));
            lines.extend(delivery.iter().map(|id| format!("id       {id}")));
            if !receiver.covers_body() {
                lines.push(
                    "note     the signature does not cover all of the body: parts may have been changed"
                        .to_owned(),
                );
            }
            lines
        }
        Judged::Handshake { status, body } => vec![
            format!("valid    {} only asks whether you are there, and wants an answer", provider.name),
            format!("answer   {status} {body}"),
        ],
        Judged::Invalid { why, hints } => {
            let mut lines = vec![format!("invalid  {why}"), checked];
            lines.extend(hints.iter().map(|hint| format!("hint     {hint}")));
            if hints.is_empty() {
                lines.push(format!("hint     {}", without_hint(why, &provider.secret())));
            }
            lines
        }
    }
}

/// What to try where no usual mistake explains it.
fn without_hint(why: &Refusal, secret: &str) -> String {
    match why {
        Refusal::KeyNeeded(_) => {
            "the key could not be fetched here: give it with --config public_key=…".to_owned()
        }
        Refusal::UnknownScheme => "nothing can be done about it here".to_owned(),
        _ => format!("none of the usual mistakes explains it; what --secret takes: {secret}"),
    }
}

#[cfg(test)]
#[path = "verify_vectors.rs"]
mod vectors;
