//! The usual mistakes, found by trying them: what would have made a refused request pass?

use std::fmt;
use std::fmt::Write as _;

use serde_json::Value;

use super::checks;
use super::keys::Keys;
use super::receiver::{Receiver, Settings};
use super::refusal::Refusal;
use super::row::{SchemeRow, SecretForm};
use super::{Request, all};

/// A mistake that explains a refusal, as a sentence for people. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(String);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// See [`Receiver::explain`].
pub(crate) fn find(
    receiver: &Receiver,
    request: &Request<'_>,
    now: i64,
    keys: &Keys,
    why: &Refusal,
) -> Vec<Hint> {
    let attempt = Attempt { receiver, request, now, keys };
    let found = match why {
        Refusal::Expired { age_secs, .. } => vec![format!(
            "The signature itself is right. Either this is an old request sent again, or this clock is ahead of the \
             sender's by about {age_secs} s."
        )],
        Refusal::Future { ahead_secs, .. } => {
            vec![format!(
                "The signature itself is right. This clock is behind the sender's by about {ahead_secs} s."
            )]
        }
        Refusal::Missing(_) => attempt.other_schemes(),
        Refusal::KeyNeeded(_) | Refusal::UnknownScheme => vec![],
        _ => attempt.mistakes(),
    };
    found.into_iter().map(Hint).collect()
}

struct Attempt<'s, 'a> {
    receiver: &'s Receiver,
    request: &'s Request<'a>,
    now: i64,
    keys: &'s Keys,
}

/// Whether the signature fits, whatever the clocks say.
fn fits<T>(result: &Result<T, Refusal>) -> bool {
    matches!(result, Ok(_) | Err(Refusal::Expired { .. } | Refusal::Future { .. }))
}

impl Attempt<'_, '_> {
    fn passes(&self, request: &Request<'_>) -> bool {
        fits(&self.receiver.verify(request, self.now, self.keys))
    }

    fn mistakes(&self) -> Vec<String> {
        let mut found = self.bodies();
        found.extend(self.urls());
        found.extend(self.secrets());
        if found.is_empty() {
            found = self.other_schemes();
        }
        found
    }

    /// The body as something on the way may have found it.
    fn bodies(&self) -> Vec<String> {
        let body = self.request.body;
        let text = std::str::from_utf8(body).unwrap_or_default();
        let mut tries: Vec<(Vec<u8>, &str)> = vec![
            ([body, b"\n"].concat(), "with a line feed at its end, which something on the way has removed"),
            (
                body.trim_ascii_end().to_vec(),
                "without the white space at its end, which something on the way has added",
            ),
            (
                text.replace("\r\n", "\n").into_bytes(),
                "with LF line ends, which something on the way has made CRLF",
            ),
            (
                text.replace('\n', "\r\n").into_bytes(),
                "with CRLF line ends, which something on the way has made LF",
            ),
            (
                text.trim_start_matches('\u{feff}').as_bytes().to_vec(),
                "without the byte order mark at its start",
            ),
        ];
        if let Ok(json) = serde_json::from_str::<Value>(text) {
            let rewritten =
                "written anew from the parsed JSON: something on the way parses and re-serialises it";
            let spaced = spaced(&json);
            for text in [
                json.to_string(),
                serde_json::to_string_pretty(&json).unwrap_or_default(),
                ascii(&spaced),
                spaced,
            ] {
                tries.push((ascii(&text).into_bytes(), rewritten));
                tries.push((text.into_bytes(), rewritten));
            }
        }
        let fit = |(changed, _): &(Vec<u8>, &str)| {
            changed.as_slice() != body && self.passes(&Request { body: changed, ..*self.request })
        };
        let first = tries.iter().find(|attempt| fit(attempt));
        first
            .map(|(_, how)| format!("The signature fits the body {how}. Verify the raw bytes."))
            .into_iter()
            .collect()
    }

    /// The URL as the provider may know it.
    fn urls(&self) -> Vec<String> {
        let url = self.request.url;
        let mut tries = vec![];
        if let Some(rest) = url.strip_prefix("http://") {
            tries.push(format!("https://{rest}"));
        }
        if let Some(rest) = url.strip_prefix("https://") {
            tries.push(format!("http://{rest}"));
        }
        let (bare, query) = url.split_once('?').map_or((url, None), |(bare, query)| (bare, Some(query)));
        let with_query = |bare: String| query.map_or(bare.clone(), |query| format!("{bare}?{query}"));
        tries.push(with_query(format!("{bare}/")));
        tries.push(with_query(bare.trim_end_matches('/').to_owned()));
        tries.push(bare.to_owned());
        for name in ["x-forwarded-host", "x-original-host", "host"] {
            if let (Some(host), Some((_, rest))) = (self.request.header_text(name), url.split_once("://")) {
                let path = rest.find('/').map_or("", |at| &rest[at..]);
                tries.push(format!("https://{host}{path}"));
                tries.push(format!("http://{host}{path}"));
            }
        }
        let fit = |changed: &&String| {
            changed.as_str() != url && self.passes(&Request { url: changed, ..*self.request })
        };
        let first = tries.iter().find(fit);
        let say = |changed: &String| {
            format!(
                "The signature fits the URL {} but the request was taken to be for {}: set the public address to the \
                 one that the provider calls.",
                shown(changed),
                shown(url)
            )
        };
        first.map(say).into_iter().collect()
    }

    /// The secret as it may have been meant.
    fn secrets(&self) -> Vec<String> {
        let settings = &self.receiver.settings;
        let row = self.row();
        let mut found = vec![];
        let changed = |change: &dyn Fn(&str) -> String| Settings {
            secrets: settings.secrets.iter().map(|secret| change(secret)).collect(),
            ..settings.clone()
        };
        let trimmed = changed(&|secret| secret.trim().to_owned());
        if trimmed.secrets != settings.secrets && self.passes_with(row, &trimmed) {
            found.push("The signature fits the secret without the white space around it.".to_owned());
        }
        let bare = changed(&|secret| secret.split_once('_').map_or(secret, |(_, bare)| bare).to_owned());
        if bare.secrets != settings.secrets && row.secret == SecretForm::Utf8 && self.passes_with(row, &bare)
        {
            found.push("The signature fits the secret without its prefix.".to_owned());
        }
        for (form, how) in [
            (SecretForm::Whsec, "decoded from base64, without `whsec_`"),
            (SecretForm::Base64, "decoded from base64"),
            (SecretForm::Hex, "decoded from hex"),
            (SecretForm::Utf8, "taken as it is, not decoded"),
        ] {
            if form != row.secret && self.passes_with(&SchemeRow { secret: form, ..row.clone() }, settings) {
                found.push(format!(
                    "The signature fits the secret {how}: the sender uses other bytes of it as the key."
                ));
                break;
            }
        }
        found
    }

    fn row(&self) -> &'static SchemeRow {
        let provider = self.receiver.provider();
        let variant = self.receiver.settings.variant.as_deref();
        variant.and_then(|name| provider.variant.get(name)).unwrap_or(&provider.scheme)
    }

    fn passes_with(&self, row: &SchemeRow, settings: &Settings) -> bool {
        let check = checks::build(row, settings);
        check.is_ok_and(|check| fits(&check.check(self.request, self.now, self.keys)))
    }

    /// Another scheme of this provider, or another provider.
    fn other_schemes(&self) -> Vec<String> {
        let provider = self.receiver.provider();
        let ours = self.receiver.settings.variant.as_deref();
        for (name, row) in &provider.variant {
            if Some(name.as_str()) != ours && self.passes_with(row, &self.receiver.settings) {
                return vec![format!(
                    "The request is signed by the scheme `{name}` of {}: set that variant.",
                    provider.name
                )];
            }
        }
        if ours.is_some() && self.passes_with(&provider.scheme, &self.receiver.settings) {
            return vec![format!(
                "The request is signed by the main scheme of {}: set no variant.",
                provider.name
            )];
        }
        let sends = |row: &'static SchemeRow| {
            let header = row.signature.as_ref()?.place.strip_prefix("header:")?;
            let telling = !header.eq_ignore_ascii_case("authorization") && !header.contains('{');
            (telling && self.request.header(&header.to_ascii_lowercase()).is_some()).then_some(header)
        };
        let others: Vec<_> = all()
            .filter(|other| other.slug != provider.slug)
            .filter_map(|other| Some((other.name.as_str(), sends(&other.scheme)?)))
            .take(3)
            .collect();
        let Some((_, header)) = others.first() else { return vec![] };
        let names: Vec<_> = others.iter().filter(|(_, sent)| sent == header).map(|(name, _)| *name).collect();
        vec![format!(
            "The request has the header {header}, which {} sends, not {}.",
            names.join(" or "),
            provider.name
        )]
    }
}

/// A URL without its query, which may hold a token.
fn shown(url: &str) -> String {
    match url.split_once('?') {
        Some((bare, _)) => format!("{bare}?…"),
        None => url.to_owned(),
    }
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

/// Everything beyond ASCII as `\uXXXX`.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() {
            out.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}
