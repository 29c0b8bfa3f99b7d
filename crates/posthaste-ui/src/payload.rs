//! A body as a page shows it: JSON on lines of its own, text as it is, anything else as bytes.

use std::fmt::Write as _;

use serde::Serialize;

use crate::fold::{Fold, folds};

/// Bytes of a body that a page shows: more is for a download.
const SHOWN_BYTES_MAX: usize = 128 * 1024;
/// Bytes that are shown of what is no text.
const HEX_BYTES_MAX: usize = 4 * 1024;
/// Bytes on a line of those.
const HEX_COLUMNS: usize = 16;

/// A body, ready to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Payload {
    /// `JSON`, `text`, `bytes`, or `empty`.
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) size: String,
    /// There is more than is shown.
    pub(crate) is_cut: bool,
    /// JSON as a tree, unless it is too long for that.
    pub(crate) folds: Vec<Fold>,
    /// What `folds` is made of, letter by letter.
    pub(crate) raw: String,
}

pub(crate) fn shown(body: &[u8]) -> Payload {
    let size = crate::words::size(body.len());
    if body.is_empty() {
        return Payload { kind: "empty", size, ..Payload::default() };
    }
    match std::str::from_utf8(body) {
        Ok(text) => {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
            let is_cut = end < text.len();
            if !is_json || is_cut {
                let text = text[..end].to_owned();
                return Payload { kind: "text", text, size, is_cut, ..Payload::default() };
            }
            let laid_out = laid_out(text);
            let folds = folds(&laid_out);
            let raw = if folds.is_empty() { String::new() } else { text.to_owned() };
            Payload { kind: "JSON", text: laid_out, size, is_cut, folds, raw }
        }
        Err(_) => {
            let is_cut = body.len() > HEX_BYTES_MAX;
            Payload { kind: "bytes", text: hex(body), size, is_cut, ..Payload::default() }
        }
    }
}

/// JSON with a line for each member. Only white space is touched: what was signed can be read here letter by letter.
fn laid_out(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut letters = json.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        if in_string {
            out.push(letter);
            in_string = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        match letter {
            '"' => {
                in_string = true;
                out.push(letter);
            }
            '{' | '[' => {
                out.push(letter);
                while letters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = letters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

pub(crate) fn hex(body: &[u8]) -> String {
    let mut out = String::new();
    for (row, bytes) in body[..body.len().min(HEX_BYTES_MAX)].chunks(HEX_COLUMNS).enumerate() {
        let _ = write!(out, "{:06x}  ", row * HEX_COLUMNS);
        for column in 0..HEX_COLUMNS {
            match bytes.get(column) {
                Some(byte) => drop(write!(out, "{byte:02x} ")),
                None => out.push_str("   "),
            }
        }
        let seen = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        out.push(' ');
        out.extend(bytes.iter().map(seen));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_and_no_letter_of_it_is_changed() {
        let json = r#" {"a":[1.50,{},[ ],"x\"}, y"],"b":{"c":1e400},"a":null} "#;
        let shown = shown(json.as_bytes());
        assert_eq!(shown.kind, "JSON");
        let expected = "{\n  \"a\": [\n    1.50,\n    {},\n    [],\n    \"x\\\"}, y\"\n  ],\n  \"b\": {\n    \"c\": 1e400\n  },\n  \"a\": null\n}";
        assert_eq!(shown.text, expected);
    }

    #[test]
    fn what_is_no_text_is_shown_as_bytes() {
        let shown = shown(b"\x00\xffok");
        assert_eq!((shown.kind, shown.size.as_str()), ("bytes", "4 bytes"));
        assert!(shown.text.starts_with("000000  00 ff 6f 6b "), "{}", shown.text);
        assert!(shown.text.ends_with("..ok\n"), "{}", shown.text);
    }

    #[test]
    fn what_is_long_is_cut_at_a_letter() {
        let long = "é".repeat(SHOWN_BYTES_MAX);
        let shown = shown(long.as_bytes());
        assert!(shown.is_cut);
        assert_eq!(shown.text.len(), SHOWN_BYTES_MAX);
    }
}
