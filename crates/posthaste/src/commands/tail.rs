//! `posthaste tail`: new messages and attempts as lines, by asking the lists again from where they were.

use std::process::ExitCode;
use std::time::Duration;

use posthaste_core::id::{AttemptKind, Id, Kind, MessageId, MessageKind};
use posthaste_core::time::{Clock as _, Timestamp};
use serde_json::{Value, json};

use super::asking;
use crate::cli::daily::{Ended, TailArgs};
use crate::laptop::complaint::{Complaint, told};
use crate::laptop::follow::{Follow, Happened, OVERLAP, OVERLAP_LONG, OVERLAP_MIDDLE, is_meant, ready};
use crate::laptop::moments::moment;
use crate::laptop::output::Output;
use crate::laptop::server::{Server, part};
use crate::laptop::tale::Tale;
use crate::laptop::whose::{Whose, text};
use crate::shutdown::first_signal;
use crate::system::SystemTimer;
use crate::telemetry::{is_read, tell};

/// Apps and sources that are followed at once.
const SCOPES_MAX: usize = 100;
/// Endpoints whose attempts are followed at once.
const ENDPOINTS_MAX: usize = 500;
/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(1);
/// Every so many rounds the lists are asked further back, and apps and endpoints are looked for that are new.
const ROUNDS_BETWEEN_LOOKS: u64 = 10;
/// Every so many the attempts are asked as far back as the longest that there can be.
const ROUNDS_BETWEEN_LONG_LOOKS: u64 = 60;
/// Answers that are fetched in a round to show their first line; of more failures only the status is shown.
const ANSWERS_PER_ROUND_MAX: usize = 50;

/// Runs it.
pub(crate) fn tail(args: &TailArgs) -> ExitCode {
    told(asking(run(args)))
}

async fn run(args: &TailArgs) -> Result<ExitCode, Complaint> {
    let now = SystemTimer.now();
    let since = args.since.as_deref().map(|text| moment("since", text, now)).transpose()?;
    let server = Server::of(&args.server)?;
    let mut tail = Tail {
        server,
        args,
        tale: Tale::of(Output::of(args.output).format()),
        scopes: vec![],
        floor: Timestamp::EPOCH,
    };
    tail.look().await?;
    tail.floor = match since {
        Some(since) => since,
        None => tail.beginning().await?,
    };
    tail.restart();
    tail.tale.ready();
    let interrupted = first_signal().map_err(|error| {
        Complaint::failure("signals cannot be heard", error, "try again when the system has room")
    })?;
    let following = tail.follow();
    tokio::select! {
        ended = following => ended?,
        () = interrupted => {}
    }
    tell(&tail.tale.summary());
    Ok(ExitCode::SUCCESS)
}

/// An app or a source, and the lists of it.
struct Scope {
    app: String,
    name: String,
    messages: Option<Follow>,
    attempts: Vec<(String, Follow)>,
}

struct Tail<'a> {
    server: Server,
    args: &'a TailArgs,
    tale: Tale,
    scopes: Vec<Scope>,
    /// Nothing from before is told.
    floor: Timestamp,
}

impl Tail<'_> {
    /// Follows until nobody reads, or there is nothing more and nobody waits.
    async fn follow(&mut self) -> Result<(), Complaint> {
        let mut round: u64 = 0;
        let mut is_away = false;
        while is_read() {
            let asked = self.round(round).await;
            match asked {
                Ok(()) if is_away => {
                    is_away = false;
                    tell("ready: the server answers again, and nothing was missed");
                }
                Ok(()) => {}
                // What was there at the beginning may be away for a while: the lists are asked on from where they were.
                Err(complaint) if round > 0 && !self.args.no_follow && complaint.may_pass() => {
                    if !is_away {
                        tell(&format!("{complaint}\nreconnecting: asked again each second"));
                    }
                    is_away = true;
                }
                Err(complaint) => return Err(complaint),
            }
            let has_more = self.lists().any(|list| list.has_more);
            if self.args.no_follow && !has_more {
                return Ok(());
            }
            if !has_more || is_away {
                tokio::time::sleep(PAUSE).await;
            }
            round += 1;
        }
        Ok(())
    }

    fn lists(&mut self) -> impl Iterator<Item = &mut Follow> {
        self.scopes.iter_mut().flat_map(|scope| {
            scope.messages.iter_mut().chain(scope.attempts.iter_mut().map(|(_, list)| list))
        })
    }

    /// A page of each list that has told all that it took, and then what can be told.
    async fn round(&mut self, round: u64) -> Result<(), Complaint> {
        let is_long = round > 0 && round.is_multiple_of(ROUNDS_BETWEEN_LOOKS);
        if is_long {
            self.look().await?;
        }
        let overlap = match round {
            0 => OVERLAP,
            round if round.is_multiple_of(ROUNDS_BETWEEN_LONG_LOOKS) => OVERLAP_LONG,
            _ if is_long => OVERLAP_MIDDLE,
            _ => OVERLAP,
        };
        for scope in &mut self.scopes {
            let app = part(&scope.app);
            if let Some(list) = scope.messages.as_mut().filter(|list| !list.is_full()) {
                let path = format!("/api/v1/app/{app}/msg?with_content=false");
                take::<MessageKind>(&self.server, &path, list, OVERLAP, "message", &scope.name).await?;
            }
            for (endpoint, list) in scope.attempts.iter_mut().filter(|(_, list)| !list.is_full()) {
                let path = format!(
                    "/api/v1/app/{app}/attempt/endpoint/{}?with_content=false&with_msg=true",
                    part(endpoint)
                );
                take::<AttemptKind>(&self.server, &path, list, overlap, "attempt", &scope.name).await?;
            }
        }
        let happened = ready(self.lists());
        let mut answers_left = ANSWERS_PER_ROUND_MAX;
        for mut happened in happened.into_iter().filter(|happened| is_wanted(self.args, &happened.object)) {
            let attempt = &happened.object["attempt"];
            let said_no = attempt["responseStatusCode"].as_u64().is_some_and(|code| code != 0);
            if said_no && text(attempt, "statusText") == "fail" && answers_left > 0 {
                answers_left -= 1;
                let path = format!(
                    "/api/v1/app/{}/msg/{}/attempt/{}",
                    part(text(&happened.object, "appId")),
                    part(text(attempt, "msgId")),
                    part(text(attempt, "id"))
                );
                if let Ok(whole) = self.server.get(&path).await {
                    happened.object["attempt"]["response"] = whole["response"].clone();
                }
            }
            self.tale.tell(&happened.object);
        }
        Ok(())
    }

    /// Finds what is to be followed, and adds what is new.
    async fn look(&mut self) -> Result<(), Complaint> {
        let owner = (self.args.app.as_deref(), self.args.source.as_deref());
        let mut found: Vec<(String, String)> = vec![];
        if owner != (None, None) || self.args.endpoint.is_some() {
            let ids: Vec<_> = self.args.endpoint.as_deref().into_iter().collect();
            let app = Whose::of(&self.server, owner, &ids).await?.app;
            let name = owner.0.or(owner.1).unwrap_or(&app).to_owned();
            found.push((app, name));
        } else {
            let (sources, more_sources) = some(&self.server, "/ingest/api/v1/source", SCOPES_MAX).await?;
            let (apps, more_apps) = some(&self.server, "/api/v1/app", SCOPES_MAX - sources.len()).await?;
            found.extend(sources.iter().map(|source| (text(source, "appId").to_owned(), name(source))));
            found.extend(apps.iter().map(|app| (text(app, "id").to_owned(), name(app))));
            if (more_sources || more_apps) && self.scopes.is_empty() {
                tell(&format!(
                    "these are the first {SCOPES_MAX} sources and apps, and there are more: --app APP or --source SOURCE"
                ));
            }
        }
        self.scopes.retain(|scope| found.iter().any(|(app, _)| *app == scope.app));
        for (app, name) in found {
            if !self.scopes.iter().any(|scope| scope.app == app) {
                let has_messages = self.args.endpoint.is_none() && self.args.status.is_none();
                let messages = has_messages.then(|| Follow::from(self.floor));
                self.scopes.push(Scope { app, name, messages, attempts: vec![] });
            }
        }
        self.look_for_endpoints().await
    }

    async fn look_for_endpoints(&mut self) -> Result<(), Complaint> {
        let mut left = ENDPOINTS_MAX;
        let is_first = self.scopes.iter().all(|scope| scope.attempts.is_empty());
        for scope in &mut self.scopes {
            let ids: Vec<String> = if let Some(endpoint) = &self.args.endpoint {
                vec![endpoint.clone()]
            } else {
                let path = format!("/api/v1/app/{}/endpoint", part(&scope.app));
                let (endpoints, has_more) = some(&self.server, &path, left).await?;
                if has_more && is_first {
                    tell(&format!(
                        "the attempts are those of the first {ENDPOINTS_MAX} endpoints, and there are more: --endpoint ENDPOINT"
                    ));
                }
                endpoints.iter().map(|endpoint| text(endpoint, "id").to_owned()).collect()
            };
            left -= ids.len().min(left);
            scope.attempts.retain(|(known, _)| ids.contains(known));
            for id in ids {
                if !scope.attempts.iter().any(|(known, _)| *known == id) {
                    scope.attempts.push((id, Follow::from(self.floor)));
                }
            }
        }
        Ok(())
    }

    /// When the last messages begin that are shown at first. Nobody's clock is asked: what is there says what is newest.
    async fn beginning(&self) -> Result<Timestamp, Complaint> {
        let mut made: Vec<Timestamp> = vec![];
        for scope in &self.scopes {
            let path = format!(
                "/api/v1/app/{}/msg?with_content=false&limit={}",
                part(&scope.app),
                self.args.count.max(1)
            );
            let page = self.server.get(&path).await?;
            let ids = page["data"].as_array().into_iter().flatten().map(|message| text(message, "id"));
            made.extend(ids.filter_map(MessageId::parse).map(|id| id.made_at()));
        }
        made.sort_unstable_by(|one, other| other.cmp(one));
        Ok(match usize::from(self.args.count) {
            0 => made.first().map_or(Timestamp::EPOCH, |newest| newest.later(Duration::from_micros(1))),
            count => made.get(count - 1).or(made.last()).copied().unwrap_or(Timestamp::EPOCH),
        })
    }

    /// Once it is known from when on.
    fn restart(&mut self) {
        let floor = self.floor;
        self.lists().for_each(|list| *list = Follow::from(floor));
    }
}

/// Takes the next page of a list.
async fn take<K: Kind>(
    server: &Server,
    path: &str,
    list: &mut Follow,
    overlap: Duration,
    kind: &str,
    name: &str,
) -> Result<(), Complaint> {
    let from = Id::<K>::first_at(list.asks_from(if list.has_more { Duration::ZERO } else { overlap }));
    let mut at = from.to_string();
    // Below the first id that the server believes in there is nothing.
    let is_from_the_first = list.asks_from(overlap) < Timestamp::from_secs(1_420_070_400);
    loop {
        let iterator = if is_from_the_first && at == from.to_string() {
            String::new()
        } else {
            format!("&iterator={at}")
        };
        let page = match server.get(&format!("{path}&order=ascending&limit=250{iterator}")).await {
            Err(complaint) if complaint.is_not_found() => {
                // It was deleted meanwhile.
                list.take([], false);
                return Ok(());
            }
            page => page?,
        };
        let has_more = page["done"] == json!(false);
        let app = path.split('/').nth(4).unwrap_or_default();
        let rows = page["data"].as_array().into_iter().flatten().filter_map(|row| {
            let id = text(row, "id");
            let made = Id::<K>::parse(id)?.made_at();
            let object =
                json!({ "event": kind, "at": row["timestamp"], "appId": app, "name": name, kind: row });
            Some((id.to_owned(), Happened { at: made, object }))
        });
        list.take(rows, has_more);
        // What was all seen before says nothing about what is behind it.
        match page["iterator"].as_str() {
            Some(next) if has_more && !list.is_full() => next.clone_into(&mut at),
            _ => return Ok(()),
        }
    }
}

fn is_wanted(args: &TailArgs, object: &Value) -> bool {
    let attempt = &object["attempt"];
    let (message, status) = match attempt {
        Value::Null => (&object["message"], None),
        attempt => (&attempt["msg"], Some(text(attempt, "statusText"))),
    };
    let ended = match args.status {
        None => true,
        Some(Ended::Success) => status == Some("success"),
        Some(Ended::Failed) => status == Some("fail"),
    };
    ended && args.event_type.as_deref().is_none_or(|pattern| is_meant(pattern, text(message, "eventType")))
}

/// So many of a list, and whether there are more.
async fn some(server: &Server, list: &str, rows_max: usize) -> Result<(Vec<Value>, bool), Complaint> {
    let (mut rows, mut path) = (vec![], format!("{list}?limit=250"));
    loop {
        let page = server.get(&path).await?;
        rows.extend(page["data"].as_array().into_iter().flatten().cloned());
        let has_more = page["done"] == json!(false);
        match page["iterator"].as_str() {
            Some(iterator) if has_more && rows.len() <= rows_max => {
                path = format!("{list}?limit=250&iterator={}", part(iterator));
            }
            _ => {
                let is_cut = has_more || rows.len() > rows_max;
                rows.truncate(rows_max);
                return Ok((rows, is_cut));
            }
        }
    }
}

/// What people call it.
fn name(object: &Value) -> String {
    let uid = object["uid"].as_str();
    uid.unwrap_or(text(object, "name")).to_owned()
}
