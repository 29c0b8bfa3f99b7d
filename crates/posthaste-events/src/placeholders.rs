//! What is fresh in each event: ids and times, written in the fixtures as `{uuid}`, `{hex:24}`, `{now}` …

use std::collections::HashMap;

use posthaste_core::dice::Dice;
use serde_json::Value;

/// Random letters of one placeholder.
const LETTERS_MAX: usize = 256;

/// Fills in placeholders. One with a name, `{digits:9#order}`, is the same wherever it stands.
pub(crate) struct Placeholders<'d> {
    pub(crate) event: &'d str,
    pub(crate) id: &'d str,
    pub(crate) at_ms: i64,
    pub(crate) url: &'d str,
    dice: &'d dyn Dice,
    named: HashMap<String, String>,
}

impl<'d> Placeholders<'d> {
    pub(crate) fn new(event: &'d str, id: &'d str, at_ms: i64, url: &'d str, dice: &'d dyn Dice) -> Self {
        Self { event, id, at_ms, url, dice, named: HashMap::new() }
    }

    /// All texts in a value. A text that is one of `{now}`, `{now_ms}` and `{number:9}` alone becomes a number.
    pub(crate) fn fill(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let is_number =
                    ["{now}", "{now_ms}"].contains(&text.as_str()) || text.starts_with("{number:");
                let filled = self.text(text);
                match filled.parse::<i64>() {
                    Ok(number) if is_number => number.into(),
                    _ => filled.into(),
                }
            }
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(members) => {
                members.iter().map(|(name, value)| (name.clone(), self.fill(value))).collect()
            }
            other => other.clone(),
        }
    }

    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let Some(close) = rest[open..].find('}').map(|at| open + at) else { break };
            filled.push_str(&rest[..open]);
            match self.one(&rest[open + 1..close]) {
                Some(value) => filled.push_str(&value),
                None => filled.push_str(&rest[open..=close]),
            }
            rest = &rest[close + 1..];
        }
        filled + rest
    }

    fn one(&mut self, name: &str) -> Option<String> {
        if !name.contains('#') {
            return self.fresh(name);
        }
        if let Some(known) = self.named.get(name) {
            return Some(known.clone());
        }
        let value = self.fresh(name.split('#').next()?)?;
        self.named.insert(name.to_owned(), value.clone());
        Some(value)
    }

    fn fresh(&self, name: &str) -> Option<String> {
        let (kind, count) = name.split_once(':').unwrap_or((name, "0"));
        let count = count.parse::<usize>().ok()?.min(LETTERS_MAX);
        let secs = self.at_ms.div_euclid(1000);
        let instant = jiff::Timestamp::from_millisecond(self.at_ms).unwrap_or_default();
        let whole = jiff::Timestamp::from_second(secs).unwrap_or_default();
        Some(match kind {
            "event" => self.event.to_owned(),
            // The halves of `pull_request.opened`.
            "event0" => self.event.split('.').next()?.to_owned(),
            "event1" => self.event.split_once('.').map_or("", |(_, rest)| rest).to_owned(),
            "id" => self.id.to_owned(),
            "url" => self.url.to_owned(),
            "now" => secs.to_string(),
            "now_ms" => self.at_ms.to_string(),
            "iso" => whole.to_string(),
            "iso_ms" => format!("{instant:.3}"),
            "date" => whole.strftime("%Y-%m-%d").to_string(),
            "uuid" => self.uuid(),
            "hex" => self.letters(b"0123456789abcdef", count),
            "HEX" => self.letters(b"0123456789ABCDEF", count),
            "letters" => {
                self.letters(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", count)
            }
            "LETTERS" => self.letters(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", count),
            // The first is no zero, so that it is as long as a number.
            "digits" | "number" => {
                self.letters(b"123456789", 1) + &self.letters(b"0123456789", count.saturating_sub(1))
            }
            _ => return None,
        })
    }

    fn letters(&self, alphabet: &[u8], count: usize) -> String {
        let mut bytes = vec![0; count];
        self.dice.fill(&mut bytes);
        bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
    }

    /// Version 4 (RFC 9562).
    fn uuid(&self) -> String {
        let hex = self.letters(b"0123456789abcdef", 30);
        let variant = self.letters(b"89ab", 1);
        format!("{}-{}-4{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30])
    }
}

#[cfg(test)]
mod tests {
    use posthaste_core::dice::TestDice;
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_fresh_unless_they_have_a_name() {
        let dice = TestDice::seeded(1);
        let mut fresh = Placeholders::new("pull_request.opened", "msg_1", 1_760_000_000_123, "u", &dice);
        let filled = fresh.fill(&json!({
            "type": "{event0}/{event1}", "at": "{now}", "ms": "at {now_ms}", "iso": "{iso_ms}", "n": "{number:9}",
            "a": "ch_{letters:24#a}", "b": "ch_{letters:24#a}", "c": "{letters:24}", "left": "{\"x\"} {what}",
        }));
        assert_eq!(filled["type"], "pull_request/opened");
        assert_eq!(filled["at"], 1_760_000_000);
        assert_eq!(filled["ms"], "at 1760000000123");
        assert_eq!(filled["iso"], "2025-10-09T08:53:20.123Z");
        assert!(filled["n"].is_number());
        assert_eq!(filled["a"], filled["b"]);
        assert_eq!(filled["left"], "{\"x\"} {what}");
        assert_eq!(fresh.text("{uuid}").len(), 36);
    }
}
