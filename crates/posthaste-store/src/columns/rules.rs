//! A source's rules as the JSON of their column. What cannot be read back is an error, never a default: a rule that
//! was lost would let in what it kept out.

use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use posthaste_core::source::{Answer, Dedupe, DedupeBy, IpNet, OnMismatch, Rules, Schema};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct RulesRow {
    dedupe_by: ByRow,
    dedupe_secs: u64,
    allowed_networks: Vec<String>,
    rate_per_second: Option<NonZeroU16>,
    body_bytes_max: u32,
    methods: Vec<String>,
    schema: Option<SchemaRow>,
    answer: AnswerRow,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_secs: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ByRow {
    Provider,
    Header(String),
    Json(String),
    Body,
    Off,
}

#[derive(Serialize, Deserialize)]
struct SchemaRow {
    document: String,
    reject: bool,
}

#[derive(Serialize, Deserialize)]
struct AnswerRow {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    delay_ms: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sequence: Vec<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fail_percent: Option<NonZeroU8>,
}

/// The column of these rules.
pub(crate) fn write(rules: &Rules) -> serde_json::Result<String> {
    let Rules { dedupe, schema, answer, .. } = rules;
    serde_json::to_string(&RulesRow {
        dedupe_by: match dedupe.by.clone() {
            DedupeBy::Provider => ByRow::Provider,
            DedupeBy::Header(name) => ByRow::Header(name),
            DedupeBy::Json(place) => ByRow::Json(place),
            DedupeBy::Body => ByRow::Body,
            DedupeBy::Off => ByRow::Off,
        },
        dedupe_secs: dedupe.window.as_secs(),
        allowed_networks: rules.allowed_networks.iter().map(ToString::to_string).collect(),
        rate_per_second: rules.rate_per_second,
        body_bytes_max: rules.body_bytes_max,
        methods: rules.methods.clone(),
        schema: schema.as_ref().map(|schema| SchemaRow {
            document: schema.document.clone(),
            reject: schema.on_mismatch == OnMismatch::Reject,
        }),
        answer: AnswerRow {
            status: answer.status,
            headers: answer.headers.clone(),
            body: answer.body.clone(),
            delay_ms: u64::try_from(answer.delay.as_millis()).unwrap_or(u64::MAX),
            sequence: answer.sequence.clone(),
            fail_percent: answer.fail_percent,
        },
        keep_secs: rules.keep.map(|keep| keep.as_secs()),
    })
}

/// Says what is wrong with a column that cannot be read.
pub(crate) fn read(text: &str) -> Result<Rules, String> {
    let row: RulesRow = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let network = |text: String| text.parse::<IpNet>().map_err(|_| format!("{text} is not a network"));
    Ok(Rules {
        dedupe: Dedupe {
            by: match row.dedupe_by {
                ByRow::Provider => DedupeBy::Provider,
                ByRow::Header(name) => DedupeBy::Header(name),
                ByRow::Json(place) => DedupeBy::Json(place),
                ByRow::Body => DedupeBy::Body,
                ByRow::Off => DedupeBy::Off,
            },
            window: Duration::from_secs(row.dedupe_secs),
        },
        allowed_networks: row.allowed_networks.into_iter().map(network).collect::<Result<_, _>>()?,
        rate_per_second: row.rate_per_second,
        body_bytes_max: row.body_bytes_max,
        methods: row.methods,
        schema: row.schema.map(|schema| Schema {
            document: schema.document,
            on_mismatch: if schema.reject { OnMismatch::Reject } else { OnMismatch::Flag },
        }),
        answer: Answer {
            status: row.answer.status,
            headers: row.answer.headers,
            body: row.answer.body,
            delay: Duration::from_millis(row.answer.delay_ms),
            sequence: row.answer.sequence,
            fail_percent: row.answer.fail_percent,
        },
        keep: row.keep_secs.map(Duration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_as_they_were_written() {
        let mut rules = Rules::default();
        let ways = [
            DedupeBy::Provider,
            DedupeBy::Header("X-Id".to_owned()),
            DedupeBy::Json("/data/id".to_owned()),
            DedupeBy::Body,
            DedupeBy::Off,
        ];
        for by in ways {
            rules.dedupe.by = by;
            assert_eq!(read(&write(&rules).unwrap()), Ok(rules.clone()));
        }
        rules.allowed_networks = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        rules.rate_per_second = NonZeroU16::new(7);
        for on_mismatch in [OnMismatch::Reject, OnMismatch::Flag] {
            rules.schema = Some(Schema { document: "{\"type\":\"object\"}".to_owned(), on_mismatch });
            assert_eq!(read(&write(&rules).unwrap()), Ok(rules.clone()));
        }
        rules.answer = Answer {
            status: 202,
            headers: vec![("X-A".to_owned(), "1".to_owned())],
            body: "ok".to_owned(),
            delay: Duration::from_millis(250),
            sequence: vec![500, 200],
            fail_percent: NonZeroU8::new(30),
        };
        rules.keep = Some(Duration::from_hours(24));
        assert_eq!(read(&write(&rules).unwrap()), Ok(rules));
    }

    #[test]
    fn rules_that_an_older_version_wrote_say_nothing_of_what_it_did_not_know() {
        let before = write(&Rules::default()).unwrap();
        for new in ["keep_secs", "sequence", "fail_percent"] {
            assert!(!before.contains(new), "an older version reads what says nothing new: {before}");
        }
        assert_eq!(read(&before), Ok(Rules::default()));
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_an_error_and_no_default() {
        let rules = Rules { allowed_networks: vec!["10.0.0.0/8".parse().unwrap()], ..Rules::default() };
        let text = write(&rules).unwrap();
        assert!(read(&text.replace("10.0.0.0/8", "10.0.0.0/99")).is_err());
        assert!(read(&text.replace("allowed_networks", "allowed")).is_err());
    }
}
