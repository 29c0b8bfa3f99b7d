//! `posthaste send --app`: a message of an app, and what its endpoints answer.

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::laptop::SendArgs;
use crate::laptop::captured;
use crate::laptop::complaint::{Complaint, RECEIVER_FAILED};
use crate::laptop::items::{self, Item};
use crate::laptop::server::{Server, part};
use crate::telemetry::{print_line, tell};
use crate::terminal::shown;
use crate::wiring;

/// The longest that is waited for an answer.
const WAIT_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How the API says that a delivery ended well, and that it did not.
const SUCCESS: u64 = 0;
const FAIL: u64 = 2;

/// Sends it, and waits if so asked.
pub(super) fn send(app: &str, args: &SendArgs) -> Result<ExitCode, Complaint> {
    let message = json!({ "eventType": args.event_type, "payload": payload(args)? });
    let server = Server::of(&args.server)?;
    let runtime = wiring::runtime().map_err(|error| {
        Complaint::failure("nobody can be asked", format!("{error:#}"), "try again when the system has room")
    })?;
    runtime.block_on(async {
        let app = format!("/api/v1/app/{}", part(app));
        let sent = server.post(&format!("{app}/msg"), &message).await?;
        let id = sent["id"].as_str().unwrap_or_default().to_owned();
        print_line(&shown(&id));
        let waits = args.wait || (!args.no_wait && std::io::stdout().is_terminal());
        if waits { wait(&server, &app, &id).await } else { Ok(ExitCode::SUCCESS) }
    })
}

/// The items as a JSON object, or the file.
fn payload(args: &SendArgs) -> Result<Value, Complaint> {
    let mut payload = Value::Null;
    // Without a URL the first item stands in its place.
    for text in args.url.iter().chain(&args.items) {
        match Item::parse(text)? {
            Item::Field(name, value) => drop(items::put(&mut payload, &name, &value)?),
            Item::File(path) => {
                payload = serde_json::from_slice(&captured::read(Path::new(&path))?).map_err(|error| {
                    Complaint::usage(format!("{path} is no payload"), error, "name a file with a JSON object")
                })?;
            }
            Item::Header(..) | Item::Query(..) => {
                return Err(Complaint::usage(
                    format!("\"{text}\" cannot be in a message"),
                    "a message is a payload; headers are those of its endpoints",
                    "write path=value; with a URL in place of --app, headers can be sent",
                ));
            }
        }
    }
    Ok(if payload.is_null() { json!({}) } else { payload })
}

/// Shows each attempt, until every endpoint was tried.
async fn wait(server: &Server, app: &str, id: &str) -> Result<ExitCode, Complaint> {
    let until = tokio::time::Instant::now() + WAIT_MAX;
    let mut told = HashSet::new();
    loop {
        let endpoints = server.get(&format!("{app}/msg/{id}/endpoint?limit=250")).await?;
        let attempts = server.get(&format!("{app}/attempt/msg/{id}?limit=250&with_content=true")).await?;
        let all = |page: &Value| page["data"].as_array().cloned().unwrap_or_default();
        let (endpoints, mut attempts) = (all(&endpoints), all(&attempts));
        if endpoints.is_empty() {
            tell("no endpoint of this app wants it: it is kept, and sent to nobody");
            return Ok(ExitCode::SUCCESS);
        }
        attempts.reverse();
        for attempt in attempts.iter().filter(|attempt| told.insert(attempt["id"].to_string())) {
            tell(&shown(&line(attempt)));
        }
        let state = State::of(&endpoints, &attempts);
        if state.untried == 0 {
            return Ok(if state.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(RECEIVER_FAILED) });
        }
        if tokio::time::Instant::now() >= until {
            return Err(Complaint::failure(
                format!("{} of its endpoints were not tried within {} s", state.untried, WAIT_MAX.as_secs()),
                "their turn did not come: other messages may be before it, or they are paused",
                format!("look later: curl {}{app}/attempt/msg/{id}", server.url()),
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn line(attempt: &Value) -> String {
    let (code, ms) = (&attempt["responseStatusCode"], &attempt["responseDurationMs"]);
    let said = attempt["response"].as_str().unwrap_or_default();
    let said = if attempt["status"] == SUCCESS { "" } else { said.lines().next().unwrap_or_default() };
    let url = attempt["url"].as_str().unwrap_or_default();
    format!("← {code}  {url}  {ms} ms  {said}").trim_end().to_owned()
}

/// How many endpoints still wait for their first attempt, and how many said no.
#[derive(Debug, PartialEq)]
struct State {
    untried: usize,
    failed: usize,
}

impl State {
    /// By the attempts, which are read last: an endpoint may have been tried since it was read. `attempts`: oldest first.
    fn of(endpoints: &[Value], attempts: &[Value]) -> Self {
        let mut state = Self { untried: 0, failed: 0 };
        for endpoint in endpoints {
            match attempts.iter().rfind(|attempt| attempt["endpointId"] == endpoint["id"]) {
                Some(newest) => state.failed += usize::from(newest["status"] != SUCCESS),
                // Given up before it was tried.
                None if endpoint["status"] == FAIL => state.failed += 1,
                None => state.untried += 1,
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_as_its_newest_attempt_says() {
        let endpoints = [1, 2, 3, 4].map(|id| json!({ "id": id, "status": 1 }));
        let attempt = |id: u8, status: u64| json!({ "endpointId": id, "status": status });
        let attempts = [attempt(1, SUCCESS), attempt(2, FAIL), attempt(3, FAIL), attempt(3, SUCCESS)];
        assert_eq!(State::of(&endpoints, &attempts), State { untried: 1, failed: 1 });
        let given_up = [json!({ "id": 1, "status": FAIL })];
        assert_eq!(State::of(&given_up, &[]), State { untried: 0, failed: 1 });
    }

    #[test]
    fn a_payload_is_made_of_items_the_first_in_the_place_of_the_url() {
        let args = |items: &[&str]| SendArgs {
            url: Some(items[0].to_owned()),
            items: items[1..].iter().map(|item| (*item).to_owned()).collect(),
            ..SendArgs::default()
        };
        assert_eq!(payload(&args(&["a=1", "b.c:=2"])).unwrap(), json!({ "a": "1", "b": { "c": 2 } }));
        assert!(payload(&args(&["X-A: b"])).is_err());
    }
}
