//! Bodies as something on the way may have found them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::Attempt;
use crate::provider::Request;

/// A body beyond this is not parsed and written anew.
const REWRITTEN_BYTES_MAX: usize = 256 * 1024;

/// A body as it may have been, and how a person would say it.
type Change = (fn(&[u8]) -> Option<Vec<u8>>, &'static str);

const CHANGES: [Change; 12] = [
    (
        |body| Some([body, b"\n"].concat()),
        "with a line feed at its end, which something on the way has removed",
    ),
    (|body| Some([body, b"\r\n"].concat()), "with CRLF at its end, which something on the way has removed"),
    (
        |body| Some(body.trim_ascii_end().to_vec()),
        "without the white space at its end, which something on the way has added",
    ),
    (
        |body| Some(text(body)?.replace("\r\n", "\n").into_bytes()),
        "with LF line ends, which something on the way has made CRLF",
    ),
    (
        |body| Some(text(body)?.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()),
        "with CRLF line ends, which something on the way has made LF",
    ),
    (
        |body| body.strip_prefix(BYTE_ORDER_MARK).map(<[u8]>::to_vec),
        "without the byte order mark at its start, which something on the way has added",
    ),
    (
        |body| Some([BYTE_ORDER_MARK, body].concat()),
        "with a byte order mark at its start, which something on the way has removed",
    ),
    (
        |body| serde_json::from_slice::<String>(body).ok().map(String::into_bytes),
        "that stands in it as a JSON string: something on the way has wrapped it",
    ),
    (
        |body| BASE64_STANDARD.decode(body.trim_ascii()).ok(),
        "decoded from base64, in which something on the way has packed it",
    ),
    (
        |body| text(body)?.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect(),
        "as it was before something on the way took its UTF-8 for Latin-1",
    ),
    (
        |body| {
            Some([b"payload=", form_urlencoded::byte_serialize(body).collect::<String>().as_bytes()].concat())
        },
        "as a form with the field `payload`, out of which something on the way has taken it",
    ),
    (
        |body| {
            Some(
                form_urlencoded::parse(body).find(|(name, _)| name == "payload")?.1.into_owned().into_bytes(),
            )
        },
        "that stands in its field `payload`",
    ),
];

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A way to write JSON, and how a person would say it.
type Layout = (fn(&Value) -> Option<String>, &'static str);

/// Layouts in which programs write JSON.
const LAYOUTS: [Layout; 4] = [
    (|json| Some(json.to_string()), "as compact JSON"),
    (|json| indented(json, b"  "), "as JSON indented by two blanks"),
    (|json| Some(spaced(json)), "as JSON with a blank after each comma and colon"),
    (|json| indented(json, b"    "), "as JSON indented by four blanks"),
];

/// What programs escape in JSON besides what they must.
const ESCAPES: [fn(&str) -> String; 5] = [
    str::to_owned,
    |json| escaped(json, |letter| !letter.is_ascii()),
    |json| escaped(json, |letter| !letter.is_ascii()).replace('/', "\\/"),
    |json| json.replace('/', "\\/"),
    |json| escaped(json, |letter| matches!(letter, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')),
];

fn text(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body).ok()
}

impl Attempt<'_, '_> {
    pub(super) fn bodies(&self) -> Vec<String> {
        let body = self.request.body;
        let passes =
            |changed: &[u8]| changed != body && self.passes(&Request { body: changed, ..*self.request });
        let found = CHANGES.iter().find(|(change, _)| {
            let room = self.left_bytes.get() >= body.len();
            room && change(body).is_some_and(|changed| passes(&changed))
        });
        if let Some((_, how)) = found {
            return vec![format!("The signature fits the body {how}. Verify the raw bytes.")];
        }
        if body.len() > REWRITTEN_BYTES_MAX {
            return vec![];
        }
        let Ok(json) = serde_json::from_slice::<Value>(body) else { return vec![] };
        for (write, how) in LAYOUTS {
            let Some(written) = write(&json) else { continue };
            if ESCAPES.iter().any(|escape| passes(escape(&written).as_bytes())) {
                return vec![format!(
                    "The signature fits the body {how}: something on the way parses it and writes it anew. Verify the \
                     raw bytes."
                )];
            }
        }
        vec![]
    }

    /// What a body shows without being tried.
    pub(super) fn read_before(&self) -> Vec<String> {
        let body = self.request.body;
        let header = |name: &str| self.request.header_text(name).unwrap_or_default();
        let length = header("content-length");
        if body.is_empty() && length.bytes().any(|digit| matches!(digit, b'1'..=b'9')) {
            return vec![format!(
                "The body is empty, and content-length says {length}: something has read it before."
            )];
        }
        let magic: &[u8] = match header("content-encoding") {
            "gzip" => b"\x1f\x8b",
            "zstd" => b"\x28\xb5\x2f\xfd",
            _ => b"",
        };
        if !body.starts_with(magic) {
            return vec![
                "The headers say that the body is compressed, and it is not: something on the way has unpacked it. \
                 Verify the raw bytes."
                    .to_owned(),
            ];
        }
        if text(body).is_some_and(|text| text.contains('\u{fffd}')) {
            return vec![
                "The body holds U+FFFD, the sign for what could not be read: something on the way took it for text. \
                 Verify the raw bytes."
                    .to_owned(),
            ];
        }
        vec![]
    }
}

fn indented(json: &Value, by: &[u8]) -> Option<String> {
    let mut out = vec![];
    let mut writer = Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(by));
    json.serialize(&mut writer).ok()?;
    String::from_utf8(out).ok()
}

/// JSON with a blank behind each comma and colon, as Python writes it.
fn spaced(json: &Value) -> String {
    match json {
        Value::Object(members) => {
            let write = |(name, value): (&String, &Value)| {
                format!("{}: {}", Value::from(name.as_str()), spaced(value))
            };
            format!("{{{}}}", members.iter().map(write).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// What `asked` says as `\uXXXX`.
fn escaped(json: &str, asked: fn(char) -> bool) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        if asked(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(letter);
        }
    }
    out
}
