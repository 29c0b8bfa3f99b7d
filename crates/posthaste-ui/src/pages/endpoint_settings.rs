//! What can be set at an endpoint: the form as it is shown, typed and taken; its own headers; when it is tried again.

use std::time::Duration;

use posthaste_core::endpoint::{Endpoint, Filter};
use posthaste_core::limits::{CHANNELS_PER_ENDPOINT_MAX, EVENT_TYPES_PER_ENDPOINT_MAX};
use posthaste_core::name::{Channel, EventTypeName, NameError};
use posthaste_core::retry::RetrySchedule;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Answer, UiError};
use crate::words::span;

/// What a form says; what is empty is not set.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct SettingsForm {
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) event_types: String,
    pub(crate) channels: String,
    pub(crate) rate: String,
}

fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\n', '\r']).filter(|name| !name.is_empty())
}

fn read<T>(
    text: &str,
    what: &str,
    parse: fn(&str) -> Result<T, NameError>,
    count_max: usize,
) -> Answer<Option<Vec<T>>> {
    let name = |name| parse(name).map_err(|why| UiError::Rejected(format!("The {what} \"{name}\" {why}.")));
    let names: Vec<_> = named(text).map(name).collect::<Answer<_>>()?;
    if names.len() > count_max {
        return Err(UiError::Rejected(format!("There are more than {count_max} of the {what}.")));
    }
    Ok(Some(names).filter(|names| !names.is_empty()))
}

impl SettingsForm {
    /// As an endpoint has it now.
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        let joined = |names: Vec<&str>| names.join(", ");
        let Filter { event_types, channels } = &endpoint.filter;
        Self {
            url: endpoint.url.clone(),
            description: endpoint.description.clone(),
            event_types: joined(event_types.iter().flatten().map(EventTypeName::as_str).collect()),
            channels: joined(channels.iter().flatten().map(Channel::as_str).collect()),
            rate: endpoint.rate_per_second.map(|rate| rate.to_string()).unwrap_or_default(),
        }
    }

    /// Which messages it asks for.
    pub(crate) fn filter(&self) -> Answer<Filter> {
        Ok(Filter {
            event_types: read(
                &self.event_types,
                "event type",
                EventTypeName::parse,
                EVENT_TYPES_PER_ENDPOINT_MAX,
            )?,
            channels: read(&self.channels, "channel", Channel::parse, CHANNELS_PER_ENDPOINT_MAX)?,
        })
    }

    /// As the API takes it: what is empty is taken away.
    pub(crate) fn as_body(&self) -> Answer<Value> {
        let list = |text: &str| {
            let names: Vec<_> = named(text).collect();
            if names.is_empty() { Value::Null } else { json!(names) }
        };
        let rate = match self.rate.trim() {
            "" => Value::Null,
            text => text.parse::<u16>().map(Value::from).map_err(|_| {
                UiError::Rejected(format!("\"{text}\" is no number of messages a second: write 1 to 65535."))
            })?,
        };
        Ok(json!({
            "url": self.url.trim(), "description": self.description.trim(),
            "eventTypes": list(&self.event_types), "channels": list(&self.channels), "throttleRate": rate,
        }))
    }
}

/// A header to set, or to take away if there is no value.
#[derive(Debug, Deserialize)]
pub(crate) struct HeaderForm {
    name: String,
    #[serde(default)]
    value: String,
}

impl HeaderForm {
    pub(crate) fn as_body(&self) -> Value {
        let value = self.value.trim();
        let value = if value.is_empty() { Value::Null } else { value.into() };
        json!({ "headers": Map::from_iter([(self.name.trim().to_owned(), value)]) })
    }
}

/// A try of the schedule: where it stands on a line of a hundred, and after how long a wait.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Mark {
    at: u8,
    wait: String,
}

/// All tries of a delivery that never succeeds, and how long it takes until it is given up.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Schedule {
    marks: Vec<Mark>,
    lasts: String,
}

/// Drawn so that seconds can be seen beside days.
pub(crate) fn schedule(schedule: &RetrySchedule) -> Schedule {
    let stretched = |time: Duration| (1.0 + time.as_secs_f64()).ln();
    let total: Duration = schedule.waits().iter().sum();
    let whole = stretched(total).max(f64::MIN_POSITIVE);
    let mut passed = Duration::ZERO;
    let first = Mark { at: 2, wait: "at once".to_owned() };
    let later = schedule.waits().iter().map(|wait| {
        passed += *wait;
        // Within 2 and 98.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 2 and 98")]
        let at = (2.0 + 96.0 * (stretched(passed) / whole).clamp(0.0, 1.0)).round() as u8;
        Mark { at, wait: span(*wait) }
    });
    Schedule { marks: std::iter::once(first).chain(later).collect(), lasts: span(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_begins_at_once_and_ends_at_the_end_of_its_line() {
        let drawn = schedule(&RetrySchedule::default());
        assert_eq!(drawn.marks.len(), 11);
        assert_eq!((drawn.marks[0].at, drawn.marks[10].at), (2, 98));
        assert!(drawn.marks.is_sorted_by_key(|mark| mark.at));
        assert_eq!((drawn.marks[1].wait.as_str(), drawn.lasts.as_str()), ("5.0 s", "3 d"));
        assert_eq!(schedule(&RetrySchedule::new(vec![])).marks.len(), 1);
    }

    #[test]
    fn a_form_says_what_the_api_takes_and_what_is_wrong_with_it() {
        let form = SettingsForm {
            url: " https://a.example ".to_owned(),
            event_types: "a.b, c".to_owned(),
            rate: "7".to_owned(),
            ..SettingsForm::default()
        };
        let body = json!({ "url": "https://a.example", "description": "", "eventTypes": ["a.b", "c"], "channels": null, "throttleRate": 7 });
        assert_eq!(form.as_body().unwrap(), body);
        assert_eq!(form.filter().unwrap().event_types.unwrap().len(), 2);
        let bad = SettingsForm { channels: "a/b".to_owned(), rate: "many".to_owned(), ..form };
        assert!(matches!(bad.filter(), Err(UiError::Rejected(_))) && bad.as_body().is_err());
    }

    #[test]
    fn a_header_without_a_value_is_taken_away() {
        let form = |value: &str| HeaderForm { name: " X-A ".to_owned(), value: value.to_owned() }.as_body();
        assert_eq!(form("1"), json!({ "headers": { "X-A": "1" } }));
        assert_eq!(form(" "), json!({ "headers": { "X-A": null } }));
    }
}
