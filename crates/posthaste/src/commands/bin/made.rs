//! A bin that is there, and answers as was asked for.

use std::path::Path;

use http::Method;
use serde_json::{Map, Value, json};

use super::span;
use crate::cli::bin::AnswerArgs;
use crate::laptop::captured;
use crate::laptop::complaint::Complaint;
use crate::laptop::server::{Server, part};

/// What stands where other sources name their provider.
pub(super) const KIND: &str = posthaste_core::bin::PROVIDER;

/// The bin of this name: made if there is none, changed if anything is asked for.
pub(in crate::commands) async fn made(
    server: &Server,
    name: &str,
    args: &AnswerArgs,
) -> Result<Value, Complaint> {
    let asked = Asked::of(args)?;
    let path = format!("/ingest/api/v1/source/{}", part(name));
    match server.get(&path).await {
        Ok(source) => {
            is_bin(&source, name)?;
            if asked.is_nothing() {
                return Ok(source);
            }
            server.ask(Method::PATCH, &path, Some(&asked.change(&source))).await
        }
        Err(complaint) if complaint.is_not_found() => {
            let mut new = asked.change(&Value::Null);
            for (field, value) in [("name", name), ("uid", name), ("type", KIND)] {
                new[field] = Value::from(value);
            }
            server.post("/ingest/api/v1/source", &new).await
        }
        Err(complaint) => Err(complaint),
    }
}

/// Whoever removes a bin, or changes its answers, did not mean a provider's source.
pub(super) fn is_bin(source: &Value, name: &str) -> Result<(), Complaint> {
    if source["bin"] == true {
        return Ok(());
    }
    let kind = source["type"].as_str().unwrap_or_default();
    Err(Complaint::rejected(
        format!("\"{name}\" is no bin"),
        format!("it is a source of type {kind}"),
        "name another, or see all: posthaste bin list",
    ))
}

/// What was asked for, as the API takes it.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    answer: Map<String, Value>,
    /// `Some(null)`: as long as the server does.
    keep_seconds: Option<Value>,
}

impl Asked {
    fn of(args: &AnswerArgs) -> Result<Self, Complaint> {
        let mut answer = Map::new();
        let mut add = |name: &str, value: Value| drop(answer.insert(name.to_owned(), value));
        match args.status {
            Some(status) if (200..300).contains(&status) => {
                add("status", status.into());
                add("sequence", json!([]));
            }
            // Only a source that was told to may say that a request was not taken; it has that as a sequence.
            Some(status) => add("sequence", json!([status])),
            None => {}
        }
        if let Some(text) = &args.answers {
            add("sequence", statuses(text)?);
        }
        if let Some(text) = &args.body {
            add("body", body(text)?.into());
        }
        if !args.header.is_empty() {
            let headers: Result<Map<_, _>, _> = args.header.iter().map(|text| header(text)).collect();
            add("headers", headers?.into());
        }
        if let Some(text) = &args.delay {
            let delay_ms = u64::try_from(span("delay", text)?.as_millis()).unwrap_or(u64::MAX);
            add("delayMs", delay_ms.into());
        }
        if let Some(text) = &args.fail {
            add("failPercent", percent(text)?.into());
        }
        let keep_seconds = match args.ttl.as_deref() {
            None => None,
            Some("off") => Some(Value::Null),
            Some(text) => Some(span("ttl", text)?.as_secs().into()),
        };
        Ok(Self { answer, keep_seconds })
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The same as a body for the API, which replaces an answer whole.
    fn change(&self, source: &Value) -> Value {
        let mut change = json!({});
        if !self.answer.is_empty() {
            let mut answer = source["answer"].as_object().cloned().unwrap_or_default();
            answer.extend(self.answer.clone());
            change["answer"] = answer.into();
        }
        if let Some(keep) = &self.keep_seconds {
            change["keepSeconds"] = keep.clone();
        }
        change
    }
}

fn statuses(text: &str) -> Result<Value, Complaint> {
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    let statuses: Option<Vec<u16>> =
        parts.map(|part| part.parse().ok().filter(|status| (200..600).contains(status))).collect();
    match statuses {
        Some(statuses) if !statuses.is_empty() => Ok(json!(statuses)),
        _ => Err(Complaint::usage(
            format!("--answers \"{text}\" cannot be used"),
            "it is no list of status codes from 200 to 599",
            "write --answers \"500, 500, 200\"",
        )),
    }
}

fn percent(text: &str) -> Result<u8, Complaint> {
    let number = text.trim().trim_end_matches('%').parse::<u8>().ok();
    number.filter(|number| *number <= 100).ok_or_else(|| {
        Complaint::usage(
            format!("--fail {text} cannot be used"),
            "it is no whole number of percent, from 0 to 100",
            "write --fail 30%",
        )
    })
}

fn header(text: &str) -> Result<(String, Value), Complaint> {
    let pair = text.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().into()));
    pair.ok_or_else(|| {
        Complaint::usage(
            format!("--header \"{text}\" cannot be used"),
            "it has no colon",
            "write --header 'Name: value'",
        )
    })
}

fn body(text: &str) -> Result<String, Complaint> {
    let Some(file) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    String::from_utf8(captured::read(Path::new(file))?).map_err(|error| {
        Complaint::usage(format!("{file} cannot be an answer's body"), error, "name a file of UTF-8 text")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_changes_and_the_rest_stays() {
        let before = json!({ "answer": { "status": 202, "sequence": [500], "body": "ok", "delayMs": 5 } });
        let args = AnswerArgs {
            status: Some(201),
            fail: Some("30%".to_owned()),
            delay: Some("2s".to_owned()),
            ttl: Some("7d".to_owned()),
            header: vec!["X-A: b: c".to_owned()],
            ..AnswerArgs::default()
        };
        let change = Asked::of(&args).unwrap().change(&before);
        let answer = json!({
            "status": 201, "sequence": [], "body": "ok", "delayMs": 2_000, "failPercent": 30,
            "headers": { "X-A": "b: c" },
        });
        assert_eq!(change, json!({ "answer": answer, "keepSeconds": 604_800 }));
        assert!(Asked::of(&AnswerArgs::default()).unwrap().is_nothing());
    }

    #[test]
    fn a_status_that_refuses_is_a_sequence_of_one() {
        let args = AnswerArgs { status: Some(503), ..AnswerArgs::default() };
        let asked = Asked::of(&args).unwrap().change(&Value::Null);
        assert_eq!(asked, json!({ "answer": { "sequence": [503] } }));
        assert_eq!(statuses("500, 500 200").unwrap(), json!([500, 500, 200]));
    }

    #[test]
    fn what_cannot_be_asked_for_is_named() {
        for text in ["", "x", "500, 99", "600"] {
            assert!(statuses(text).is_err(), "{text}");
        }
        assert!(percent("101%").is_err() && percent("-1").is_err() && percent("").is_err());
        assert!(header("X-A").is_err());
    }
}
