//! `posthaste sign`: the headers that a provider would send with a body.

use std::process::ExitCode;

use posthaste_core::request::printed;
use posthaste_core::time::Clock as _;
use posthaste_events::fresh_id;
use posthaste_signature::provider::sign::{Draft, Moment};
use serde_json::{Map, Value, json};

use super::send;
use crate::cli::laptop::SignArgs;
use crate::laptop::complaint::{Complaint, told};
use crate::laptop::signing;
use crate::laptop::{captured, target};
use crate::system::{SystemDice, SystemTimer};
use crate::telemetry::{print_line, tell};

/// Runs it.
pub(crate) fn sign(args: &SignArgs) -> ExitCode {
    told(run(args))
}

fn run(args: &SignArgs) -> Result<ExitCode, Complaint> {
    let url = match &args.curl {
        Some(to) => target::url(to)?,
        None => args.url.clone(),
    };
    let ready = signing::ready(&args.provider, &args.signer, &url)?;
    for note in &ready.notes {
        tell(note);
    }
    let given = signing::headers(&args.header)?;
    let body = captured::read(&args.file)?;
    let mut before = Draft { method: args.method.to_ascii_uppercase(), url, headers: given, body };
    if args.curl.is_some() {
        send::say_content_type(&mut before);
    }
    let mut draft = before.clone();
    let id = args.id.clone().unwrap_or_else(|| fresh_id(&SystemDice));
    let now_ms = SystemTimer.now().as_micros().div_euclid(1000);
    let at_ms = args.timestamp.map_or(now_ms, |secs| secs.saturating_mul(1000));
    signing::sign(&ready.signer, &mut draft, &Moment { at_ms, id: &id })?;
    if args.curl.is_some() {
        if std::str::from_utf8(&draft.body).is_err() {
            return Err(Complaint::usage(
                "this body cannot stand in a curl command",
                "it is not text",
                "print the headers instead, and send the file: curl --data-binary @FILE",
            ));
        }
        print_line(&printed::as_curl(&draft));
    } else if args.json {
        print_line(&as_json(&before, &draft).to_string());
    } else {
        show(&before, &draft);
    }
    Ok(ExitCode::SUCCESS)
}

/// What signing added: `(name, value)`.
fn added<'d>(before: &'d Draft, draft: &'d Draft) -> impl Iterator<Item = (&'d str, &'d str)> {
    let new = draft.headers.iter().filter(|(name, value)| before.headers.get(*name) != Some(*value));
    new.map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()))
}

fn show(before: &Draft, draft: &Draft) {
    for (name, value) in added(before, draft) {
        print_line(&format!("{name}: {value}"));
    }
    if draft.url != before.url {
        tell("this provider signs in the URL, which is now:");
        print_line(&draft.url);
    }
    if draft.body != before.body {
        tell("this provider signs in the body, which is now:");
        print_line(&String::from_utf8_lossy(&draft.body));
    }
}

fn as_json(before: &Draft, draft: &Draft) -> Value {
    let headers: Map<String, Value> =
        added(before, draft).map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({ "headers": headers, "url": draft.url, "body": String::from_utf8_lossy(&draft.body) })
}
