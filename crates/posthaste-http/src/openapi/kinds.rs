//! Kinds of values, with the limits that the API's readers hold them to: what the document allows is accepted.
//!
//! What a pattern cannot say is left to the readers: whether a URL may be called, an instant lies in a range that moves
//! with the clock, a text is a network or a cron expression, or two fields go together.

use posthaste_core::bin::{KEEP_MAX, KEEP_MIN};
use posthaste_core::limits::{
    ANSWER_DELAY_MAX, APP_NAME_LENGTH_MAX, DEDUPE_WINDOW_MAX, DESCRIPTION_LENGTH_MAX,
    EVENT_TYPES_PER_ENDPOINT_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_PER_ENDPOINT_MAX,
    IDEMPOTENCY_KEY_LENGTH_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, RECEIVED_BODY_BYTES_MAX,
    REPLAY_MESSAGES_MAX, TAGS_PER_MESSAGE_MAX, URL_LENGTH_MAX,
};
use posthaste_core::looks::{LOGO_BYTES_MAX, LOOK_LETTERS_MAX, PORTAL_NAME_LETTERS_MAX};
use posthaste_core::name::{Channel, EventTypeName, Label, Tag, Uid};
use serde_json::{Map, Value, json};

use crate::api::event_type::{FLAGS_MAX, VERSION_LENGTH_MAX};
use crate::api::ingest::answer;
use crate::api::ingest::rules::{KEY_LETTERS_MAX, METHODS, NETWORKS_MAX};

/// What all names are made of.
const NAME: &str = "^[a-zA-Z0-9\\-_.]+$";
/// Text for people, which no control character steers, line feed and tab apart.
const PROSE: &str = "^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]*$";
/// The same, with something to read in it.
const TITLE: &str = "^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f]\
                     [^\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]*$";
/// A picture's `https` address, or the beginning of a PNG.
const PICTURE: &str =
    "^https://[A-Za-z0-9.\\-]+/[A-Za-z0-9\\-._~/]{0,100}$|^data:image/png;base64,iVBORw0KGgo=$";
/// A header's name.
const TOKEN: &str = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]";
/// A header's value: printable ASCII, without blanks around it.
const HEADER_VALUE: &str = "^([!-~]([\\t -~]*[!-~])?)?$";
/// An absolute URL, from afar; or the name of a listener, who comes and asks.
const HTTP_URL: &str = "^listener:[A-Za-z0-9._\\-]{1,64}$|^[hH][tT][tT][pP][sS]?://[^\\u0000-\\u0020\\u007f-\\u009f\\\\/?#@]+\
                        ([/?#][^\\u0000-\\u0020\\u007f-\\u009f\\\\]*)?$";
/// Base64 of 24 to 75 bytes, or a private key of 32 or 64, each with its prefix.
const SECRET: &str = "^((whsec_)?([A-Za-z0-9+/]{4}){8,24}\
                      ([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?\
                      |whsk_([A-Za-z0-9+/]{4}){10}[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=\
                      |whsk_([A-Za-z0-9+/]{4}){21}[A-Za-z0-9+/][AQgw]==)$";

/// A kind of value.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Any,
    Text,
    Bool,
    Instant,
    /// Text for people.
    Prose,
    /// The name of something, for people.
    Title,
    /// A URL of ours.
    Url,
    /// A URL that is called.
    Target,
    /// A caller's own id, as it is shown.
    Uid,
    /// The same, as it is chosen: not like our own ids, which begin so.
    OwnUid(&'static str),
    /// A caller's own id of a message.
    EventId,
    /// An event type's name.
    TypeName,
    /// The same, when it is first said.
    NewTypeName,
    /// Event type names, at least so many.
    TypeNames(u32),
    /// A channel or tag.
    Channel,
    /// Channels, at most so many.
    Channels(usize),
    Tags,
    /// A feature flag, or a group's name.
    Label,
    Labels,
    /// What a portal is called.
    PortalName,
    /// An address of a picture, or the picture.
    Picture,
    Colour,
    /// Names of fonts.
    Fonts,
    Count,
    /// A whole number within a range.
    Whole(u64, u64),
    /// Text by text.
    Texts,
    /// A list of texts.
    List,
    /// Ids of messages.
    MessageIds,
    /// One of these words.
    Words(&'static [&'static str]),
    Headers,
    /// Headers, and null for those that go.
    HeaderPatch,
    /// Headers of an answer.
    AnswerHeaders,
    AnswerBody,
    HeaderNames,
    /// JSON Schemas by version.
    Schemas,
    Object,
    Secret,
    DedupeBy,
    Networks,
    Methods,
    /// Status codes, one after the other.
    Statuses,
    Ref(&'static str),
    /// A list of another shape.
    ListOf(&'static str),
}

/// Messages per second.
pub(super) const RATE: Kind = Kind::Whole(1, 65_535);
/// Milliseconds that an answer may be held back.
pub(super) const DELAY_MS: Kind = Kind::Whole(0, ANSWER_DELAY_MAX.as_secs() * 1_000);
/// How long a source knows a request again.
pub(super) const WINDOW_SECS: Kind = Kind::Whole(1, DEDUPE_WINDOW_MAX.as_secs());
/// Bytes of a body that a source takes.
pub(super) const BODY_BYTES: Kind = Kind::Whole(1, RECEIVED_BODY_BYTES_MAX as u64);

/// How long a source keeps its requests.
pub(super) const KEEP_SECS: Kind = Kind::Whole(KEEP_MIN.as_secs(), KEEP_MAX.as_secs());

/// The schema of a kind.
pub(super) fn schema(kind: Kind) -> Value {
    let object = |values: Value| json!({ "type": "object", "additionalProperties": values });
    match kind {
        Kind::Any => json!({}),
        Kind::Text => json!({ "type": "string" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Instant => json!({ "type": "string", "format": "date-time" }),
        Kind::Count => json!({ "type": "integer", "format": "int64", "minimum": 0 }),
        Kind::Whole(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Texts => object(json!({ "type": "string" })),
        Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Object => json!({ "type": "object" }),
        Kind::Ref(name) => json!({ "$ref": format!("#/components/schemas/{name}") }),
        Kind::ListOf(name) => {
            json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{name}") } })
        }
        Kind::Words(words) => json!({ "type": "string", "enum": words }),
        Kind::Schemas => {
            let mut schemas = object(json!({ "type": "object" }));
            schemas["propertyNames"] = json!({ "maxLength": VERSION_LENGTH_MAX });
            schemas
        }
        Kind::Headers => headers(json!({ "type": "string" })),
        Kind::HeaderPatch => headers(json!({ "type": ["string", "null"] })),
        _ if text(kind).is_some() => json!(text(kind)),
        _ => list(kind),
    }
}

/// Texts with a pattern.
fn text(kind: Kind) -> Option<Value> {
    let text = |min: u32, max: usize, pattern: &str| {
        Some(json!({ "type": "string", "minLength": min, "maxLength": max, "pattern": pattern }))
    };
    match kind {
        Kind::Prose => text(0, DESCRIPTION_LENGTH_MAX, PROSE),
        Kind::Title => text(1, APP_NAME_LENGTH_MAX, TITLE),
        Kind::Url => Some(json!({ "type": "string", "format": "uri" })),
        Kind::Target => {
            let mut url = text(1, URL_LENGTH_MAX, HTTP_URL)?;
            url["format"] = json!("uri");
            url["description"] = json!(
                "Where to send: an https or http URL, or listener:NAME if nobody is to be called: then deliveries wait for \
                 whoever listens (posthaste listen)."
            );
            Some(url)
        }
        Kind::Uid => text(1, Uid::LENGTH_MAX, NAME),
        // Dots alone would be a step in a path.
        Kind::OwnUid(prefix) => text(
            1,
            Uid::LENGTH_MAX,
            &format!("^(?!{prefix})[a-zA-Z0-9\\-_.]*[a-zA-Z0-9\\-_][a-zA-Z0-9\\-_.]*$"),
        ),
        Kind::EventId => text(1, Uid::LENGTH_MAX, "^(?!msg_)[a-zA-Z0-9\\-_]+$"),
        Kind::TypeName => text(1, EventTypeName::LENGTH_MAX, NAME),
        Kind::NewTypeName => text(1, EventTypeName::LENGTH_MAX, "^[a-zA-Z0-9_][a-zA-Z0-9\\-_.]*$"),
        Kind::Channel => text(1, Channel::LENGTH_MAX.min(Tag::LENGTH_MAX), NAME),
        Kind::Label => text(1, Label::LENGTH_MAX, NAME),
        Kind::PortalName => text(1, PORTAL_NAME_LETTERS_MAX, TITLE),
        Kind::Picture => text(1, LOGO_BYTES_MAX * 2, PICTURE),
        Kind::Colour => text(3, 7, "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
        Kind::Fonts => {
            text(1, LOOK_LETTERS_MAX, "^[A-Za-z0-9][A-Za-z0-9 \\-]*(, ?[A-Za-z0-9][A-Za-z0-9 \\-]*)*$")
        }
        Kind::Secret => text(32, 110, SECRET),
        Kind::AnswerBody => Some(json!({ "type": "string", "maxLength": answer::BODY_BYTES_MAX })),
        Kind::DedupeBy => {
            let longest = KEY_LETTERS_MAX;
            let keyed = format!("header:{TOKEN}{{1,{longest}}}|json:[\\s\\S]{{1,{longest}}}");
            Some(json!({ "type": "string", "pattern": format!("^(provider|body|off|{keyed})$") }))
        }
        _ => None,
    }
}

/// Lists, and objects whose keys have a rule.
fn list(kind: Kind) -> Value {
    let list = |item: Kind, min: u32, max: usize| {
        json!({
            "type": "array", "items": schema(item), "minItems": min, "maxItems": max, "uniqueItems": true,
        })
    };
    match kind {
        Kind::TypeNames(min) => list(Kind::TypeName, min, EVENT_TYPES_PER_ENDPOINT_MAX),
        Kind::Channels(max) => list(Kind::Channel, 1, max),
        Kind::Tags => list(Kind::Channel, 0, TAGS_PER_MESSAGE_MAX),
        Kind::Labels => list(Kind::Label, 0, FLAGS_MAX),
        Kind::HeaderNames => list(Kind::Text, 0, HEADERS_PER_ENDPOINT_MAX),
        Kind::MessageIds => {
            let id = json!({ "type": "string", "pattern": "^msg_[0-9A-Za-z]{27}$" });
            json!({ "type": "array", "items": id, "minItems": 1, "maxItems": REPLAY_MESSAGES_MAX })
        }
        Kind::Methods => list(Kind::Words(&METHODS), 1, METHODS.len()),
        Kind::Statuses => {
            json!({ "type": "array", "items": schema(Kind::Whole(200, 599)), "maxItems": answer::SEQUENCE_MAX })
        }
        Kind::Networks => {
            let network = json!({ "type": "string", "pattern": "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$" });
            json!({ "type": "array", "items": network, "maxItems": NETWORKS_MAX })
        }
        Kind::AnswerHeaders => json!({
            "type": "object",
            "maxProperties": answer::HEADERS_MAX,
            "propertyNames": { "pattern": format!("^{TOKEN}+$") },
            "additionalProperties": { "type": "string", "pattern": "^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$" },
        }),
        _ => json!({}),
    }
}

fn headers(value: Value) -> Value {
    let mut value = value;
    value["maxLength"] = json!(HEADER_VALUE_BYTES_MAX);
    value["pattern"] = json!(HEADER_VALUE);
    json!({
        "type": "object",
        "maxProperties": HEADERS_PER_ENDPOINT_MAX,
        "propertyNames": { "pattern": format!("^{TOKEN}+$"), "maxLength": 256 },
        "additionalProperties": value,
    })
}

/// A shape. A property is written as its name and its kind; `*` behind a name: required; `?`: may also be null.
pub(super) fn object(properties: &[(&str, Kind)]) -> Value {
    let mut required = Vec::new();
    let mut all = Map::new();
    for (name, kind) in properties {
        let bare = name.trim_end_matches(['*', '?']);
        let mut value = schema(*kind);
        if name.ends_with('?') {
            value = json!({ "anyOf": [value, { "type": "null" }] });
        }
        if name.ends_with('*') {
            required.push(bare.to_owned());
        }
        all.insert(bare.to_owned(), value);
    }
    let mut shape = json!({ "type": "object", "properties": all });
    if !required.is_empty() {
        shape["required"] = json!(required);
    }
    shape
}

/// The schema of a query parameter. `of`: the shape of the list that is asked for, which says what its iterator is like.
pub(super) fn query(name: &str, of: Option<&str>) -> Value {
    match name {
        "limit" => {
            json!({ "type": "integer", "minimum": 1, "maximum": PAGE_ROWS_MAX, "default": PAGE_ROWS_DEFAULT })
        }
        "order" => schema(Kind::Ref("Ordering")),
        "status" if of == Some("ListResponse_BackgroundTaskOut_") => {
            schema(Kind::Ref("BackgroundTaskStatus"))
        }
        "task" => schema(Kind::Ref("BackgroundTaskType")),
        "status" => schema(Kind::Ref("MessageStatus")),
        "status_code_class" => schema(Kind::Ref("StatusCodeClass")),
        "before" | "after" | "since" | "until" => schema(Kind::Instant),
        "event_types" => {
            json!({ "type": "array", "items": schema(Kind::TypeName), "maxItems": EVENT_TYPES_PER_ENDPOINT_MAX })
        }
        "with_content" | "with_msg" | "include_archived" | "get_if_exists" | "expunge" => schema(Kind::Bool),
        "channel" | "tag" => schema(Kind::Channel),
        "iterator" if of == Some("ListResponse_EventTypeOut_") => {
            json!({ "type": "string", "pattern": "^-?[a-zA-Z0-9\\-_.]{1,256}$" })
        }
        "iterator" => json!({ "type": "string", "pattern": "^-?[a-z]+_[0-9A-Za-z]{27}$" }),
        _ => schema(Kind::Text),
    }
}

/// The schema of a name in a path.
pub(super) fn in_path(name: &str) -> Value {
    schema(if name == "event_type_name" { Kind::NewTypeName } else { Kind::Text })
}

/// The header that makes a repeated POST the same.
pub(super) fn idempotency_key() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_LENGTH_MAX, "pattern": "^[!-~]([ -~]*[!-~])?$" })
}
