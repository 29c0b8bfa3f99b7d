//! Of the words on the command line, what the server is asked for: a job for each app, or for each endpoint of which an
//! attempt was named.

use std::collections::BTreeMap;

use posthaste_core::limits::REPLAY_MESSAGES_MAX;
use posthaste_core::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::cli::replay::ReplayArgs;
use crate::laptop::complaint::Complaint;
use crate::laptop::server::{Server, part};
use crate::laptop::{moments, pace};

/// One request to replay: where it goes, and the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `app/ID` or `source/ID`, as it stands in paths.
    pub(crate) owner: String,
    pub(crate) body: Map<String, Value>,
}

impl Asked {
    pub(crate) fn path(&self) -> String {
        format!("/api/posthaste/v1/{}/replay", self.owner)
    }
}

/// The owner that was named.
fn owner(args: &ReplayArgs) -> Option<String> {
    let app = args.app.as_ref().map(|app| format!("app/{}", part(app)));
    app.or_else(|| args.source.as_ref().map(|source| format!("source/{}", part(source))))
}

/// Everything but which messages.
fn filter(args: &ReplayArgs, now: Timestamp) -> Result<Map<String, Value>, Complaint> {
    let mut body = Map::new();
    for (name, text) in [("endpoint", &args.endpoint), ("status", &args.status)] {
        if let Some(text) = text {
            body.insert(name.to_owned(), json!(text));
        }
    }
    for (name, text) in [("since", &args.since), ("until", &args.until)] {
        if let Some(text) = text {
            body.insert(name.to_owned(), json!(moments::moment(name, text, now)?.to_string()));
        }
    }
    if !args.types.is_empty() {
        body.insert("eventTypes".to_owned(), json!(args.types));
    }
    if let Some(rate) = &args.rate {
        body.insert("ratePerSecond".to_owned(), json!(whole_rate(rate)?));
    }
    Ok(body)
}

/// The server counts in whole deliveries a second.
fn whole_rate(text: &str) -> Result<u64, Complaint> {
    let between = pace::between(Some(text))?;
    let rate = 1.0 / between.as_secs_f64();
    let whole = (1..=10_000_u32).find(|whole| (f64::from(*whole) - rate).abs() < 1e-3);
    whole.map(u64::from).ok_or_else(|| {
        Complaint::usage(
            format!("--rate {text} cannot be used by a server"),
            "it puts back whole deliveries a second, at least one",
            "write --rate 20/s",
        )
    })
}

/// All that is asked for.
pub(crate) async fn asked(
    server: &Server,
    args: &ReplayArgs,
    now: Timestamp,
) -> Result<Vec<Asked>, Complaint> {
    let body = filter(args, now)?;
    if args.ids.is_empty() {
        let owner = owner(args).ok_or_else(|| {
            Complaint::usage(
                "nothing is named that could be replayed",
                "neither ids nor --app nor --source is given",
                "posthaste replay msg_…, or posthaste replay --app APP --since 24h --dry-run",
            )
        })?;
        return Ok(vec![Asked { owner, body }]);
    }
    let mut groups: BTreeMap<(String, Option<String>), Vec<String>> = BTreeMap::new();
    for id in &args.ids {
        let (owner, endpoint, message) = place(server, owner(args), id).await?;
        groups.entry((owner, endpoint)).or_default().push(message);
    }
    let mut all = Vec::new();
    for ((owner, endpoint), messages) in groups {
        for messages in messages.chunks(REPLAY_MESSAGES_MAX) {
            let mut body = body.clone();
            body.insert("messages".to_owned(), json!(messages));
            if let Some(endpoint) = endpoint.as_ref().filter(|_| args.endpoint.is_none()) {
                body.insert("endpoint".to_owned(), json!(endpoint));
            }
            all.push(Asked { owner: owner.clone(), body });
        }
    }
    Ok(all)
}

/// Whose an id is, to which endpoint it went if it is an attempt's, and its message.
async fn place(
    server: &Server,
    owner: Option<String>,
    id: &str,
) -> Result<(String, Option<String>, String), Complaint> {
    if let Some(owner) = owner
        && id.starts_with("msg_")
    {
        return Ok((owner, None, id.to_owned()));
    }
    let found = server.find(id).await?;
    let text = |name: &str| found[name].as_str().map(str::to_owned);
    let owner = text("sourceId").map(|source| format!("source/{source}"));
    let owner = owner.or_else(|| text("appId").map(|app| format!("app/{app}")));
    match (owner, text("msgId")) {
        (Some(owner), Some(message)) => {
            let endpoint = text("endpointId").filter(|_| id.starts_with("atmpt_"));
            Ok((owner, endpoint, message))
        }
        _ => Err(Complaint::usage(
            format!("{id} cannot be replayed"),
            "it names no message and no attempt",
            "write ids such as msg_… or atmpt_…, or --app and a filter",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_becomes_the_servers_filter() {
        let now = Timestamp::parse("2026-11-12T14:00:00Z").unwrap();
        let args = ReplayArgs {
            app: Some("a b".to_owned()),
            endpoint: Some("e".to_owned()),
            status: Some("any".to_owned()),
            since: Some("24h".to_owned()),
            types: vec!["x.y".to_owned()],
            rate: Some("20/s".to_owned()),
            ..ReplayArgs::default()
        };
        let expected = json!({
            "endpoint": "e", "status": "any", "since": "2026-11-11T14:00:00.000000Z", "eventTypes": ["x.y"],
            "ratePerSecond": 20,
        });
        assert_eq!(Value::Object(filter(&args, now).unwrap()), expected);
        assert_eq!(owner(&args).unwrap(), "app/a%20b");
        assert!(whole_rate("30/m").is_err() && whole_rate("60/m").is_ok());
    }
}
