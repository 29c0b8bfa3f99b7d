//! Watching a job: one line that is written anew on a terminal, and a line now and then elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::laptop::complaint::{Complaint, PARTLY};
use crate::laptop::server::{Server, part};
use crate::telemetry::tell;
use crate::terminal::shown;

/// How often the server is asked how far a job is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a line says so where nothing can be written anew.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// The one who asked went away; the job goes on.
const INTERRUPTED: u8 = 130;

/// How a job stands, in a line.
pub(crate) fn line(job: &Value) -> String {
    let data = &job["data"];
    let count = |name: &str| data[name].as_u64().unwrap_or_default();
    let more = if data["totalIsMore"] == true { "more than " } else { "" };
    let of = data["total"].as_u64().map_or_else(String::new, |total| format!(" of {more}{total}"));
    let lost = match count("withoutPayload") {
        0 => String::new(),
        lost => format!(", {lost} without their payload passed over"),
    };
    let why = match data["reason"].as_str() {
        Some("endpoint_disabled") => ", an endpoint is disabled: enable it and replay again".to_owned(),
        Some("endpoint_deleted") => ", the endpoint was deleted".to_owned(),
        Some("app_deleted") => ", the app was deleted".to_owned(),
        Some(other) => format!(", {other}"),
        None => String::new(),
    };
    let state = data["state"].as_str().unwrap_or("?");
    shown(&format!("{state}: {} put back{of}{lost}{why}", count("deliveriesPutBack")))
}

fn is_over(job: &Value) -> bool {
    job["status"] != "running"
}

/// Whether all of it was done.
pub(crate) fn verdict(job: &Value) -> ExitCode {
    let data = &job["data"];
    let whole = data["state"] == "finished" && data["reason"].is_null() && data["withoutPayload"] == 0;
    if whole { ExitCode::SUCCESS } else { ExitCode::from(PARTLY) }
}

pub(crate) async fn look(server: &Server, id: &str) -> Result<Value, Complaint> {
    server.get(&format!("/api/v1/background-task/{}", part(id))).await
}

pub(crate) async fn cancel(server: &Server, id: &str) -> Result<Value, Complaint> {
    let path = format!("/api/posthaste/v1/background-task/{}/cancel", part(id));
    server.post(&path, &json!({})).await
}

/// What came of watching.
pub(crate) enum Watched {
    /// It is over.
    Over(Value),
    /// Ctrl-C.
    Left(ExitCode),
}

/// Ctrl-C, from when this is made: whoever starts a job hears of it however soon somebody leaves.
pub(crate) fn leaving() -> Result<Signal, Complaint> {
    signal(SignalKind::interrupt()).map_err(|error| {
        Complaint::failure("Ctrl-C cannot be noticed", error, "start the job without watching: --no-wait")
    })
}

/// Watches until it is over, or until Ctrl-C, which leaves it running.
pub(crate) async fn watch(server: &Server, first: Value, leaving: &mut Signal) -> Result<Watched, Complaint> {
    let id = first["id"].as_str().unwrap_or_default().to_owned();
    let mut screen = Screen::new();
    let mut job = first;
    loop {
        screen.shows(&line(&job), is_over(&job));
        if is_over(&job) {
            return Ok(Watched::Over(job));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = leaving.recv() => {
                screen.leaves();
                tell(&format!("{id} goes on without you"));
                tell(&format!("look at it: posthaste replay --job {id}"));
                tell(&format!("stop it:    posthaste replay --job {id} --cancel"));
                return Ok(Watched::Left(ExitCode::from(INTERRUPTED)));
            }
        }
        job = look(server, &id).await?;
    }
}

/// Where progress is shown.
struct Screen {
    is_terminal: bool,
    said_at: Option<Instant>,
}

impl Screen {
    fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), said_at: None }
    }

    fn shows(&mut self, line: &str, last: bool) {
        if self.is_terminal {
            let end = if last { "\n" } else { "" };
            // A screen that is gone is no failure.
            let _ = write!(std::io::stderr(), "\r\x1b[2K{line}{end}");
        } else if last || self.said_at.is_none_or(|said_at| said_at.elapsed() >= SAY_EVERY) {
            self.said_at = Some(Instant::now());
            tell(line);
        }
    }

    fn leaves(&self) {
        if self.is_terminal {
            let _ = writeln!(std::io::stderr());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_said_in_a_line_and_judged() {
        let job = |state: &str, lost: u64, reason: Value| {
            json!({ "id": "qtask_1", "status": "finished", "data": {
                "state": state, "deliveriesPutBack": 3, "total": 4, "totalIsMore": false, "withoutPayload": lost,
                "reason": reason,
            } })
        };
        assert_eq!(line(&job("running", 0, Value::Null)), "running: 3 put back of 4");
        let lost = job("finished", 1, Value::Null);
        assert_eq!(line(&lost), "finished: 3 put back of 4, 1 without their payload passed over");
        assert_eq!(verdict(&lost), ExitCode::from(PARTLY));
        let gone = job("failed", 0, json!("endpoint_deleted"));
        assert_eq!(line(&gone), "failed: 3 put back of 4, the endpoint was deleted");
        assert_eq!(verdict(&gone), ExitCode::from(PARTLY));
        assert_eq!(verdict(&job("finished", 0, Value::Null)), ExitCode::SUCCESS);
        assert_eq!(verdict(&job("cancelled", 0, Value::Null)), ExitCode::from(PARTLY));
    }
}
