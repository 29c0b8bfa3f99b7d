//! `posthaste bin NAME`: its URL, and then whatever comes, one line each.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::made;
use crate::cli::bin::WatchArgs;
use crate::cli::server::Format;
use crate::laptop::came::Came;
use crate::laptop::coming::{Follow, LOOK_EVERY};
use crate::laptop::complaint::Complaint;
use crate::laptop::output::Output;
use crate::laptop::post::Sender;
use crate::laptop::server::Server;
use crate::laptop::{decoded, target};
use crate::shutdown::first_signal;
use crate::telemetry::{print_line, tell};
use crate::terminal::shown;
use crate::words;

/// Letters of a body's first line.
const LINE_LETTERS_MAX: usize = 80;
/// The longest between two tries while the server is away.
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// What was seen, for the last line.
#[derive(Default)]
struct Tally {
    came: u64,
    forwarded: u64,
    failed: u64,
}

pub(super) async fn watch(args: &WatchArgs) -> Result<ExitCode, Complaint> {
    let server = Server::of(&args.server)?;
    let output = Output::of(args.output);
    let forward = match &args.forward {
        Some(to) => {
            let url = target::url(to)?;
            Some((Sender::new(&url)?, url))
        }
        None => None,
    };
    let url = match made::made(&server, &args.name, &args.answer).await {
        Ok(source) => Some(source["ingestUrl"].as_str().unwrap_or_default().to_owned()),
        // Whoever was given a link may look, and does not hear the address.
        Err(complaint) if complaint.is_forbidden() && !args.no_follow => None,
        Err(complaint) => return Err(complaint),
    };
    let mut follow = if args.from_start || args.no_follow {
        Follow::since(&server, &args.name, None)
    } else {
        Follow::from_now(&server, &args.name).await?
    };
    ready(output, &args.name, url.as_deref());
    if args.no_follow {
        return Ok(ExitCode::SUCCESS);
    }
    let stopped = first_signal().map_err(|error| {
        Complaint::failure("Ctrl-C could not be heard", error, "try again when the system has room")
    })?;
    let watcher = Watcher { output, full: args.full, forward };
    let mut tally = Tally::default();
    tokio::select! {
        () = stopped => {}
        complaint = watcher.run(&mut follow, &mut tally) => return Err(complaint),
    }
    tell(&tally.sentence(watcher.forward.is_some()));
    Ok(ExitCode::SUCCESS)
}

/// The first line is the URL, or what tells a program the same.
fn ready(output: Output, name: &str, url: Option<&str>) {
    match (output.format(), url) {
        (Format::Json | Format::Jsonl, _) => {
            print_line(&json!({ "event": "ready", "name": name, "url": url }).to_string());
        }
        (_, Some(url)) => print_line(&shown(url)),
        (_, None) => tell(&format!("watching the bin {}, by a token that may only look", shown(name))),
    }
}

struct Watcher {
    output: Output,
    full: bool,
    forward: Option<(Sender, String)>,
}

impl Watcher {
    /// Until it cannot go on.
    async fn run(&self, follow: &mut Follow<'_>, tally: &mut Tally) -> Complaint {
        let mut wait = LOOK_EVERY;
        loop {
            match follow.more().await {
                Ok(came) => {
                    if wait > LOOK_EVERY {
                        tell("ready: the server is back");
                    }
                    wait = LOOK_EVERY;
                    for came in &came {
                        tally.came += 1;
                        self.show(came);
                        self.send_on(came, tally).await;
                    }
                }
                Err(complaint) if complaint.is_unreachable() => {
                    if wait == LOOK_EVERY {
                        tell(&format!("{complaint}\nreconnecting: what comes meanwhile is kept"));
                    }
                    wait = (wait * 2).min(AGAIN_MAX);
                }
                Err(complaint) => return complaint,
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn show(&self, came: &Came) {
        match self.output.format() {
            Format::Json | Format::Jsonl => {
                let mut told = came.told.clone();
                told["event"] = Value::from("request");
                print_line(&told.to_string());
            }
            format => {
                print_line(&line(came, format));
                if self.full {
                    for line in details(came) {
                        print_line(&line);
                    }
                }
            }
        }
    }

    async fn send_on(&self, came: &Came, tally: &mut Tally) {
        let Some((sender, url)) = &self.forward else { return };
        let draft = came.to(url);
        let sent = sender.send(&draft, &came.id, &format!("{} {}", came.method, came.target())).await;
        let (status, error) = match sent {
            Ok(reply) => (Some(reply.status), None),
            Err(complaint) => (None, Some(complaint.to_string())),
        };
        if status.is_some_and(|status| (200..300).contains(&status)) {
            tally.forwarded += 1;
        } else {
            tally.failed += 1;
        }
        if let Some(error) = error {
            tell(&error);
        }
        if matches!(self.output.format(), Format::Json | Format::Jsonl) {
            print_line(&json!({ "event": "forwarded", "id": came.id, "status": status }).to_string());
        }
    }
}

/// A request as one line: columns for people, or cells with a tab in between.
fn line(came: &Came, format: Format) -> String {
    let at = came.at.to_string();
    let target = format!("{} {}", came.method, came.target());
    let kind = came.header("content-type").unwrap_or("-");
    let body = decoded::first_line(came, LINE_LETTERS_MAX);
    if format == Format::Table {
        let time = at.get(11..23).unwrap_or_default();
        let size = words::size(came.body.len() as u64);
        let line = format!("{time}  {}  {}  {}  {size}  {body}", came.id, target.trim_end(), kind);
        return shown(line.trim_end());
    }
    let cells: [&str; 7] =
        [&at, &came.id, &came.method, &came.target(), kind, &came.body.len().to_string(), &body];
    cells.map(shown).join("\t")
}

/// Headers and body, indented.
fn details(came: &Came) -> Vec<String> {
    let header = |(name, value): &(String, Option<Vec<u8>>)| {
        let value = value.as_deref().map_or("(hidden)".into(), String::from_utf8_lossy);
        shown(&format!("{name}: {value}"))
    };
    let mut lines: Vec<_> = came.headers.iter().map(header).collect();
    lines.push(String::new());
    lines.extend(decoded::lines(came));
    lines.push(String::new());
    lines.iter().map(|line| format!("    {line}").trim_end().to_owned()).collect()
}

impl Tally {
    fn sentence(&self, forwards: bool) -> String {
        let came = format!("{} came", words::count(self.came, "request"));
        if !forwards {
            return came;
        }
        format!("{came}, {} forwarded, {} failed", self.forwarded, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Came {
        let headers = vec![
            ("content-type".to_owned(), Some(b"application/json".to_vec())),
            ("x-token".to_owned(), None),
        ];
        Came {
            id: "msg_1".to_owned(),
            at: posthaste_core::time::Timestamp::parse("2026-11-12T14:32:18.402Z").unwrap(),
            method: "POST".to_owned(),
            query: "a=1".to_owned(),
            headers,
            body: b"{\"a\":\"\x1b[2J\"}".to_vec(),
            ..Came::default()
        }
    }

    #[test]
    fn a_request_is_one_line_whatever_it_holds() {
        assert_eq!(
            line(&example(), Format::Table),
            "14:32:18.402  msg_1  POST ?a=1  application/json  12 bytes  {\"a\":\"\\\\u{1b}[2J\"}"
                .replace("\\\\u", "\\u")
        );
        assert_eq!(
            line(&example(), Format::Plain).split('\t').collect::<Vec<_>>()[1..6],
            ["msg_1", "POST", "?a=1", "application/json", "12"]
        );
    }

    #[test]
    fn details_are_headers_and_body() {
        let details = details(&example());
        assert_eq!(details[..3], ["    content-type: application/json", "    x-token: (hidden)", ""]);
        assert!(details[3].contains("\\u{1b}"), "no JSON, for it has a bare control character: {details:?}");
    }

    #[test]
    fn the_last_line_says_what_was_seen() {
        let tally = Tally { came: 27, forwarded: 25, failed: 2 };
        assert_eq!(tally.sentence(true), "27 requests came, 25 forwarded, 2 failed");
        assert_eq!(Tally { came: 1, ..Tally::default() }.sentence(false), "1 request came");
    }
}
