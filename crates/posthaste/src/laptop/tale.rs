//! What happens, told as lines: for people as they look best, for programs as they are.

use serde_json::{Value, json};

use super::page::{first_line, outcome};
use super::paint;
use super::target;
use super::whose::text;
use crate::cli::server::Format;
use crate::telemetry::print_line;
use crate::terminal::shown;
use crate::words;

/// Tells, and counts.
pub(crate) struct Tale {
    format: Format,
    is_coloured: bool,
    messages_count: u64,
    attempts_count: u64,
    failed_count: u64,
}

impl Tale {
    pub(crate) fn of(format: Format) -> Self {
        Self {
            format,
            is_coloured: paint::is_wanted(),
            messages_count: 0,
            attempts_count: 0,
            failed_count: 0,
        }
    }

    /// That everything from now on is seen.
    pub(crate) fn ready(&self) {
        if matches!(self.format, Format::Json | Format::Jsonl) {
            print_line(&json!({ "event": "ready" }).to_string());
        }
    }

    pub(crate) fn tell(&mut self, happened: &Value) {
        let attempt = &happened["attempt"];
        let is_well = text(attempt, "statusText") == "success";
        if attempt.is_null() {
            self.messages_count += 1;
        } else {
            self.attempts_count += 1;
            self.failed_count += u64::from(!is_well);
        }
        match self.format {
            Format::Json | Format::Jsonl => print_line(&happened.to_string()),
            Format::Table => self.for_people(happened, is_well),
            Format::Auto | Format::Plain => print_line(&plain(happened)),
        }
    }

    fn for_people(&self, happened: &Value, is_well: bool) {
        let (message, attempt) = (&happened["message"], &happened["attempt"]);
        let time = text(happened, "at").get(11..23).unwrap_or_default();
        if attempt.is_null() {
            let (id, kind) = (text(message, "id"), text(message, "eventType"));
            return print_line(&shown(&format!("{time}  → {id}  {kind:<24}  {}", text(happened, "name"))));
        }
        let status = paint::status(&format!("{:<7}", shown(&outcome(attempt))), is_well, self.is_coloured);
        let line = format!(
            "{}  {} ms  {}",
            target::short(text(attempt, "url")),
            attempt["responseDurationMs"],
            if is_well { String::new() } else { first_line(attempt) }
        );
        let head = shown(&format!("{time}  ← {}", text(attempt, "msgId")));
        print_line(&format!("{head}  {status}  {}", shown(line.trim_end())));
        if !is_well {
            print_line(&shown(&format!("{:14}posthaste show {}", "", text(attempt, "id"))));
        }
    }

    /// What was told, in numbers.
    pub(crate) fn summary(&self) -> String {
        let messages = words::count(self.messages_count, "message");
        let attempts = words::count(self.attempts_count, "attempt");
        format!("{messages}, {attempts}, {} failed", words::grouped(self.failed_count))
    }
}

/// When, what, which id, of which message, what type, how it ended, how long it took, and where or whose.
fn plain(happened: &Value) -> String {
    let (message, attempt) = (&happened["message"], &happened["attempt"]);
    let at = text(happened, "at");
    let cells = if attempt.is_null() {
        let id = text(message, "id");
        let kind = text(message, "eventType");
        [at, "message", id, id, kind, "", "", text(happened, "name"), ""].map(str::to_owned)
    } else {
        let ms = attempt["responseDurationMs"].to_string();
        [
            at,
            "attempt",
            text(attempt, "id"),
            text(attempt, "msgId"),
            text(&attempt["msg"], "eventType"),
            &outcome(attempt),
            &ms,
            text(attempt, "url"),
            &first_line(attempt),
        ]
        .map(str::to_owned)
    };
    cells.map(|cell| shown(&cell)).join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_have_the_same_columns_whatever_happened() {
        let message = json!({ "event": "message", "at": "t", "name": "acme", "message": { "id": "msg_1", "eventType": "a.b" } });
        assert_eq!(plain(&message), "t\tmessage\tmsg_1\tmsg_1\ta.b\t\t\tacme\t");
        let attempt = json!({ "event": "attempt", "at": "t", "attempt": { "id": "atmpt_1", "msgId": "msg_1", "url": "http://x/",
            "responseStatusCode": 500, "responseDurationMs": 7, "response": "no\u{1b}[2J\nmore", "msg": { "eventType": "a.b" } } });
        assert_eq!(plain(&attempt), "t\tattempt\tatmpt_1\tmsg_1\ta.b\t500\t7\thttp://x/\tno\\u{1b}[2J");
    }
}
