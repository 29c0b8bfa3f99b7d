//! `posthaste sign`: the headers that a provider would send with a body.

use std::process::ExitCode;

use posthaste_core::time::Clock as _;
use posthaste_signature::provider::sign::{Draft, Moment};
use serde_json::{Map, Value, json};

use crate::cli::laptop::SignArgs;
use crate::laptop::captured;
use crate::laptop::complaint::{Complaint, told};
use crate::laptop::signing::{self, fresh_id};
use crate::system::{SystemDice, SystemTimer};
use crate::telemetry::{print_line, tell};

/// Runs it.
pub(crate) fn sign(args: &SignArgs) -> ExitCode {
    told(run(args))
}

fn run(args: &SignArgs) -> Result<ExitCode, Complaint> {
    let ready = signing::ready(&args.provider, &args.signer, &args.url)?;
    for note in &ready.notes {
        tell(note);
    }
    let given = signing::headers(&args.header)?;
    let before = Draft {
        method: args.method.to_ascii_uppercase(),
        url: args.url.clone(),
        headers: given,
        body: captured::read(&args.file)?,
    };
    let mut draft = before.clone();
    let id = args.id.clone().unwrap_or_else(|| fresh_id(&SystemDice));
    let now_ms = SystemTimer.now().as_micros().div_euclid(1000);
    let at_ms = args.timestamp.map_or(now_ms, |secs| secs.saturating_mul(1000));
    signing::sign(&ready.signer, &mut draft, &Moment { at_ms, id: &id })?;
    if args.json {
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
