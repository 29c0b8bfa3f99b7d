//! A source that nobody knocks at: it makes a message of its own at each instant of its schedule.
//!
//! There is no leader and no memory of the last run. Any node, at any time, asks what is due; an instant's [`key`]
//! makes one message of all their answers.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::limits::CRON_GRACE;
use crate::name::EventTypeName;
use crate::origin::Origin;
use crate::schedule::Schedule;
use crate::source::Config;
use crate::time::Timestamp;

/// What stands for a provider in sources of this kind.
pub const PROVIDER: &str = "cron";
/// The event type of their messages.
const EVENT_TYPE: &str = "cron";
/// The content type of a payload that says none.
const CONTENT_TYPE: &str = "application/json";

/// What a source of this kind makes, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    /// The cron expression, as it was written.
    pub expression: String,
    /// What it means.
    pub schedule: Schedule,
    /// The body of its messages.
    pub payload: String,
    /// Their content type, if it is not JSON.
    pub content_type: Option<String>,
    /// When the schedule was set: what it names before that is not due.
    pub since: Timestamp,
}

/// What a source owes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The instants that are due now.
    pub instants: Vec<Timestamp>,
    /// The first one that was missed by more than the grace.
    pub missed: Option<Timestamp>,
}

impl Cron {
    /// Reads what was kept; `None`: it is none of ours.
    pub fn kept(config: &Config) -> Option<Self> {
        let kept: Value = serde_json::from_str(config.expose()).ok()?;
        let text = |name: &str| kept.get(name).and_then(Value::as_str).map(str::to_owned);
        let expression = text("schedule")?;
        Some(Self {
            schedule: Schedule::parse(&expression).ok()?,
            expression,
            payload: text("payload")?,
            content_type: text("content_type"),
            since: Timestamp::from_micros(kept.get("since")?.as_i64()?),
        })
    }

    /// As it is kept.
    pub fn to_keep(&self) -> Config {
        let Self { expression, payload, content_type, since, schedule: _ } = self;
        let kept = json!({
            "schedule": expression, "payload": payload, "content_type": content_type, "since": since.as_micros(),
        });
        Config::new(kept.to_string())
    }

    /// The same in the place of what was there before: a schedule that stays goes on without a gap.
    #[must_use]
    pub fn in_place_of(self, before: &Config) -> Self {
        let before = Self::kept(before).filter(|before| before.schedule == self.schedule);
        Self { since: before.map_or(self.since, |before| before.since.min(self.since)), ..self }
    }

    /// What is due at `now`, for whoever looked before at `looked`.
    pub fn due(&self, looked: Timestamp, now: Timestamp) -> Due {
        let from = looked.max(self.since);
        let too_late = now.earlier(CRON_GRACE);
        let missed = self.schedule.next(from).filter(|instant| *instant <= too_late);
        let mut at = from.max(too_late);
        let next = || {
            at = self.schedule.next(at).filter(|instant| *instant <= now)?;
            Some(at)
        };
        Due { instants: std::iter::from_fn(next).collect(), missed }
    }

    /// The request that its messages look as if they came with.
    pub fn origin(&self) -> Origin {
        let content_type = self.content_type.as_deref().unwrap_or(CONTENT_TYPE).as_bytes().to_vec();
        let headers = vec![("content-type".to_owned(), content_type)];
        Origin { method: "POST".to_owned(), path: String::new(), query: String::new(), headers }
    }

    /// The body of its messages.
    pub fn body(&self) -> Bytes {
        Bytes::from(self.payload.clone())
    }
}

/// The event type of a message that was due.
pub fn event_type() -> EventTypeName {
    EventTypeName::parse(EVENT_TYPE)
        .unwrap_or_else(|_| unreachable!("the name of messages that were due is a name"))
}

/// By what a message of this instant is known again, whoever makes it.
pub fn key(instant: Timestamp) -> [u8; 32] {
    Sha256::new().chain_update("cron\0").chain_update(instant.as_micros().to_be_bytes()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn cron(expression: &str) -> Cron {
        let schedule = Schedule::parse(expression).unwrap();
        let (expression, payload) = (expression.to_owned(), "{\"a\": 1.0}".to_owned());
        Cron { expression, schedule, payload, content_type: None, since: SINCE }
    }

    #[test]
    fn it_reads_back_as_it_was_kept() {
        let plain = cron("@hourly");
        let other =
            Cron { content_type: Some("text/plain".to_owned()), payload: "\0ü".to_owned(), ..plain.clone() };
        for cron in [plain, other] {
            assert_eq!(Cron::kept(&cron.to_keep()), Some(cron));
        }
        for other in ["", "{}", r#"{"schedule":"x","payload":"","since":0}"#, r#"{"secrets":["s"]}"#] {
            assert_eq!(Cron::kept(&Config::new(other.to_owned())), None, "{other}");
        }
    }

    #[test]
    fn due_is_what_came_since_the_last_look_and_within_the_grace() {
        // 1_790_000_000 is 20 s past a minute.
        let at = |secs: i64| Timestamp::from_secs(1_789_999_980 + secs);
        let every_minute = cron("* * * * *");
        for (looked, now, instants, missed) in [
            (at(21), at(59), vec![], None),
            (at(21), at(60), vec![at(60)], None),
            (at(60), at(60), vec![], None),
            (at(60), at(119), vec![], None),
            (at(21), at(119), vec![at(60)], None),
            (at(21), at(120), vec![at(120)], Some(at(60))),
            (at(21), at(1_000), vec![at(960)], Some(at(60))),
            // Not what was before the schedule.
            (at(-600), at(20), vec![], None),
            (at(-600), at(60), vec![at(60)], None),
            // A clock that was put back.
            (at(600), at(60), vec![], None),
        ] {
            assert_eq!(every_minute.due(looked, now), Due { instants, missed }, "{looked} {now}");
        }
    }

    #[test]
    fn a_schedule_that_stays_goes_on_and_another_begins_anew() {
        let kept = cron("0 9 * * *");
        let later = SINCE.later(CRON_GRACE);
        let same = Cron { since: later, payload: "other".to_owned(), ..cron("0 9 * * *") };
        let placed = same.clone().in_place_of(&kept.to_keep());
        assert_eq!((placed.since, placed.payload.as_str()), (SINCE, "other"));
        let github = Config::new(r#"{"secrets":["s"]}"#.to_owned());
        assert_eq!(same.in_place_of(&github).since, later);
        let other = Cron { since: later, ..cron("0 10 * * *") };
        assert_eq!(other.in_place_of(&kept.to_keep()).since, later);
    }

    #[test]
    fn each_instant_has_a_key_of_its_own_and_all_have_one_event_type() {
        assert_eq!(event_type().as_str(), "cron");
        assert_eq!(key(SINCE), key(SINCE));
        assert_ne!(key(SINCE), key(SINCE.later(CRON_GRACE)));
    }
}
