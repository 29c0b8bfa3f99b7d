//! `posthaste show`: anything by its id; of a message and an attempt, every part in the form that is needed.

use std::process::ExitCode;

use http::Method;
use posthaste_core::request::har::{self, Answered};
use posthaste_core::request::printed;
use posthaste_core::time::Clock as _;
use serde_json::{Value, json};

use super::asking;
use crate::cli::daily::ShowArgs;
use crate::laptop::complaint::{Complaint, told};
use crate::laptop::output::Output;
use crate::laptop::page;
use crate::laptop::replica::{self, Replica};
use crate::laptop::server::{Server, part};
use crate::laptop::whose::{app_of_source, text};
use crate::system::SystemTimer;
use crate::telemetry::{print_bytes, print_line, tell};
use crate::terminal::shown;

/// Runs it.
pub(crate) fn show(args: &ShowArgs) -> ExitCode {
    told(asking(run(args)))
}

async fn run(args: &ShowArgs) -> Result<ExitCode, Complaint> {
    let server = Server::of(&args.server)?;
    let found = found(&server, args).await?;
    let id = text(&found, "id");
    let app = format!("/api/v1/app/{}", part(text(&found, "appId")));
    let whole = match text(&found, "kind") {
        "message" | "attempt" => {
            let story = Story::read(&server, &found).await?;
            return told_of(&server, &story, args).await;
        }
        "app" if found["sourceId"].is_null() => server.get(&app).await?,
        "app" | "source" => server.get(&source_path(&found)).await?,
        "endpoint" => server.get(&format!("{app}/endpoint/{}", part(id))).await?,
        "job" => server.get(&format!("/api/v1/background-task/{}", part(id))).await?,
        _ => refusal(&server, &found).await?,
    };
    no_part(args, text(&found, "kind"))?;
    Output::of(args.output).object(&whole);
    Ok(ExitCode::SUCCESS)
}

/// Only messages and attempts have requests and answers.
fn no_part(args: &ShowArgs, kind: &str) -> Result<(), Complaint> {
    let part = args.part;
    let parts = [part.request, part.response, part.headers, part.body, part.raw, part.curl, part.har];
    if !parts.contains(&true) {
        return Ok(());
    }
    Err(Complaint::usage(
        format!("{} has no request", args.id),
        format!("it is a thing of kind {kind}, and only messages and attempts have one"),
        format!("posthaste show {}", args.id),
    ))
}

fn source_path(found: &Value) -> String {
    format!("/ingest/api/v1/source/{}", part(text(found, "sourceId")))
}

/// By its id alone; or a message by the caller's own id, if it is said whose it is.
async fn found(server: &Server, args: &ShowArgs) -> Result<Value, Complaint> {
    let (app, source) = match (&args.app, &args.source) {
        (Some(app), _) => (app.clone(), None),
        (None, Some(source)) => (app_of_source(server, source).await?, Some(source)),
        (None, None) => return server.find(&args.id).await,
    };
    let path = format!("/api/v1/app/{}/msg/{}?with_content=false", part(&app), part(&args.id));
    let message = server.get(&path).await?;
    Ok(
        json!({ "id": message["id"], "kind": "message", "appId": app, "sourceId": source, "msgId": message["id"] }),
    )
}

/// A refused request is only in its source's log.
async fn refusal(server: &Server, found: &Value) -> Result<Value, Complaint> {
    let log = format!("{}/log?limit=250", source_path(found));
    let mut path = log.clone();
    loop {
        let page = server.get(&path).await?;
        let mut rows = page["data"].as_array().into_iter().flatten();
        if let Some(refusal) = rows.find(|row| row["id"] == found["id"]) {
            return Ok(refusal.clone());
        }
        match page["iterator"].as_str().filter(|_| page["done"] == json!(false)) {
            Some(iterator) => path = format!("{log}&iterator={}", part(iterator)),
            None => return server.find(text(found, "id")).await,
        }
    }
}

/// A message with all that became of it.
struct Story {
    found: Value,
    message: Value,
    /// The body, byte for byte; `None`: it is gone.
    body: Option<Vec<u8>>,
    source: Option<Value>,
    destinations: Vec<Value>,
    /// Newest first; of an attempt only that.
    attempts: Vec<Value>,
}

impl Story {
    async fn read(server: &Server, found: &Value) -> Result<Self, Complaint> {
        let app = format!("/api/v1/app/{}", part(text(found, "appId")));
        let msg = part(text(found, "msgId"));
        let path = format!("{app}/msg/{msg}");
        let answer = server.success(&Method::GET, &path).await?;
        let message: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let is_gone = message["payload"] == json!({ "expired": true }) && message["request"].is_null();
        let body = match replica::body(&answer.body) {
            Ok(body) if !is_gone => Some(body),
            _ => None,
        };
        let source = match found["sourceId"].as_str() {
            Some(_) => Some(server.get(&source_path(found)).await?),
            None => None,
        };
        let (mut destinations, mut attempts) = (vec![], vec![]);
        if text(found, "kind") == "attempt" {
            attempts.push(server.get(&format!("{path}/attempt/{}", part(text(found, "id")))).await?);
        } else {
            destinations = all(server, &format!("{path}/endpoint?limit=250")).await?;
            attempts = all(server, &format!("{app}/attempt/msg/{msg}?limit=250")).await?;
        }
        Ok(Self { found: found.clone(), message, body, source, destinations, attempts })
    }

    fn as_json(&self) -> Value {
        if text(&self.found, "kind") == "attempt" {
            let mut attempt = self.attempts.first().cloned().unwrap_or_default();
            attempt["msg"] = self.message.clone();
            return attempt;
        }
        json!({
            "message": self.message, "appId": self.found["appId"], "sourceId": self.found["sourceId"],
            "endpoints": self.destinations, "attempts": self.attempts,
        })
    }
}

/// Every row of a list that is short by its nature.
async fn all(server: &Server, list: &str) -> Result<Vec<Value>, Complaint> {
    let (mut rows, mut path) = (vec![], list.to_owned());
    loop {
        let page = server.get(&path).await?;
        rows.extend(page["data"].as_array().into_iter().flatten().cloned());
        match page["iterator"].as_str().filter(|_| page["done"] == json!(false)) {
            Some(iterator) => path = format!("{list}&iterator={}", part(iterator)),
            None => return Ok(rows),
        }
    }
}

async fn told_of(server: &Server, story: &Story, args: &ShowArgs) -> Result<ExitCode, Complaint> {
    let part = args.part;
    if part.response {
        let attempt =
            story.attempts.first().ok_or_else(|| nothing(story, "answer", "nothing was sent yet"))?;
        print_line(&shown(&page::outcome(attempt)));
        print_line(text(attempt, "response"));
        return Ok(ExitCode::SUCCESS);
    }
    if !(part.request || part.headers || part.body || part.raw || part.curl || part.har) {
        let output = Output::of(args.output);
        if output.is_for_programs() {
            output.object(&story.as_json());
        } else {
            let body = story.body.as_deref();
            for line in page::lines(&story.as_json(), &story.found, story.source.as_ref(), body) {
                print_line(&line);
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let body =
        || story.body.clone().ok_or_else(|| nothing(story, "body", "it was expunged, or its time was over"));
    if part.body {
        print_bytes(&body()?);
        return Ok(ExitCode::SUCCESS);
    }
    let Replica { draft, notes } = request(server, story, args, body()?).await?;
    for note in &notes {
        tell(&shown(note));
    }
    if part.headers {
        for (name, value) in &draft.headers {
            print_line(&shown(&format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))));
        }
    } else if part.raw {
        print_bytes(&printed::on_the_wire(&draft));
    } else if part.request {
        let text = printed::on_the_wire(&draft);
        String::from_utf8_lossy(&text).lines().for_each(|line| print_line(&shown(line)));
    } else if part.curl {
        print_line(&printed::as_curl(&draft));
    } else {
        let entries: Vec<_> = if story.attempts.is_empty()
            || (story.source.is_some() && args.endpoint.is_none())
        {
            let at = text(&story.message, "timestamp").to_owned();
            vec![har::entry(&draft, &Answered { at, ..Answered::default() })]
        } else {
            story.attempts.iter().rev().map(|attempt| har::entry(&draft, &page::answered(attempt))).collect()
        };
        print_line(&format!("{:#}", har::file(&entries)));
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing(story: &Story, what: &str, why: &str) -> Complaint {
    let id = text(&story.found, "id");
    Complaint::not_found(format!("{id} has no {what}"), why, format!("posthaste show {id}"))
}

/// The request: what came in by a source, or what an endpoint is sent.
async fn request(
    server: &Server,
    story: &Story,
    args: &ShowArgs,
    body: Vec<u8>,
) -> Result<Replica, Complaint> {
    let attempt = story.attempts.first().filter(|_| text(&story.found, "kind") == "attempt");
    if let (Some(source), None, None) = (&story.source, attempt, &args.endpoint) {
        return Ok(replica::received(&story.message, body, text(source, "ingestUrl")));
    }
    let app = text(&story.found, "appId");
    let named = match (&args.endpoint, attempt) {
        (Some(endpoint), _) => endpoint.clone(),
        (None, Some(attempt)) => text(attempt, "endpointId").to_owned(),
        (None, None) => {
            let first = story.destinations.first();
            let first = first.ok_or_else(|| nothing(story, "request", "no endpoint wanted it"))?;
            if story.destinations.len() > 1 {
                let (count, url) = (story.destinations.len(), text(first, "url"));
                tell(&shown(&format!(
                    "it went to {count} endpoints: this is for {url}; another with --endpoint"
                )));
            }
            text(first, "id").to_owned()
        }
    };
    let path = format!("/api/v1/app/{}/endpoint/{}", part(app), part(&named));
    let url = match attempt.filter(|_| args.endpoint.is_none()) {
        Some(attempt) => text(attempt, "url").to_owned(),
        None => text(&server.get(&path).await?, "url").to_owned(),
    };
    if story.source.is_some() {
        let mut replica = replica::received(&story.message, body, &url);
        replica.notes.push("our own signature is not among these headers".to_owned());
        return Ok(replica);
    }
    let secret = server.get(&format!("{path}/secret")).await.ok();
    let secret = secret.as_ref().map(|secret| text(secret, "key"));
    let message = &story.message;
    let id = message["eventId"].as_str().unwrap_or(text(message, "id"));
    replica::sent((&url, id, body), secret, SystemTimer.now().as_micros().div_euclid(1000))
}
