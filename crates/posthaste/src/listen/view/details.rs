//! A request, an answer, or a body, as lines of text: what steers a terminal is written out, and bytes that are no text
//! are shown as numbers.

use posthaste_tunnel::frame::Headers;

use super::row::Row;
use crate::listen::event::Outcome;
use crate::terminal::shown;
use crate::words;

/// Bytes on a line of numbers.
const BYTES_PER_LINE: usize = 16;

/// What came.
pub(super) fn request(row: &Row, to: &str) -> Vec<String> {
    let request = &row.request;
    let mut lines = vec![format!("{} {}", shown(&request.method), shown(to)), String::new()];
    lines.extend(headers(&request.headers));
    lines.extend(body(&request.body, row.bytes));
    lines
}

/// What was answered.
pub(super) fn response(row: &Row) -> Vec<String> {
    let Some(went) = &row.went else { return vec!["it is being forwarded".to_owned()] };
    let took = words::span(went.took);
    match &went.outcome {
        Outcome::Failed { detail, .. } => {
            vec![format!("{} after {took}", went.outcome.word()), String::new(), shown(detail)]
        }
        Outcome::Answered { status, headers: all, body: bytes, truncated } => {
            let mut lines = vec![format!("{status} after {took}"), String::new()];
            lines.extend(headers(all));
            lines.extend(body(bytes, bytes.len()));
            if *truncated {
                lines.push("… there was more of it".to_owned());
            }
            lines
        }
    }
}

fn headers(headers: &Headers) -> Vec<String> {
    let line = |(name, value): &(String, bytes::Bytes)| {
        shown(&format!("{name}: {}", String::from_utf8_lossy(value)))
    };
    headers.0.iter().map(line).chain([String::new()]).collect()
}

/// JSON with its lines, text as it is, and the rest in numbers.
fn body(bytes: &[u8], all: usize) -> Vec<String> {
    if bytes.is_empty() {
        return vec!["no body".to_owned()];
    }
    let mut lines = match std::str::from_utf8(bytes) {
        Err(_) => bytes.chunks(BYTES_PER_LINE).enumerate().map(|(at, bytes)| numbers(at, bytes)).collect(),
        Ok(text) => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value) if value.is_object() || value.is_array() => {
                format!("{value:#}").lines().map(shown).collect()
            }
            _ => text.lines().map(shown).collect::<Vec<_>>(),
        },
    };
    if all > bytes.len() {
        lines.push(format!("… of {}", words::size(all as u64)));
    }
    lines
}

/// `00000010  1f 8b 08 00 …  ....`
fn numbers(line: usize, bytes: &[u8]) -> String {
    let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let letters: String = bytes
        .iter()
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })
        .collect();
    format!("{:08x}  {:<47}  {letters}", line * BYTES_PER_LINE, hex.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_shown_as_what_they_are() {
        assert_eq!(body(b"", 0), ["no body"]);
        assert_eq!(body(br#"{"b":1,"a":[2]}"#, 15), ["{", "  \"b\": 1,", "  \"a\": [", "    2", "  ]", "}"]);
        assert_eq!(body(b"a\x1b[2J\nb", 7), ["a\\u{1b}[2J", "b"]);
        assert_eq!(
            body(b"\x1f\x8b\x08 hi\xff", 2_000),
            ["00000000  1f 8b 08 20 68 69 ff                             ... hi.", "… of 2.0 KiB"]
        );
    }
}
