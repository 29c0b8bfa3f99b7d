//! The shapes of requests and answers, as tables of names and kinds.

use posthaste_core::limits::{
    CHANNELS_PER_ENDPOINT_MAX, CHANNELS_PER_MESSAGE_MAX, EXPIRE_ALL_MAX, PORTAL_TOKEN_LIFE_MAX,
    ROTATION_GRACE_MAX,
};
use serde_json::{Map, Value, json};

use super::kinds::Kind::{
    AnswerBody, AnswerHeaders, Any, Bool, Channel, Channels, Colour, Count, DedupeBy, EventId, Fonts,
    HeaderNames, HeaderPatch, Headers, Instant, Label, Labels, List, ListOf, MessageIds, Methods, Networks,
    NewTypeName, Object, OwnUid, Picture, PortalName, Prose, Ref, Schemas, Secret, Statuses, Tags, Target,
    Text, Texts, Title, TypeName, TypeNames, Uid, Url, Whole, Words,
};
use super::kinds::{BODY_BYTES, DELAY_MS, KEEP_SECS, Kind, RATE, WINDOW_SECS, object};

/// A status of HTTP, or none.
const CODE: Kind = Whole(0, 999);
/// How long an old secret signs on, and how long a portal link lives.
const GRACE_SECS: Kind = Whole(0, ROTATION_GRACE_MAX.as_secs());
const EXPIRY_SECS: Kind = Whole(3_600, PORTAL_TOKEN_LIFE_MAX.as_secs());

const EXPIRE_ALL_SECS: Kind = Whole(0, EXPIRE_ALL_MAX.as_secs());

/// How a portal looks.
const PORTAL: &[(&str, Kind)] = &[
    ("name?", PortalName),
    ("logo?", Picture),
    ("primaryColorLight?", Colour),
    ("primaryColorDark?", Colour),
    ("fontFamily?", Fonts),
];

const ENDPOINT_OUT: &[(&str, Kind)] = &[
    ("id*", Text),
    ("uid?", Uid),
    ("url*", Url),
    ("version", Count),
    ("description*", Text),
    ("throttleRate?", RATE),
    ("rateLimit?", RATE),
    ("disabled", Bool),
    ("eventTypes?", TypeNames(1)),
    ("filterTypes?", TypeNames(1)),
    ("channels?", Channels(CHANNELS_PER_ENDPOINT_MAX)),
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
    // Whatever JSON came in, where it came from a provider.
    ("payload*", Any),
    ("channels?", Channels(CHANNELS_PER_MESSAGE_MAX)),
    ("tags?", Tags),
    ("timestamp*", Instant),
    ("deliverAt?", Instant),
    ("payloadEncoding", Text),
    ("request", Ref("MessageRequestOut")),
];

/// The request that a message came in with.
const REQUEST_OUT: &[(&str, Kind)] =
    &[("method*", Text), ("path", Text), ("query*", Text), ("headers*", Object)];

/// What may come in by a source: ours, beyond Svix's.
const RULES: &[(&str, Kind)] = &[
    ("dedupe?", Ref("IngestDedupe")),
    ("allowedNetworks?", Networks),
    ("rateLimit?", RATE),
    ("bodyBytesMax", BODY_BYTES),
    ("methods", Methods),
    ("schema?", Object),
    ("schemaMismatch?", Words(&["reject", "flag"])),
    ("answer?", Ref("IngestAnswer")),
    ("keepSeconds?", KEEP_SECS),
    ("paused", Bool),
];

const SOURCE_IN: &[(&str, Kind)] =
    &[("name*", Title), ("type*", Text), ("uid?", OwnUid("src_")), ("metadata", Texts), ("config?", Object)];

const SOURCE_PATCH: &[(&str, Kind)] =
    &[("name", Title), ("type", Text), ("uid?", OwnUid("src_")), ("metadata", Texts), ("config?", Object)];

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
    ("bin*", Bool),
    ("provider?", Object),
];

/// Which messages a replay is about.
const WHICH_MESSAGES: &[(&str, Kind)] =
    &[("until?", Instant), ("eventTypes?", TypeNames(1)), ("channel?", Channel), ("tag?", Channel)];

/// What else our own route takes.
const APP_REPLAY: &[(&str, Kind)] = &[
    ("since?", Instant),
    ("endpoint?", Uid),
    ("status?", Words(&["failed", "delivered", "any"])),
    ("messages?", MessageIds),
    ("ratePerSecond?", RATE),
    ("dryRun", Bool),
];

const TASK_OUT: &[(&str, Kind)] = &[
    ("id*", Text),
    ("status*", Ref("BackgroundTaskStatus")),
    ("task*", Ref("BackgroundTaskType")),
    ("data", Object),
    ("updatedAt*", Instant),
];

/// A job; or, of a dry run, how many there are, and whether there are more than that.
const APP_REPLAY_OUT: &[(&str, Kind)] = &[
    ("count", Count),
    ("more", Bool),
    ("id", Text),
    ("status", Ref("BackgroundTaskStatus")),
    ("task", Ref("BackgroundTaskType")),
    ("data", Object),
    ("updatedAt", Instant),
];

/// In snake case, as Svix has it.
const LOG_OUT: &[(&str, Kind)] = &[
    ("id*", Text),
    ("source_id*", Text),
    ("status_code*", CODE),
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

/// Ours alone: Svix finds nothing by its id.
const FOUND_OUT: &[(&str, Kind)] = &[
    ("id*", Text),
    ("kind*", Ref("FoundKind")),
    ("appId*", Text),
    ("sourceId?", Text),
    ("msgId?", Text),
    ("endpointId?", Text),
];

/// A request as it came.
const CAME_OUT: &[(&str, Kind)] = &[
    ("id*", Text),
    ("timestamp*", Instant),
    ("eventType*", TypeName),
    ("tags*", Tags),
    ("method*", Text),
    ("path*", Text),
    ("query*", Text),
    ("headers*", ListOf("IngestRequestHeader")),
    // In base64.
    ("body*", Text),
    ("bodyBytes*", Count),
];

/// One of `value`, `base64` and `hidden`.
const HEADER_OUT: &[(&str, Kind)] = &[("name*", Text), ("value", Text), ("base64", Text), ("hidden", Bool)];

const ENDPOINT_IN: &[(&str, Kind)] = &[
    ("uid?", OwnUid("ep_")),
    ("description", Prose),
    ("version", Whole(1, 65_535)),
    ("throttleRate?", RATE),
    ("rateLimit?", RATE),
    ("disabled", Bool),
    ("eventTypes?", TypeNames(1)),
    // The older name, whose empty list means all.
    ("filterTypes?", TypeNames(0)),
    ("channels?", Channels(CHANNELS_PER_ENDPOINT_MAX)),
    ("metadata", Texts),
    ("headers?", Headers),
];

fn with(base: &[(&'static str, Kind)], more: &[(&'static str, Kind)]) -> Value {
    object(&[base, more].concat())
}

/// All shapes, by name.
pub(super) fn all() -> Value {
    let mut all = Map::new();
    for (name, shape) in
        inputs().into_iter().chain(outputs()).chain(ingest_outputs()).chain(errors_and_words())
    {
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
        "IngestRequestOut",
        "BackgroundTaskOut",
    ] {
        let page = [("data*", ListOf(name)), ("iterator?", Text), ("prevIterator?", Text), ("done*", Bool)];
        all.insert(format!("ListResponse_{name}_"), object(&page));
    }
    Value::Object(all)
}

fn inputs() -> Vec<(&'static str, Value)> {
    let app: &[(&str, Kind)] =
        &[("uid?", OwnUid("app_")), ("throttleRate?", RATE), ("rateLimit?", RATE), ("metadata", Texts)];
    let event_type: &[(&str, Kind)] = &[
        ("archived", Bool),
        ("deprecated", Bool),
        ("schemas?", Schemas),
        ("featureFlag?", Label),
        ("featureFlags?", Labels),
        ("groupName?", Label),
    ];
    let message: &[(&str, Kind)] = &[
        ("eventType*", TypeName),
        ("payload*", Object),
        ("eventId?", EventId),
        ("channels?", Channels(CHANNELS_PER_MESSAGE_MAX)),
        ("tags?", Tags),
        ("deliverAt?", Instant),
        ("payloadRetentionPeriod?", Whole(5, 90)),
        ("payloadRetentionHours?", Whole(1, 2_160)),
        ("application?", Ref("ApplicationIn")),
    ];
    let link: &[(&str, Kind)] = &[("readOnly?", Bool), ("expiry?", EXPIRY_SECS)];
    let answer: &[(&str, Kind)] = &[
        ("status", Whole(200, 299)),
        ("headers", AnswerHeaders),
        ("body", AnswerBody),
        ("delayMs", DELAY_MS),
        ("sequence", Statuses),
        ("failPercent", Whole(0, 100)),
    ];
    vec![
        ("ApplicationIn", with(app, &[("name*", Title)])),
        ("ApplicationPatch", with(app, &[("name", Title)])),
        ("EventTypeIn", with(event_type, &[("name*", NewTypeName), ("description*", Prose)])),
        ("EventTypeUpdate", with(event_type, &[("description*", Prose)])),
        ("EventTypePatch", with(event_type, &[("description", Prose)])),
        ("EndpointIn", with(ENDPOINT_IN, &[("url*", Target), ("secret?", Secret)])),
        ("EndpointUpdate", with(ENDPOINT_IN, &[("url*", Target)])),
        ("EndpointPatch", with(ENDPOINT_IN, &[("url", Target)])),
        ("EndpointHeadersIn", object(&[("headers*", Headers)])),
        ("EndpointHeadersPatchIn", object(&[("headers*", HeaderPatch), ("deleteHeaders?", HeaderNames)])),
        ("EndpointSecretRotateIn", object(&[("key?", Secret), ("gracePeriodSeconds?", GRACE_SECS)])),
        ("EventExampleIn", object(&[("eventType*", TypeName), ("exampleIndex?", Whole(0, 1_000))])),
        ("MessageIn", object(message)),
        ("RecoverIn", object(&[("since*", Instant), ("until?", Instant)])),
        ("ReplayIn", object(&[("since*", Instant), ("until?", Instant)])),
        ("BulkReplayIn", with(WHICH_MESSAGES, &[("since*", Instant), ("status?", Ref("ReplayStatus"))])),
        ("AppReplayIn", closed(with(WHICH_MESSAGES, APP_REPLAY))),
        ("IngestSourceIn", with(SOURCE_IN, RULES)),
        ("IngestSourcePatch", with(SOURCE_PATCH, RULES)),
        ("IngestDedupe", object(&[("by", DedupeBy), ("windowSeconds", WINDOW_SECS)])),
        ("IngestAnswer", object(answer)),
        ("IngestSourceConsumerPortalAccessIn", object(link)),
        ("ApplicationTokenExpireIn", object(&[("expiry?", EXPIRE_ALL_SECS)])),
        ("PortalPatch", closed(with(PORTAL, &[("publicCatalogue", Bool)]))),
        (
            "AppPortalAccessIn",
            with(link, &[("application?", Ref("ApplicationIn")), ("featureFlags?", Labels)]),
        ),
    ]
}

/// Of an operation that refuses what it does not know.
fn closed(mut schema: Value) -> Value {
    schema["additionalProperties"] = json!(false);
    schema
}

fn outputs() -> Vec<(&'static str, Value)> {
    let times: &[(&str, Kind)] = &[("createdAt*", Instant), ("updatedAt*", Instant)];
    let app: &[(&str, Kind)] = &[
        ("id*", Text),
        ("uid?", Uid),
        ("name*", Text),
        ("throttleRate?", RATE),
        ("rateLimit?", RATE),
        ("metadata*", Texts),
    ];
    let event_type: &[(&str, Kind)] = &[
        ("name*", TypeName),
        ("description*", Text),
        ("archived", Bool),
        ("deprecated*", Bool),
        ("schemas?", Schemas),
        ("featureFlag?", Label),
        ("featureFlags?", Labels),
        ("groupName?", Label),
    ];
    let attempt: &[(&str, Kind)] = &[
        ("id*", Text),
        ("msgId*", Text),
        ("endpointId*", Text),
        ("url*", Url),
        ("response*", Text),
        ("responseStatusCode*", CODE),
        ("responseDurationMs*", Count),
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
        ("MessageRequestOut", object(REQUEST_OUT)),
        ("MessageOut", object(MESSAGE_OUT)),
        ("MessageAttemptOut", object(attempt)),
        ("MessageEndpointOut", with(ENDPOINT_OUT, STANDING)),
        ("EndpointMessageOut", with(MESSAGE_OUT, STANDING)),
        ("RecoverOut", object(TASK_OUT)),
        ("ReplayOut", object(TASK_OUT)),
        ("AppReplayOut", with(APP_REPLAY_OUT, &[])),
        ("BackgroundTaskOut", object(TASK_OUT)),
        ("PortalOut", with(PORTAL, &[("logo?", Text), ("publicCatalogue*", Bool), ("catalogueUrl?", Url)])),
        ("AppPortalAccessOut", object(&[("token*", Text), ("url*", Url)])),
        ("EmptyResponse", json!({ "type": "object" })),
    ]
}

fn ingest_outputs() -> Vec<(&'static str, Value)> {
    vec![
        ("IngestSourceOut", with(SOURCE_OUT, RULES)),
        ("IngestLogOut", object(LOG_OUT)),
        ("IngestRequestOut", object(CAME_OUT)),
        ("IngestRequestHeader", object(HEADER_OUT)),
        ("IngestClearOut", object(&[("removed*", Count), ("iterator?", Text), ("done*", Bool)])),
        ("RotateTokenOut", object(&[("ingestUrl*", Url)])),
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
        ("FoundOut", object(FOUND_OUT)),
        ("FoundKind", words(&["app", "endpoint", "source", "message", "attempt", "job", "refusal"])),
        ("BackgroundTaskStatus", words(&["running", "finished", "failed"])),
        ("BackgroundTaskType", words(&["endpoint.recover", "endpoint.replay", "endpoint.bulk-replay"])),
        ("ReplayStatus", numbers(&[0, 2])),
    ]
}
