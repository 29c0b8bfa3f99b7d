//! `posthaste bin assert`: whether what should come came.

use std::process::ExitCode;
use std::time::Duration;

use posthaste_core::time::{Clock as _, Timestamp};
use serde_json::{Value, json};

use super::span;
use crate::cli::bin::AssertArgs;
use crate::laptop::came::Came;
use crate::laptop::coming::{Follow, LOOK_EVERY};
use crate::laptop::complaint::Complaint;
use crate::laptop::matching::Wanted;
use crate::laptop::server::Server;
use crate::system::SystemTimer;
use crate::telemetry::{print_line, tell};
use crate::terminal::shown;
use crate::words;

/// Ways in which the nearest request differs that are told.
const DIFFERS_MAX: usize = 3;

/// What came so far.
#[derive(Debug, Default)]
struct Seen {
    came_count: u64,
    matched: Vec<String>,
    /// The request that differs in the fewest ways, of those the newest.
    nearest: Option<(String, Vec<String>)>,
}

pub(super) async fn expect(args: &AssertArgs) -> Result<ExitCode, Complaint> {
    let within = span("within", &args.within)?;
    let since = args.since.as_deref().map(|text| moment(text, SystemTimer.now())).transpose()?;
    let wanted = Wanted::of(&args.wanted)?;
    let server = Server::of(&args.server)?;
    let mut follow = Follow::since(&server, &args.name, since);
    let mut seen = Seen::default();
    let until = tokio::time::Instant::now() + within;
    loop {
        for came in follow.more().await? {
            seen.look(&wanted, &came);
        }
        let is_late = tokio::time::Instant::now() >= until;
        if is_late || seen.is_decided(args.count) {
            break;
        }
        tokio::time::sleep_until(until.min(tokio::time::Instant::now() + LOOK_EVERY)).await;
    }
    let is_ok = seen.is_as_wanted(args.count);
    if args.json {
        print_line(&seen.as_json(args.count, is_ok).to_string());
    }
    if is_ok {
        tell(&shown(&format!("ok: {}", seen.sentence())));
        return Ok(ExitCode::SUCCESS);
    }
    Err(Complaint::failure(
        wish(args.count, &args.name, within),
        seen.sentence(),
        format!("look at what came: posthaste bin {} --from-start --full", args.name),
    ))
}

fn wish(count: u32, name: &str, within: Duration) -> String {
    if count == 0 {
        return format!("no such request was to come to the bin \"{name}\"");
    }
    let requests = words::count(u64::from(count), "such request");
    format!("{requests} should have come to the bin \"{name}\" within {}", words::span(within))
}

/// `now`, a span before it, or an instant.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Complaint> {
    if text == "now" {
        return Ok(now);
    }
    let ago = crate::config::duration(text).ok().map(|span| now.earlier(span));
    ago.or_else(|| Timestamp::parse(text)).ok_or_else(|| {
        Complaint::usage(
            format!("--since {text} cannot be used"),
            "it is neither a span such as 5m, nor an RFC 3339 instant, nor now",
            "write --since 5m",
        )
    })
}

impl Seen {
    fn look(&mut self, wanted: &Wanted, came: &Came) {
        self.came_count += 1;
        let differs = wanted.differs(came);
        if differs.is_empty() {
            self.matched.push(came.id.clone());
        } else if self.nearest.as_ref().is_none_or(|(_, before)| differs.len() <= before.len()) {
            self.nearest = Some((came.id.clone(), differs));
        }
    }

    /// Whether more requests could change nothing.
    fn is_decided(&self, count: u32) -> bool {
        if count == 0 { !self.matched.is_empty() } else { self.is_as_wanted(count) }
    }

    fn is_as_wanted(&self, count: u32) -> bool {
        let matched_count = u32::try_from(self.matched.len()).unwrap_or(u32::MAX);
        if count == 0 { matched_count == 0 } else { matched_count >= count }
    }

    fn sentence(&self) -> String {
        if self.came_count == 0 {
            return "nothing came".to_owned();
        }
        let counts = format!("{} came, {} matched", self.came_count, self.matched.len());
        match &self.nearest {
            Some((_, differs)) => {
                let shown = differs[..differs.len().min(DIFFERS_MAX)].join(", and ");
                format!("{counts}; the nearest of the others had {shown}")
            }
            None => counts,
        }
    }

    fn as_json(&self, count: u32, is_ok: bool) -> Value {
        let nearest = self.nearest.as_ref().map(|(id, differs)| json!({ "id": id, "differs": differs }));
        json!({
            "ok": is_ok, "wanted": count, "matched": self.matched.len(), "came": self.came_count,
            "ids": self.matched, "nearest": nearest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bin::WantedArgs;

    fn seen(bodies: &[&str]) -> Seen {
        let body_json = vec!["kind=a".to_owned(), "amount=5".to_owned()];
        let wanted = Wanted::of(&WantedArgs { body_json, ..WantedArgs::default() }).unwrap();
        let mut seen = Seen::default();
        for (number, body) in bodies.iter().enumerate() {
            let came = Came { id: number.to_string(), body: body.as_bytes().to_vec(), ..Came::default() };
            seen.look(&wanted, &came);
        }
        seen
    }

    #[test]
    fn the_nearest_miss_is_told() {
        let seen =
            seen(&[r#"{"kind":"a","amount":5}"#, r#"{"kind":"a","amount":4}"#, r#"{"kind":"b","amount":4}"#]);
        assert_eq!(seen.sentence(), "3 came, 1 matched; the nearest of the others had amount=4, not 5");
        let json = seen.as_json(2, false);
        assert_eq!((&json["matched"], &json["nearest"]["id"]), (&json!(1), &json!("1")));
        assert_eq!(Seen::default().sentence(), "nothing came");
    }

    #[test]
    fn as_many_as_wanted_are_enough_and_none_means_none() {
        let (one, none) = (seen(&[r#"{"kind":"a","amount":5}"#]), seen(&["x"]));
        assert!(one.is_as_wanted(1) && one.is_decided(1) && !one.is_as_wanted(2));
        assert!(one.is_decided(0) && !one.is_as_wanted(0));
        assert!(none.is_as_wanted(0) && !none.is_decided(0), "one may still come");
    }

    #[test]
    fn moments_are_spans_instants_and_now() {
        let now = Timestamp::parse("2026-11-12T14:00:00Z").unwrap();
        assert_eq!(moment("now", now).unwrap(), now);
        assert_eq!(moment("5m", now).unwrap(), now.earlier(Duration::from_secs(300)));
        assert_eq!(moment("2026-11-12T14:00:00Z", now).unwrap(), now);
        assert!(moment("yesterday", now).is_err());
    }
}
