//! Which messages somebody wants to see, as the form and the address say it; what is empty is any.

use std::time::Duration;

use posthaste_core::app::Reference;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::name::{Channel, Tag};
use posthaste_core::search::{PayloadTest, Search, TypePattern};
use posthaste_core::time::Timestamp;
use posthaste_store::history::{MessageFilter, Status};
use serde::{Deserialize, Serialize};

use crate::api::part;
use crate::error::{Answer, UiError};

/// Spans of time that can be chosen: in the address, in words, and how long they are.
const SPANS: [(&str, &str, Duration); 5] = [
    ("15m", "last 15 minutes", Duration::from_secs(15 * 60)),
    ("1h", "last hour", Duration::from_hours(1)),
    ("24h", "last 24 hours", Duration::from_hours(24)),
    ("7d", "last 7 days", Duration::from_hours(7 * 24)),
    ("30d", "last 30 days", Duration::from_hours(30 * 24)),
];
/// States that can be chosen: in the address and in words.
const STATES: [(&str, Status); 4] = [
    ("delivered", Status::Success),
    ("failed", Status::Fail),
    ("waiting", Status::Pending),
    ("sending", Status::Sending),
];

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Wanted {
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) state: String,
    pub(crate) endpoint: String,
    pub(crate) channel: String,
    pub(crate) tag: String,
    pub(crate) payload: String,
    pub(crate) within: String,
    pub(crate) from: String,
    pub(crate) until: String,
}

/// The same, read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) search: Search,
    pub(crate) status: Option<Status>,
    pub(crate) endpoint: Option<Reference>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
}

impl Asked {
    /// What the store finds by its order of rows.
    pub(crate) fn times(&self) -> MessageFilter {
        // The store's `after` leaves out its own microsecond.
        let after = self.since.map(|since| since.earlier(Duration::from_micros(1)));
        MessageFilter { after, before: self.until, ..MessageFilter::default() }
    }

    /// Whether every message of those times is meant.
    pub(crate) fn is_any(&self) -> bool {
        self.search.is_any() && self.status.is_none() && self.endpoint.is_none()
    }
}

/// A filter that is set, and the address without it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Chip {
    words: String,
    without: String,
}

/// Something to choose in the form.
#[derive(Debug, Serialize)]
pub(crate) struct Choice {
    value: &'static str,
    words: &'static str,
}

pub(crate) fn spans() -> Vec<Choice> {
    SPANS.iter().map(|(value, words, _)| Choice { value, words }).collect()
}

pub(crate) fn states() -> Vec<Choice> {
    STATES.iter().map(|(word, _)| Choice { value: word, words: word }).collect()
}

impl Wanted {
    /// Each field that can be filtered by: its name, what the chip calls it, and its value.
    fn fields(&self) -> [(&'static str, &'static str, &str); 9] {
        [
            ("state", "State", &self.state),
            ("event_type", "Event type", &self.event_type),
            ("endpoint", "Endpoint", &self.endpoint),
            ("within", "Time", &self.within),
            ("from", "From", &self.from),
            ("until", "Until", &self.until),
            ("payload", "Payload", &self.payload),
            ("channel", "Channel", &self.channel),
            ("tag", "Tag", &self.tag),
        ]
    }

    fn set(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        let trimmed = self.fields().into_iter().map(|(name, words, value)| (name, words, value.trim()));
        trimmed.filter(|(_, _, value)| !value.is_empty())
    }

    /// As a part of an address, with `&` before each.
    pub(crate) fn query(&self) -> String {
        self.set().map(|(name, _, value)| format!("&{name}={}", part(value))).collect()
    }

    /// What is set, for a form to say again.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, &str)> {
        self.set().map(|(name, _, value)| (name, value)).collect()
    }

    /// What is set, each with a way to be rid of it.
    pub(crate) fn chips(&self, endpoints: &[Endpoint]) -> Vec<Chip> {
        let chip = |(name, words, value): (&str, &str, &str)| {
            let others = self.set().filter(|(other, ..)| *other != name);
            let query: Vec<_> = others.map(|(other, _, value)| format!("{other}={}", part(value))).collect();
            let url = || endpoints.iter().find(|endpoint| endpoint.id.to_string() == value);
            let value = match name {
                "endpoint" => url().map_or(value, |endpoint| endpoint.url.as_str()),
                "within" => {
                    SPANS.iter().find(|(span, ..)| *span == value).map_or(value, |(_, words, _)| words)
                }
                _ => value,
            };
            Chip { words: format!("{words}: {value}"), without: query.join("&") }
        };
        self.set().map(chip).collect()
    }

    pub(crate) fn read(&self, now: Timestamp) -> Answer<Asked> {
        let no = |what: &str, why: &dyn std::fmt::Display| UiError::Rejected(format!("The {what} {why}."));
        let mut asked = Asked::default();
        for (name, _, value) in self.set() {
            match name {
                "event_type" => {
                    let read = TypePattern::parse(value);
                    asked.search.event_type = read.map_err(|why| no("event type", &why))?;
                }
                "channel" => {
                    asked.search.channel = Some(Channel::parse(value).map_err(|why| no("channel", &why))?);
                }
                "tag" => asked.search.tag = Some(Tag::parse(value).map_err(|why| no("tag", &why))?),
                "payload" => asked.search.payload = Some(PayloadTest::parse(value)),
                "endpoint" => asked.endpoint = Some(Reference::new(value)),
                "state" => {
                    let found = STATES.iter().find(|(word, _)| *word == value);
                    let words = "must be delivered, failed, waiting or sending";
                    asked.status = Some(found.ok_or_else(|| no("state", &words))?.1);
                }
                "within" => {
                    let found = SPANS.iter().find(|(span, ..)| *span == value);
                    let (.., span) = found.ok_or_else(|| no("time", &"must be 15m, 1h, 24h, 7d or 30d"))?;
                    asked.since = Some(now.earlier(*span));
                }
                "from" => asked.since = Some(instant(value).ok_or_else(|| no("time", &not_a_time(value)))?),
                _ => asked.until = Some(instant(value).ok_or_else(|| no("time", &not_a_time(value)))?),
            }
        }
        Ok(asked)
    }
}

fn not_a_time(text: &str) -> String {
    format!("\"{text}\" is none: write 2026-11-21T20:46, in UTC")
}

/// As browsers write it, or in RFC 3339. Without a zone it is UTC.
fn instant(text: &str) -> Option<Timestamp> {
    let zoned = || {
        Timestamp::parse(&format!(
            "{}Z",
            if text.len() == 16 { format!("{text}:00") } else { text.to_owned() }
        ))
    };
    Timestamp::parse(text).or_else(zoned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn wanted() -> Wanted {
        Wanted {
            event_type: " order.* ".to_owned(),
            state: "failed".to_owned(),
            payload: "a.b=c & d".to_owned(),
            within: "1h".to_owned(),
            ..Wanted::default()
        }
    }

    #[test]
    fn the_address_says_what_is_set_and_each_chip_leads_to_the_address_without_it() {
        let wanted = wanted();
        assert_eq!(
            wanted.query(),
            "&state=failed&event_type=order.%2A&within=1h&payload=a.b%3Dc%20%26%20d".replace("%2A", "*")
        );
        let chips = wanted.chips(&[]);
        let words: Vec<_> = chips.iter().map(|chip| chip.words.as_str()).collect();
        assert_eq!(words, ["State: failed", "Event type: order.*", "Time: last hour", "Payload: a.b=c & d"]);
        assert_eq!(chips[0].without, "event_type=order.*&within=1h&payload=a.b%3Dc%20%26%20d");
    }

    #[test]
    fn what_is_set_is_read_and_what_makes_no_sense_is_said() {
        let asked = wanted().read(NOW).unwrap();
        assert_eq!(asked.since, Some(NOW.earlier(Duration::from_hours(1))));
        assert_eq!(asked.status, Some(Status::Fail));
        assert!(asked.search.payload.is_some() && !asked.is_any());
        let from = |text: &str| Wanted { from: text.to_owned(), ..Wanted::default() }.read(NOW);
        for text in ["2023-11-14T22:13", "2023-11-14T22:13:00", "2023-11-14T22:13:00Z"] {
            assert_eq!(from(text).unwrap().since, Some(Timestamp::from_secs(1_699_999_980)), "{text}");
        }
        for bad in [
            from("yesterday"),
            Wanted { state: "lost".to_owned(), ..Wanted::default() }.read(NOW),
            Wanted { event_type: "a b".to_owned(), ..Wanted::default() }.read(NOW),
        ] {
            assert!(matches!(bad, Err(UiError::Rejected(_))), "{bad:?}");
        }
        assert!(Wanted::default().read(NOW).unwrap().is_any());
    }
}
