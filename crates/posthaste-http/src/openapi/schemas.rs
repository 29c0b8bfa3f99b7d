//! The shapes of requests and answers. A property is written as its name and its kind; `*` behind a name: required.

use serde_json::{Map, Value, json};

const NAME: &str = "^[a-zA-Z0-9\\-_.]+$";

/// A kind of value.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bool,
    Instant,
    Url,
    /// A caller's own id.
    Uid,
    /// An event type's name.
    TypeName,
    /// Event type names.
    TypeNames,
    /// Channels, at most so many.
    Channels(u32),
    Tags,
    /// Messages per second.
    Rate,
    Count,
    Millis,
    Code,
    Days,
    Hours,
    Secs(u32),
    Index,
    /// Text by text.
    Texts,
    /// Text or null by text.
    TextsOrNull,
    /// A list of texts.
    List,
    Object,
    Secret,
    Ref(&'static str),
    /// A list of another shape.
    ListOf(&'static str),
}

use Kind::{
    Bool, Channels, Code, Count, Days, Hours, Index, Instant, List, ListOf, Millis, Object, Rate, Ref,
    Secret, Secs, Tags, Text, Texts, TextsOrNull, TypeName, TypeNames, Uid, Url,
};

fn schema(kind: Kind) -> Value {
    let name = |length: u32| json!({ "type": "string", "maxLength": length, "pattern": NAME });
    let whole = |min: i64, max: i64| json!({ "type": "integer", "minimum": min, "maximum": max });
    match kind {
        Text => json!({ "type": "string" }),
        Bool => json!({ "type": "boolean" }),
        Instant => json!({ "type": "string", "format": "date-time" }),
        Url => json!({ "type": "string", "format": "uri", "minLength": 1, "maxLength": 2048 }),
        Uid => json!({ "type": "string", "minLength": 1, "maxLength": 256, "pattern": NAME }),
        TypeName => name(256),
        TypeNames => json!({ "type": "array", "items": name(256), "minItems": 1, "uniqueItems": true }),
        Channels(max) => {
            json!({ "type": "array", "items": name(128), "minItems": 1, "maxItems": max, "uniqueItems": true })
        }
        Tags => json!({ "type": "array", "items": name(128), "maxItems": 5, "uniqueItems": true }),
        Rate => whole(1, 65_535),
        Count => json!({ "type": "integer", "format": "int64", "minimum": 0 }),
        Millis => json!({ "type": "integer", "format": "int64", "minimum": 0 }),
        Code => json!({ "type": "integer", "format": "int16", "minimum": 0, "maximum": 999 }),
        Days => whole(5, 90),
        Hours => whole(1, 2_160),
        Secs(max) => whole(0, i64::from(max)),
        Index => whole(0, 1_000),
        Texts => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        TextsOrNull => json!({ "type": "object", "additionalProperties": { "type": ["string", "null"] } }),
        List => json!({ "type": "array", "items": { "type": "string" } }),
        Object => json!({ "type": "object" }),
        Secret => json!({ "type": "string", "minLength": 32, "maxLength": 110 }),
        Ref(name) => json!({ "$ref": format!("#/components/schemas/{name}") }),
        ListOf(name) => {
            json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{name}") } })
        }
    }
}

/// A shape; a name that ends in `?` may also be null.
fn object(properties: &[(&str, Kind)]) -> Value {
    let mut required = Vec::new();
    let mut all = Map::new();
    for (name, kind) in properties {
        let is_required = name.ends_with('*');
        let bare = name.trim_end_matches(['*', '?']);
        let mut value = schema(*kind);
        if name.ends_with('?') {
            value = match value.get("type").cloned() {
                Some(Value::String(one)) => {
                    value["type"] = json!([one, "null"]);
                    value
                }
                _ => json!({ "oneOf": [value, { "type": "null" }] }),
            };
        }
        if is_required {
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

const ENDPOINT_OUT: &[(&str, Kind)] = &[
    ("id*", Text),
    ("uid?", Uid),
    ("url*", Url),
    ("version", Count),
    ("description*", Text),
    ("throttleRate?", Rate),
    ("rateLimit?", Rate),
    ("disabled", Bool),
    ("eventTypes?", TypeNames),
    ("filterTypes?", TypeNames),
    ("channels?", Channels(10)),
    ("metadata*", Texts),
    ("createdAt*", Instant),
    ("updatedAt*", Instant),
];

const STANDING: &[(&str, Kind)] = &[
    ("status*", Ref("MessageStatus")),
    ("statusText*", Ref("MessageStatusText")),
    ("nextAttempt?", Instant),
    ("reason?", Text),
];

const MESSAGE_OUT: &[(&str, Kind)] = &[
    ("id*", Text),
    ("eventId?", Uid),
    ("eventType*", TypeName),
    ("payload*", Object),
    ("channels?", Channels(10)),
    ("tags?", Tags),
    ("timestamp*", Instant),
    ("deliverAt?", Instant),
    ("payloadEncoding", Text),
    ("request", Ref("MessageRequestOut")),
];

/// What may come in by a source: ours, beyond Svix's.
const RULES: &[(&str, Kind)] = &[
    ("dedupe", Ref("IngestDedupe")),
    ("allowedNetworks?", List),
    ("rateLimit?", Rate),
    ("bodyBytesMax", Count),
    ("methods", List),
    ("schema?", Object),
    ("schemaMismatch?", Text),
    ("answer", Ref("IngestAnswer")),
    ("paused", Bool),
];

const SOURCE_IN: &[(&str, Kind)] =
    &[("name*", Text), ("type*", Text), ("uid?", Uid), ("metadata", Texts), ("config", Object)];

const SOURCE_PATCH: &[(&str, Kind)] =
    &[("name", Text), ("type", Text), ("uid?", Uid), ("metadata", Texts), ("config", Object)];

const SOURCE_OUT: &[(&str, Kind)] = &[
    ("id*", Text),
    ("uid?", Uid),
    ("name*", Text),
    ("type*", Text),
    ("config*", Object),
    ("ingestUrl?", Url),
    ("metadata*", Texts),
    ("createdAt*", Instant),
    ("updatedAt*", Instant),
    ("appId*", Text),
    ("provider?", Object),
];

/// In snake case, as Svix has it.
const LOG_OUT: &[(&str, Kind)] = &[
    ("id*", Text),
    ("source_id*", Text),
    ("status_code*", Code),
    ("error_text*", Text),
    ("method*", Text),
    ("query*", Text),
    ("headers*", Texts),
    ("payload*", Text),
    ("payload_bytes*", Count),
    ("client_address?", Text),
    ("created_at*", Instant),
    ("updated_at*", Instant),
];

const ENDPOINT_IN: &[(&str, Kind)] = &[
    ("uid?", Uid),
    ("description", Text),
    ("throttleRate?", Rate),
    ("rateLimit?", Rate),
    ("disabled", Bool),
    ("eventTypes?", TypeNames),
    ("filterTypes?", TypeNames),
    ("channels?", Channels(10)),
    ("metadata", Texts),
    ("headers?", Texts),
];

fn with(base: &[(&'static str, Kind)], more: &[(&'static str, Kind)]) -> Value {
    object(&[base, more].concat())
}

/// All shapes, by name.
pub(super) fn all() -> Value {
    let mut all = Map::new();
    for (name, shape) in inputs().into_iter().chain(outputs()).chain(errors_and_words()) {
        all.insert(name.to_owned(), shape);
    }
    for name in [
        "ApplicationOut",
        "EndpointOut",
        "EventTypeOut",
        "MessageOut",
        "MessageAttemptOut",
        "MessageEndpointOut",
        "EndpointMessageOut",
        "IngestSourceOut",
        "IngestLogOut",
    ] {
        let page = [("data*", ListOf(name)), ("iterator?", Text), ("prevIterator?", Text), ("done*", Bool)];
        all.insert(format!("ListResponse_{name}_"), object(&page));
    }
    Value::Object(all)
}

fn inputs() -> Vec<(&'static str, Value)> {
    let app: &[(&str, Kind)] =
        &[("uid?", Uid), ("throttleRate?", Rate), ("rateLimit?", Rate), ("metadata", Texts)];
    let event_type: &[(&str, Kind)] = &[
        ("archived", Bool),
        ("deprecated", Bool),
        ("schemas?", Object),
        ("featureFlag?", Uid),
        ("featureFlags?", List),
        ("groupName?", Uid),
    ];
    vec![
        ("ApplicationIn", with(app, &[("name*", Text)])),
        ("ApplicationPatch", with(app, &[("name", Text)])),
        ("EventTypeIn", with(event_type, &[("name*", TypeName), ("description*", Text)])),
        ("EventTypeUpdate", with(event_type, &[("description*", Text)])),
        ("EventTypePatch", with(event_type, &[("description", Text)])),
        ("EndpointIn", with(ENDPOINT_IN, &[("url*", Url), ("secret?", Secret)])),
        ("EndpointUpdate", with(ENDPOINT_IN, &[("url*", Url)])),
        ("EndpointPatch", with(ENDPOINT_IN, &[("url", Url)])),
        ("EndpointHeadersIn", object(&[("headers*", Texts)])),
        ("EndpointHeadersPatchIn", object(&[("headers*", TextsOrNull), ("deleteHeaders", List)])),
        ("EndpointSecretRotateIn", object(&[("key?", Secret), ("gracePeriodSeconds?", Secs(604_800))])),
        ("EventExampleIn", object(&[("eventType*", TypeName), ("exampleIndex", Index)])),
        (
            "MessageIn",
            object(&[
                ("eventType*", TypeName),
                ("payload*", Object),
                ("eventId?", Uid),
                ("channels?", Channels(10)),
                ("tags?", Tags),
                ("deliverAt?", Instant),
                ("payloadRetentionPeriod", Days),
                ("payloadRetentionHours?", Hours),
                ("application", Ref("ApplicationIn")),
            ]),
        ),
        ("RecoverIn", object(&[("since*", Instant), ("until?", Instant)])),
        ("IngestSourceIn", with(SOURCE_IN, RULES)),
        ("IngestSourcePatch", with(SOURCE_PATCH, RULES)),
        ("IngestDedupe", object(&[("by", Text), ("windowSeconds", Count)])),
        (
            "IngestAnswer",
            object(&[("status", Code), ("headers", Texts), ("body", Text), ("delayMs", Millis)]),
        ),
        ("IngestSourceConsumerPortalAccessIn", object(&[("expiry?", Secs(604_800)), ("readOnly?", Bool)])),
        (
            "AppPortalAccessIn",
            object(&[
                ("application", Ref("ApplicationIn")),
                ("featureFlags", List),
                ("readOnly?", Bool),
                ("expiry?", Secs(604_800)),
            ]),
        ),
    ]
}

fn outputs() -> Vec<(&'static str, Value)> {
    let times: &[(&str, Kind)] = &[("createdAt*", Instant), ("updatedAt*", Instant)];
    let app: &[(&str, Kind)] = &[
        ("id*", Text),
        ("uid?", Uid),
        ("name*", Text),
        ("throttleRate?", Rate),
        ("rateLimit?", Rate),
        ("metadata*", Texts),
    ];
    let event_type: &[(&str, Kind)] = &[
        ("name*", TypeName),
        ("description*", Text),
        ("archived", Bool),
        ("deprecated*", Bool),
        ("schemas?", Object),
        ("featureFlag?", Uid),
        ("featureFlags?", List),
        ("groupName?", Uid),
    ];
    let task: &[(&str, Kind)] = &[
        ("id*", Text),
        ("status*", Ref("BackgroundTaskStatus")),
        ("task*", Ref("BackgroundTaskType")),
        ("data", Object),
        ("updatedAt*", Instant),
    ];
    let attempt: &[(&str, Kind)] = &[
        ("id*", Text),
        ("msgId*", Text),
        ("endpointId*", Text),
        ("url*", Url),
        ("response*", Text),
        ("responseStatusCode*", Code),
        ("responseDurationMs*", Millis),
        ("status*", Ref("MessageStatus")),
        ("statusText*", Ref("MessageStatusText")),
        ("triggerType*", Ref("MessageAttemptTriggerType")),
        ("timestamp*", Instant),
        ("errorCode?", Text),
        ("msg", Ref("MessageOut")),
    ];
    vec![
        ("ApplicationOut", with(app, times)),
        ("EventTypeOut", with(event_type, times)),
        ("EndpointOut", object(ENDPOINT_OUT)),
        ("EndpointHeadersOut", object(&[("headers*", Texts), ("sensitive*", List)])),
        ("EndpointSecretOut", object(&[("key*", Text)])),
        (
            "EndpointStats",
            object(&[
                ("success*", Count),
                ("pending*", Count),
                ("sending*", Count),
                ("fail*", Count),
                ("canceled*", Count),
            ]),
        ),
        ("IngestSourceOut", with(SOURCE_OUT, RULES)),
        ("IngestLogOut", object(LOG_OUT)),
        ("RotateTokenOut", object(&[("ingestUrl*", Url)])),
        ("MessageRequestOut", object(&[("method*", Text), ("query*", Text), ("headers*", Object)])),
        ("MessageOut", object(MESSAGE_OUT)),
        ("MessageAttemptOut", object(attempt)),
        ("MessageEndpointOut", with(ENDPOINT_OUT, STANDING)),
        ("EndpointMessageOut", with(MESSAGE_OUT, STANDING)),
        ("RecoverOut", object(task)),
        ("BackgroundTaskOut", object(task)),
        ("AppPortalAccessOut", object(&[("token*", Text), ("url*", Url)])),
        ("EmptyResponse", json!({ "type": "object" })),
    ]
}

fn errors_and_words() -> Vec<(&'static str, Value)> {
    let words = |words: &[&str]| json!({ "type": "string", "enum": words });
    let numbers = |numbers: &[u16]| json!({ "type": "integer", "enum": numbers });
    vec![
        ("HttpErrorOut", object(&[("code*", Text), ("detail*", Text)])),
        ("ValidationErrorItem", object(&[("loc*", List), ("msg*", Text), ("type*", Text)])),
        ("HTTPValidationError", object(&[("detail*", ListOf("ValidationErrorItem"))])),
        ("Ordering", words(&["ascending", "descending"])),
        ("MessageStatus", numbers(&[0, 1, 2, 3])),
        ("MessageStatusText", words(&["success", "pending", "fail", "sending"])),
        ("MessageAttemptTriggerType", numbers(&[0, 1])),
        ("StatusCodeClass", numbers(&[0, 100, 200, 300, 400, 500])),
        ("BackgroundTaskStatus", words(&["running", "finished"])),
        ("BackgroundTaskType", words(&["endpoint.recover"])),
    ]
}
