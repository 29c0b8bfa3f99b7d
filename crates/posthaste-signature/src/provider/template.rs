//! The signed bytes as a template: `{ts}.{body}`. Everything outside braces is literal.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::digest::{Hash, sha256_hex};
use super::entries::Entries;
use super::place::Place;
use super::receiver::{Settings, SetupError};
use super::refusal::Refusal;
use super::{Request, form};
use crate::encoding::{push_base64, to_hex};

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Body,
    Time,
    Method,
    Url,
    UrlWithoutQuery,
    /// With some characters decoded, as HubSpot's documentation lists them.
    UrlDecoded,
    FormSorted,
    Secret,
    Place(Place),
    /// An item beside the signature.
    Item(String),
    Sha256HexOfBody,
    Sha256Base64OfBody,
    Sha256HexOfUrl,
    /// The SHA-256 of time, dot and body.
    Sha256OfTimeAndBody,
    /// Atlassian's hash of method, path and query.
    QueryHash,
}

/// A template, read once.
#[derive(Debug, Clone)]
pub(crate) struct Template(Vec<Part>);

/// What a template is filled from.
pub(crate) struct Fill<'r, 'a> {
    pub(crate) request: &'r Request<'a>,
    pub(crate) time: Option<&'r str>,
    pub(crate) entries: &'r Entries<'a>,
    pub(crate) secret: &'r [u8],
}

impl Template {
    /// Settings are filled in now; everything else when a request comes.
    pub(crate) fn parse(text: &str, settings: &Settings) -> Result<Self, SetupError> {
        let mut parts = vec![];
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(Part::Literal(rest[..open].to_owned()));
            }
            let close = rest[open..].find('}').map_or(rest.len(), |at| open + at);
            parts.push(part(rest.get(open + 1..close).unwrap_or_default(), settings)?);
            rest = rest.get(close + 1..).unwrap_or_default();
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The bytes, in parts, so that no body is copied to be hashed.
    pub(crate) fn fill<'r>(&'r self, from: &Fill<'r, '_>) -> Result<Vec<Cow<'r, [u8]>>, Refusal> {
        self.0.iter().map(|part| fill(part, from)).collect()
    }

    /// The bytes as text, for a claim.
    pub(crate) fn text(&self, request: &Request<'_>) -> Result<String, Refusal> {
        let entries = Entries::default();
        let parts = self.fill(&Fill { request, time: None, entries: &entries, secret: b"" })?;
        Ok(String::from_utf8_lossy(&parts.concat()).into_owned())
    }
}

fn part(name: &str, settings: &Settings) -> Result<Part, SetupError> {
    Ok(match name {
        "body" => Part::Body,
        "ts" => Part::Time,
        "method" => Part::Method,
        "url" => Part::Url,
        "url_no_query" => Part::UrlWithoutQuery,
        "url_decoded" => Part::UrlDecoded,
        "form_sorted" => Part::FormSorted,
        "secret" => Part::Secret,
        "sha256hex(body)" => Part::Sha256HexOfBody,
        "sha256base64(body)" => Part::Sha256Base64OfBody,
        "sha256hex(url)" => Part::Sha256HexOfUrl,
        "sha256(ts.body)" => Part::Sha256OfTimeAndBody,
        "qsh" => Part::QueryHash,
        _ => match name.split_once(':') {
            Some(("config", key)) => Part::Literal(settings.required(key)?),
            Some(("sig", key)) => Part::Item(key.to_owned()),
            _ => Part::Place(Place::parse(name).ok_or(SetupError::Table)?),
        },
    })
}

fn fill<'r>(part: &'r Part, from: &Fill<'r, '_>) -> Result<Cow<'r, [u8]>, Refusal> {
    let request = from.request;
    let time = || from.time.ok_or_else(|| Refusal::Missing("the timestamp".to_owned()));
    Ok(match part {
        Part::Literal(text) => text.as_bytes().into(),
        Part::Body => request.body.into(),
        Part::Time => time()?.as_bytes().into(),
        Part::Method => request.method.as_bytes().into(),
        Part::Url => request.url.as_bytes().into(),
        Part::UrlWithoutQuery => request.url.split('?').next().unwrap_or_default().as_bytes().into(),
        Part::UrlDecoded => decoded(request.url).into_bytes().into(),
        Part::FormSorted => form::sorted(request.body)?.into_bytes().into(),
        Part::Secret => from.secret.into(),
        // In a body, what is not there is signed as nothing.
        Part::Place(place @ (Place::Json(..) | Place::Form(_) | Place::Query(_))) => {
            if place.is_repeated(request) {
                return Err(Refusal::malformed(place.to_string(), "there once"));
            }
            place.read(request).unwrap_or_default()
        }
        Part::Place(place) => place.read(request).ok_or_else(|| Refusal::Missing(place.to_string()))?,
        Part::Item(key) => {
            let item = from.entries.item(key);
            item.ok_or_else(|| Refusal::Missing(format!("{key} beside the signature")))?.as_bytes().into()
        }
        Part::Sha256HexOfBody => sha256_hex(request.body).into_bytes().into(),
        Part::Sha256HexOfUrl => sha256_hex(request.url.as_bytes()).into_bytes().into(),
        Part::Sha256Base64OfBody => {
            let mut text = String::new();
            push_base64(Hash::Sha256.digest(&[request.body]).as_bytes(), &mut text);
            text.into_bytes().into()
        }
        Part::Sha256OfTimeAndBody => {
            Hash::Sha256.digest(&[time()?.as_bytes(), b".", request.body]).as_bytes().to_vec().into()
        }
        Part::QueryHash => query_hash(request)?.into_bytes().into(),
    })
}

/// Atlassian's `qsh`: method, path and sorted query without `jwt`, joined by `&`, hashed
/// (<https://developer.atlassian.com/cloud/jira/platform/understanding-jwt-for-connect-apps/>).
fn query_hash(request: &Request<'_>) -> Result<String, Refusal> {
    let without_query = request.url.split('?').next().unwrap_or_default();
    let path = without_query
        .split("://")
        .nth(1)
        .and_then(|rest| rest.find('/').map(|at| &rest[at..]))
        .unwrap_or("/");
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in form::pairs(request.query().as_bytes())? {
        if name != "jwt" {
            parameters.entry(percent_encoded(&name)).or_default().push(percent_encoded(&value));
        }
    }
    let query: Vec<_> = parameters
        .into_iter()
        .map(|(name, mut values)| {
            values.sort();
            format!("{name}={}", values.join(","))
        })
        .collect();
    let text = format!("{}&{}&{}", request.method, path.replace('&', "%26"), query.join("&"));
    Ok(sha256_hex(text.as_bytes()))
}

/// The URL with these characters decoded, and no others.
fn decoded(url: &str) -> String {
    const CODES: [(&str, &str); 12] = [
        ("%3A", ":"),
        ("%2F", "/"),
        ("%3F", "?"),
        ("%40", "@"),
        ("%21", "!"),
        ("%24", "$"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%3B", ";"),
    ];
    let once = |text: String, (code, letter): (&str, &str)| {
        text.replace(code, letter).replace(&code.to_ascii_lowercase(), letter)
    };
    CODES.into_iter().fold(url.to_owned(), once)
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&to_hex(&[byte]).to_ascii_uppercase());
        }
    }
    encoded
}
