//! A message on one page: what it is, what came in or was sent, and what became of it.

use posthaste_core::request::har::Answered;
use serde_json::Value;

use super::output::short;
use super::whose::text;
use crate::terminal::shown;

/// The longest body that is put on the page; of a longer one its size is shown, and how to have it.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Letters of an answer that stand in one line.
const ANSWER_LETTERS_MAX: usize = 120;

/// `500`, or why nobody answered.
pub(crate) fn outcome(attempt: &Value) -> String {
    match attempt["errorCode"].as_str() {
        Some(error) => error.to_owned(),
        None => attempt["responseStatusCode"].to_string(),
    }
}

/// The first line of what was answered, or of what went wrong.
pub(crate) fn first_line(attempt: &Value) -> String {
    let line = text(attempt, "response").lines().next().unwrap_or_default().trim();
    let mut letters = line.chars();
    let kept: String = letters.by_ref().take(ANSWER_LETTERS_MAX).collect();
    if letters.next().is_some() { format!("{kept}…") } else { kept }
}

/// What was answered, for a HAR file.
pub(crate) fn answered(attempt: &Value) -> Answered {
    let error = attempt["errorCode"].as_str().map(str::to_owned);
    Answered {
        at: text(attempt, "timestamp").to_owned(),
        ms: attempt["responseDurationMs"].as_u64().unwrap_or_default(),
        status: attempt["responseStatusCode"].as_u64().filter(|_| error.is_none()).unwrap_or_default(),
        body: text(attempt, "response").to_owned(),
        error,
        ..Answered::default()
    }
}

/// The page: of a message (`{message, endpoints, attempts}`), or of one attempt with its message (`msg`).
pub(crate) fn lines(
    story: &Value,
    found: &Value,
    source: Option<&Value>,
    body: Option<&[u8]>,
) -> Vec<String> {
    let is_attempt = text(found, "kind") == "attempt";
    let message = if is_attempt { &story["msg"] } else { &story["message"] };
    let mut page = Page::default();
    if is_attempt {
        page.field("attempt", text(story, "id"));
    }
    page.field("message", text(message, "id"));
    page.field("event id", text(message, "eventId"));
    match source {
        Some(source) => {
            page.field("source", &format!("{}  {}", text(source, "id"), text(source, "type")));
        }
        None => page.field("app", text(found, "appId")),
    }
    page.field("type", text(message, "eventType"));
    for names in ["tags", "channels"] {
        let all = message[names].as_array().into_iter().flatten().filter_map(Value::as_str);
        page.field(names, &all.collect::<Vec<_>>().join(", "));
    }
    page.field("accepted", text(message, "timestamp"));
    if is_attempt {
        page.field("endpoint", text(story, "endpointId"));
        page.field("url", text(story, "url"));
        page.field("at", text(story, "timestamp"));
        page.field("answer", &format!("{}   {} ms", outcome(story), story["responseDurationMs"]));
    }
    if !message["request"].is_null() {
        request(&mut page, &message["request"]);
    }
    payload(&mut page, body, text(message, "id"));
    if is_attempt {
        page.heading("answer");
        text(story, "response").lines().for_each(|line| page.line(line));
        return page.0;
    }
    endpoints(&mut page, &story["endpoints"]);
    attempts(&mut page, &story["attempts"]);
    page.0
}

#[derive(Default)]
struct Page(Vec<String>);

impl Page {
    fn field(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.push(format!("{name:<9} {}", shown(value)));
        }
    }

    fn heading(&mut self, text: &str) {
        self.0.push(String::new());
        self.0.push(text.to_owned());
    }

    fn line(&mut self, text: &str) {
        self.0.push(format!("  {}", shown(text)).trim_end().to_owned());
    }
}

fn request(page: &mut Page, request: &Value) {
    let query = text(request, "query");
    let mark = if query.is_empty() { "" } else { "?" };
    page.heading("came in as");
    page.line(&format!("{} {mark}{query}", text(request, "method")));
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        match value {
            Value::Array(all) => {
                for value in all.iter().filter_map(Value::as_str) {
                    page.line(&format!("{name}: {value}"));
                }
            }
            value => page.line(&format!("{name}: {}", value.as_str().unwrap_or_default())),
        }
    }
}

fn payload(page: &mut Page, body: Option<&[u8]>, id: &str) {
    let Some(body) = body else {
        page.heading("body");
        return page.line("gone: it was expunged, or its time was over");
    };
    page.heading(&format!("body, {} bytes", body.len()));
    let pretty = serde_json::from_slice::<Value>(body).ok().map(|json| format!("{json:#}"));
    match (pretty, std::str::from_utf8(body)) {
        _ if body.len() > BODY_BYTES_MAX => page.line(&format!("posthaste show {id} --body")),
        (Some(pretty), _) => pretty.lines().for_each(|line| page.line(line)),
        (None, Ok(text)) => text.lines().for_each(|line| page.line(line)),
        (None, Err(_)) => page.line(&format!("no text: posthaste show {id} --body")),
    }
}

fn endpoints(page: &mut Page, endpoints: &Value) {
    let all = endpoints.as_array().map(Vec::as_slice).unwrap_or_default();
    page.heading("endpoints");
    if all.is_empty() {
        page.line("none wanted it");
    }
    for endpoint in all {
        let more = match (endpoint["nextAttempt"].as_str(), endpoint["reason"].as_str()) {
            (Some(at), _) => format!("  next {at}"),
            (None, Some(why)) => format!("  {why}"),
            (None, None) => String::new(),
        };
        let status = text(endpoint, "statusText");
        page.line(&format!("{}  {status:<7}  {}{more}", text(endpoint, "id"), text(endpoint, "url")));
    }
}

fn attempts(page: &mut Page, attempts: &Value) {
    let all = attempts.as_array().map(Vec::as_slice).unwrap_or_default();
    page.heading("attempts");
    if all.is_empty() {
        page.line("none yet");
    }
    for attempt in all.iter().rev() {
        page.line(&format!(
            "{}  {}  {:<7}  {:>5} ms  {}  {}",
            text(attempt, "id"),
            short(text(attempt, "timestamp")),
            outcome(attempt),
            attempt["responseDurationMs"],
            text(attempt, "url"),
            first_line(attempt),
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outcome_is_a_status_or_why_there_is_none() {
        assert_eq!(outcome(&json!({ "responseStatusCode": 500, "errorCode": null })), "500");
        assert_eq!(outcome(&json!({ "responseStatusCode": 0, "errorCode": "timeout" })), "timeout");
        let long = json!({ "response": format!("{}\nsecond", "x".repeat(200)) });
        assert_eq!(first_line(&long).chars().count(), ANSWER_LETTERS_MAX + 1);
    }

    #[test]
    fn what_others_said_steers_no_terminal() {
        let story = json!({ "message": { "id": "msg_1", "eventType": "a" }, "endpoints": [],
            "attempts": [{ "id": "atmpt_1", "response": "\u{1b}[2J", "responseStatusCode": 500, "url": "http://x/" }] });
        let found = json!({ "kind": "message", "appId": "app_1" });
        let lines = lines(&story, &found, None, Some(b"\x1b]0;x\x07"));
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')), "{lines:?}");
    }
}
