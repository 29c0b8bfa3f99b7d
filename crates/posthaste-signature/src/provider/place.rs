//! Where in a request a value stands, in the notation of the table: `header:X`, `json:a.b`, `form:x`, `query:x`.

use std::borrow::Cow;
use std::fmt;

use http::header::{CONTENT_TYPE, HeaderName};

use super::json::Path;
use super::{Request, form};

/// One place.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Header(HeaderName),
    /// Headers of this name with a number behind, from 1 on.
    Headers(String),
    Json(String, Path),
    Form(String),
    /// A JSON text in a form field, and a path in it.
    FormJson(String, Path),
    Query(String),
    Body,
    /// A claim of a JWT; only whoever holds the token can read it.
    Claim(String, Path),
}

impl Place {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "body" {
            return Some(Self::Body);
        }
        let (kind, name) = text.split_once(':')?;
        Some(match kind {
            "header" => match name.strip_suffix("{n}") {
                Some(prefix) => Self::Headers(prefix.to_ascii_lowercase()),
                None => Self::Header(name.parse().ok()?),
            },
            "json" => Self::Json(name.to_owned(), Path::parse(name)),
            "form" => Self::Form(name.to_owned()),
            "formjson" => {
                let (field, path) = name.split_once('.')?;
                Self::FormJson(field.to_owned(), Path::parse(path))
            }
            "query" => Self::Query(name.to_owned()),
            "claim" => Self::Claim(name.to_owned(), Path::parse(name)),
            _ => return None,
        })
    }

    /// The first value that is not empty.
    pub(crate) fn read<'a>(&self, request: &Request<'a>) -> Option<Cow<'a, [u8]>> {
        self.read_all(request).into_iter().next()
    }

    /// All values that are not empty: a header can be repeated.
    pub(crate) fn read_all<'a>(&self, request: &Request<'a>) -> Vec<Cow<'a, [u8]>> {
        let text = |value: Option<Cow<'a, str>>| value.map(bytes_of);
        let mut found: Vec<Cow<'a, [u8]>> = match self {
            Self::Header(name) => {
                request.headers.get_all(name).iter().map(|v| Cow::Borrowed(v.as_bytes())).collect()
            }
            Self::Headers(prefix) => numbered(request, prefix),
            Self::Json(_, path) => match path.texts(request.body) {
                // With a star in the path every item must have the value: a missing one is an empty one.
                Some(values) if values.len() > 1 => {
                    return values.into_iter().map(|v| v.map_or(Cow::Borrowed(&b""[..]), bytes_of)).collect();
                }
                values => values.into_iter().flatten().flatten().map(bytes_of).collect(),
            },
            Self::Form(name) => text(form::value(request.body, name).map(Cow::Owned)).into_iter().collect(),
            Self::FormJson(field, path) => {
                let content_type = request.header_text(CONTENT_TYPE.as_str()).unwrap_or_default();
                let json = form::field(content_type, request.body, field);
                let value =
                    json.and_then(|json| path.text(&json).map(|value| value.into_owned().into_bytes()));
                value.map(Cow::Owned).into_iter().collect()
            }
            Self::Query(name) => text(request.query_value(name).map(Cow::Owned)).into_iter().collect(),
            Self::Body => vec![Cow::Borrowed(request.body)],
            Self::Claim(..) => vec![],
        };
        found.retain(|value| !value.is_empty());
        found
    }

    /// Whether it is a parameter that is there more than once.
    pub(crate) fn is_repeated(&self, request: &Request<'_>) -> bool {
        match self {
            Self::Form(name) => form::is_repeated(request.body, name),
            Self::Query(name) => form::is_repeated(request.query().as_bytes(), name),
            _ => false,
        }
    }

    /// As [`Self::read`], if it is UTF-8.
    pub(crate) fn read_text<'a>(&self, request: &Request<'a>) -> Option<Cow<'a, str>> {
        text_of(self.read(request)?)
    }
}

/// How a person would say it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the header {name}"),
            Self::Headers(prefix) => write!(f, "the header {prefix}1"),
            Self::Json(name, _) => write!(f, "{name} in the JSON body"),
            Self::Form(name) => write!(f, "the form field {name}"),
            Self::FormJson(field, _) => write!(f, "the form field {field}"),
            Self::Query(name) => write!(f, "the query parameter {name}"),
            Self::Body => f.write_str("the body"),
            Self::Claim(name, _) => write!(f, "the claim {name}"),
        }
    }
}

fn numbered<'a>(request: &Request<'a>, prefix: &str) -> Vec<Cow<'a, [u8]>> {
    /// DocuSign has up to 100 keys.
    const NUMBERS_MAX: u32 = 100;
    let named = |number| request.header(&format!("{prefix}{number}"));
    (1..=NUMBERS_MAX).map_while(named).map(Cow::Borrowed).collect()
}

fn bytes_of(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// As text, if it is UTF-8.
pub(crate) fn text_of(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// A fact that stands in a place, or in several: ` + ` joins with a dot, ` | ` is "or else".
#[derive(Debug, Clone, Default)]
pub(crate) struct Fact(Vec<Vec<Place>>);

impl Fact {
    /// `None` if it is not in the notation.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let all = |joined: &str| joined.split(" + ").map(Place::parse).collect();
        text.split(" | ").map(all).collect::<Option<_>>().map(Self)
    }

    /// The fact of a request; `claims` is the JSON of a token that came with it.
    pub(crate) fn read(&self, request: &Request<'_>, claims: Option<&[u8]>) -> Option<String> {
        self.0.iter().find_map(|places| {
            let values: Option<Vec<String>> = places
                .iter()
                .map(|place| match (place, claims) {
                    (Place::Claim(_, path), Some(claims)) => path.text_within(claims),
                    (Place::Json(_, path), _) => path.scalar(request.body).map(Cow::into_owned),
                    _ => place.read_text(request).map(Cow::into_owned),
                })
                .collect();
            values.map(|values| values.join(".")).filter(|value| !value.is_empty())
        })
    }
}
