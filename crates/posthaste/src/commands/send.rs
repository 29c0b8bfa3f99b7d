//! `posthaste send`: any payload to any URL, signed by any scheme.

use std::path::Path;
use std::process::ExitCode;

use http::{HeaderName, HeaderValue};
use posthaste_core::time::Clock as _;
use posthaste_events::fresh_id;
use posthaste_signature::provider::sign::{Draft, Moment};
use serde_json::{Value, json};

use super::created;
use crate::cli::laptop::SendArgs;
use crate::laptop::complaint::{Complaint, RECEIVER_FAILED, told};
use crate::laptop::items::{self, Item};
use crate::laptop::post::Sender;
use crate::laptop::signing;
use crate::laptop::{captured, pace, target};
use crate::system::{SystemDice, SystemTimer};
use crate::telemetry::tell;
use crate::wiring;

/// Runs it.
pub(crate) fn send(args: &SendArgs) -> ExitCode {
    told(run(args))
}

fn run(args: &SendArgs) -> Result<ExitCode, Complaint> {
    if let Some(app) = &args.app {
        return created::send(app, args);
    }
    let draft = draft(args)?;
    let between = pace::between(args.rate.as_deref())?;
    let ready = match args.sign.as_str() {
        "none" => None,
        provider => Some(signing::ready(provider, &args.signer, &draft.url)?),
    };
    for note in ready.iter().flat_map(|ready| &ready.notes) {
        tell(note);
    }
    let sender = Sender::new(&draft.url)?;
    let what = args.event_type.as_deref().unwrap_or(&args.sign);
    let runtime = wiring::runtime().map_err(|error| {
        Complaint::usage("nothing can be sent", format!("{error:#}"), "try again when the system has room")
    })?;
    runtime.block_on(async {
        let mut worst = ExitCode::SUCCESS;
        for turn in 0..args.count {
            if turn > 0 {
                tokio::time::sleep(between).await;
            }
            let id = fresh_id(&SystemDice);
            let mut draft = draft.clone();
            if let Some(ready) = &ready {
                let at_ms = SystemTimer.now().as_micros().div_euclid(1000);
                signing::sign(&ready.signer, &mut draft, &Moment { at_ms, id: &id })?;
            }
            let reply = sender.send(&draft, &id, what).await?;
            if !(200..300).contains(&reply.status) {
                worst = ExitCode::from(RECEIVER_FAILED);
            }
        }
        Ok(worst)
    })
}

/// The request before it is signed.
pub(crate) fn draft(args: &SendArgs) -> Result<Draft, Complaint> {
    let mut draft = Draft {
        method: args.method.to_ascii_uppercase(),
        url: target::url(args.url.as_deref().unwrap_or_default())?,
        ..Draft::default()
    };
    let (mut fields, mut file) = (Value::Null, None);
    for text in &args.items {
        match Item::parse(text)? {
            Item::Field(name, value) => drop(items::put(&mut fields, &name, &value)?),
            Item::File(path) => file = Some(captured::read(Path::new(&path))?),
            other => put(&mut draft, &other)?,
        }
    }
    let mixed = || {
        Complaint::usage(
            "a body from a file cannot have other fields or a type",
            "the file is sent as it is, byte for byte",
            "leave out the fields and --type, or the file",
        )
    };
    draft.body = match (file, &args.event_type) {
        (Some(body), None) if fields.is_null() => body,
        (Some(_), _) => return Err(mixed()),
        (None, Some(kind)) => {
            let at = jiff::Timestamp::from_second(SystemTimer.now().as_secs()).unwrap_or_default();
            let data = if fields.is_null() { json!({}) } else { fields };
            json!({ "type": kind, "timestamp": at.to_string(), "data": data }).to_string().into_bytes()
        }
        (None, None) if fields.is_null() => b"{}".to_vec(),
        (None, None) => fields.to_string().into_bytes(),
    };
    say_content_type(&mut draft);
    Ok(draft)
}

/// Says what the body is, where nobody did.
pub(super) fn say_content_type(draft: &mut Draft) {
    if !draft.headers.contains_key("content-type") {
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&draft.body).is_ok();
        let kind = if is_json { "application/json" } else { "application/octet-stream" };
        draft.headers.insert("content-type", HeaderValue::from_static(kind));
    }
}

/// Puts a header or a parameter into a request.
pub(crate) fn put(draft: &mut Draft, item: &Item) -> Result<(), Complaint> {
    match item {
        Item::Header(name, value) => {
            let known = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
            let (known, value) = known.ok_or_else(|| {
                Complaint::usage(
                    format!("{name}:{value} cannot be a header"),
                    "a header's name is letters, digits and dashes, and its value one line",
                    "write Name:value",
                )
            })?;
            draft.headers.append(known, value);
        }
        Item::Query(name, value) => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair(name, value);
            draft.url.push(if draft.url.contains('?') { '&' } else { '?' });
            draft.url.push_str(&query.finish());
        }
        Item::Field(..) | Item::File(_) => {}
    }
    Ok(())
}
