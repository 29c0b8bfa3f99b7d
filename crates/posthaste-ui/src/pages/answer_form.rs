//! What a source or a bin answers, as a form, and read back from one.

use std::num::NonZeroU8;

use posthaste_core::answer::Answer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{self, UiError};

/// The form's fields, as they are typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AnswerForm {
    #[serde(default)]
    status: String,
    #[serde(default)]
    headers: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    delay_ms: String,
    #[serde(default)]
    sequence: String,
    #[serde(default)]
    fail_percent: String,
}

/// A number in a field; what is left empty is `usual`.
pub(crate) fn number(text: &str, what: &str, usual: u64) -> error::Answer<u64> {
    match text.trim() {
        "" => Ok(usual),
        text => {
            text.parse().map_err(|_| UiError::Rejected(format!("{what}: \"{text}\" is no whole number.")))
        }
    }
}

impl AnswerForm {
    pub(crate) fn of(answer: &Answer) -> Self {
        let headers = answer.headers.iter().map(|(name, value)| format!("{name}: {value}"));
        let statuses = answer.sequence.iter().map(ToString::to_string);
        Self {
            status: answer.status.to_string(),
            headers: headers.collect::<Vec<_>>().join("\n"),
            body: answer.body.clone(),
            delay_ms: answer.delay.as_millis().to_string(),
            sequence: statuses.collect::<Vec<_>>().join(", "),
            fail_percent: answer.fail_percent.map_or(0, NonZeroU8::get).to_string(),
        }
    }

    /// As the API takes it, which judges it too.
    pub(crate) fn as_body(&self) -> error::Answer<Value> {
        let mut status = number(&self.status, "The status", 200)?;
        let parts = self.sequence.split([',', ' ']).filter(|part| !part.is_empty());
        let mut sequence =
            parts.map(|part| number(part, "The sequence", 0)).collect::<error::Answer<Vec<_>>>()?;
        // Only a sequence may say that a request was not taken: a status that does is a sequence of one.
        if !(200..300).contains(&status) && sequence.is_empty() {
            sequence.push(std::mem::replace(&mut status, 200));
        }
        let mut headers = Map::new();
        for line in self.headers.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| {
                UiError::Rejected(format!("\"{line}\" is no header: write one a line, as Name: value."))
            })?;
            headers.insert(name.trim().to_owned(), value.trim().into());
        }
        Ok(json!({
            "status": status,
            "headers": headers,
            // Browsers write CR LF into forms; nobody asked for the CR.
            "body": self.body.replace("\r\n", "\n"),
            "delayMs": number(&self.delay_ms, "The delay", 0)?,
            "sequence": sequence,
            "failPercent": number(&self.fail_percent, "The failure rate", 0)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_comes_back_as_it_was_shown() {
        let answer = Answer {
            status: 202,
            headers: vec![("x-a".to_owned(), "b: c".to_owned())],
            body: "ok".to_owned(),
            delay: Duration::from_millis(1_500),
            sequence: vec![500, 200],
            fail_percent: NonZeroU8::new(30),
        };
        let body = json!({
            "status": 202, "headers": { "x-a": "b: c" }, "body": "ok", "delayMs": 1_500, "sequence": [500, 200],
            "failPercent": 30,
        });
        assert_eq!(AnswerForm::of(&answer).as_body().unwrap(), body);
    }

    #[test]
    fn a_status_that_refuses_is_a_sequence_of_one() {
        let form = AnswerForm { status: "503".to_owned(), ..AnswerForm::default() };
        let body = form.as_body().unwrap();
        assert_eq!((&body["status"], &body["sequence"]), (&json!(200), &json!([503])));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (form, said) in [
            (AnswerForm { status: "ok".to_owned(), ..AnswerForm::default() }, "The status: \"ok\""),
            (AnswerForm { headers: "X-A".to_owned(), ..AnswerForm::default() }, "\"X-A\" is no header"),
            (AnswerForm { sequence: "500, x".to_owned(), ..AnswerForm::default() }, "The sequence: \"x\""),
        ] {
            match form.as_body() {
                Err(UiError::Rejected(why)) => assert!(why.starts_with(said), "{why}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
