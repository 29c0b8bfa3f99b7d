//! Every operation of the API: where it is, what it takes, what it answers.

/// One operation.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [&'static str],
    /// The shape of its body; with `?` behind it, there may be none.
    pub(super) body: Option<&'static str>,
    pub(super) statuses: &'static [u16],
    pub(super) answer: Option<&'static str>,
}

impl Operation {
    /// Whether anybody may ask, without a token.
    pub(super) fn is_open(&self) -> bool {
        self.path.starts_with("/api/v1/health")
    }

    /// The group it stands in: the second word of its id, `v1.endpoint.create`.
    pub(super) fn tag(&self) -> &'static str {
        self.id.split('.').nth(1).unwrap_or("api")
    }
}

/// The errors that any operation may answer.
pub(super) const ERRORS: &[u16] = &[400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 431, 503];

const PAGE: &[&str] = &["limit", "iterator", "order"];
const MESSAGES: &[&str] =
    &["limit", "iterator", "channel", "tag", "before", "after", "with_content", "event_types"];
const REQUESTS: &[&str] = &["limit", "iterator", "order", "tag", "before", "after", "event_types"];
const ATTEMPTS: &[&str] = &[
    "limit",
    "iterator",
    "status",
    "status_code_class",
    "channel",
    "tag",
    "endpoint_id",
    "before",
    "after",
    "with_content",
    "event_types",
    "with_msg",
];
/// Which message it is, is known.
const ATTEMPTS_OF_MSG: &[&str] = ATTEMPTS.split_at(ATTEMPTS.len() - 1).0;
const ATTEMPTED: &[&str] =
    &["limit", "iterator", "channel", "tag", "status", "before", "after", "with_content", "event_types"];

/// A row of the table.
const fn row(
    place: (&'static str, &'static str),
    words: (&'static str, &'static str),
    query: &'static [&'static str],
    body: Option<&'static str>,
    answer: (&'static [u16], Option<&'static str>),
) -> Operation {
    let (method, path) = place;
    let (id, summary) = words;
    let (statuses, answer) = answer;
    Operation { method, path, id, summary, query, body, statuses, answer }
}

const OK: &[u16] = &[200];
const MADE: &[u16] = &[201];
const OK_OR_MADE: &[u16] = &[200, 201];
const TAKEN: &[u16] = &[202];
const OK_OR_TAKEN: &[u16] = &[200, 202];
const EMPTY: (&[u16], Option<&str>) = (&[204], None);

const APPS: &str = "/api/v1/app";
const APP: &str = "/api/v1/app/{app_id}";
const TYPES: &str = "/api/v1/event-type";
const TYPE: &str = "/api/v1/event-type/{event_type_name}";
const ENDPOINTS: &str = "/api/v1/app/{app_id}/endpoint";
const ENDPOINT: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}";
const HEADERS: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers";
const MSGS: &str = "/api/v1/app/{app_id}/msg";
const MSG: &str = "/api/v1/app/{app_id}/msg/{msg_id}";
const OPS: &str = "/api/v1/operational-webhook/endpoint";
const OP: &str = "/api/v1/operational-webhook/endpoint/{endpoint_id}";
const OP_HEADERS: &str = "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers";
const SOURCES: &str = "/ingest/api/v1/source";
const SOURCE: &str = "/ingest/api/v1/source/{source_id}";
const SOURCE_REQUESTS: &str = "/ingest/api/v1/source/{source_id}/request";
const SOURCE_ENDPOINTS: &str = "/ingest/api/v1/source/{source_id}/endpoint";
const SOURCE_ENDPOINT: &str = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}";
const SOURCE_HEADERS: &str = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers";
const SOURCE_SECRET: &str = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret";
const SOURCE_ROTATE: &str = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret/rotate";

#[rustfmt::skip]
pub(super) const OPERATIONS: &[Operation] = &[
    row(("GET", APPS), ("v1.application.list", "List apps"), PAGE, None, (OK, Some("ListResponse_ApplicationOut_"))),
    row(("POST", APPS), ("v1.application.create", "Make an app"), &["get_if_exists"], Some("ApplicationIn"), (OK_OR_MADE, Some("ApplicationOut"))),
    row(("GET", APP), ("v1.application.get", "Read an app"), &[], None, (OK, Some("ApplicationOut"))),
    row(("PUT", APP), ("v1.application.update", "Replace or make an app"), &[], Some("ApplicationIn"), (OK_OR_MADE, Some("ApplicationOut"))),
    row(("PATCH", APP), ("v1.application.patch", "Change an app"), &[], Some("ApplicationPatch"), (OK, Some("ApplicationOut"))),
    row(("DELETE", APP), ("v1.application.delete", "Delete an app"), &[], None, EMPTY),
    row(("GET", TYPES), ("v1.event-type.list", "List event types"), &["limit", "iterator", "order", "include_archived", "with_content"], None, (OK, Some("ListResponse_EventTypeOut_"))),
    row(("POST", TYPES), ("v1.event-type.create", "Make an event type"), &[], Some("EventTypeIn"), (MADE, Some("EventTypeOut"))),
    row(("GET", TYPE), ("v1.event-type.get", "Read an event type"), &[], None, (OK, Some("EventTypeOut"))),
    row(("PUT", TYPE), ("v1.event-type.update", "Replace or make an event type"), &[], Some("EventTypeUpdate"), (OK_OR_MADE, Some("EventTypeOut"))),
    row(("PATCH", TYPE), ("v1.event-type.patch", "Change an event type"), &[], Some("EventTypePatch"), (OK, Some("EventTypeOut"))),
    row(("DELETE", TYPE), ("v1.event-type.delete", "Archive or remove an event type"), &["expunge"], None, EMPTY),
    row(("GET", ENDPOINTS), ("v1.endpoint.list", "List endpoints"), PAGE, None, (OK, Some("ListResponse_EndpointOut_"))),
    row(("POST", ENDPOINTS), ("v1.endpoint.create", "Make an endpoint"), &[], Some("EndpointIn"), (MADE, Some("EndpointOut"))),
    row(("GET", ENDPOINT), ("v1.endpoint.get", "Read an endpoint"), &[], None, (OK, Some("EndpointOut"))),
    row(("PUT", ENDPOINT), ("v1.endpoint.update", "Replace or make an endpoint"), &[], Some("EndpointUpdate"), (OK_OR_MADE, Some("EndpointOut"))),
    row(("PATCH", ENDPOINT), ("v1.endpoint.patch", "Change an endpoint"), &[], Some("EndpointPatch"), (OK, Some("EndpointOut"))),
    row(("DELETE", ENDPOINT), ("v1.endpoint.delete", "Delete an endpoint"), &[], None, EMPTY),
    row(("GET", HEADERS), ("v1.endpoint.get-headers", "Read custom headers"), &[], None, (OK, Some("EndpointHeadersOut"))),
    row(("PUT", HEADERS), ("v1.endpoint.update-headers", "Replace custom headers"), &[], Some("EndpointHeadersIn"), EMPTY),
    row(("PATCH", HEADERS), ("v1.endpoint.patch-headers", "Change custom headers"), &[], Some("EndpointHeadersPatchIn"), EMPTY),
    row(("GET", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret"), ("v1.endpoint.get-secret", "Read the signing secret"), &[], None, (OK, Some("EndpointSecretOut"))),
    row(("POST", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate"), ("v1.endpoint.rotate-secret", "Rotate the signing secret"), &[], Some("EndpointSecretRotateIn?"), (OK, Some("EndpointSecretOut"))),
    row(("GET", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats"), ("v1.endpoint.get-stats", "Count deliveries by state"), &["since", "until"], None, (OK, Some("EndpointStats"))),
    row(("POST", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example"), ("v1.endpoint.send-example", "Send an example to this endpoint only"), &[], Some("EventExampleIn"), (TAKEN, Some("MessageOut"))),
    row(("POST", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover"), ("v1.endpoint.recover", "Send all that failed again"), &[], Some("RecoverIn"), (TAKEN, Some("RecoverOut"))),
    row(("POST", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay"), ("v1.endpoint.bulk-replay", "Send what was delivered or failed again"), &[], Some("BulkReplayIn"), (TAKEN, Some("ReplayOut"))),
    row(("POST", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing"), ("v1.endpoint.replay-missing", "Send what was never sent to this endpoint"), &[], Some("ReplayIn"), (TAKEN, Some("ReplayOut"))),
    row(("POST", "/api/posthaste/v1/app/{app_id}/replay"), ("posthaste.replay.app", "Count or send again what matches, of an app"), &[], Some("AppReplayIn"), (OK_OR_TAKEN, Some("AppReplayOut"))),
    row(("POST", "/api/posthaste/v1/source/{source_id}/replay"), ("posthaste.replay.source", "Count or send again what matches, of a source"), &[], Some("AppReplayIn"), (OK_OR_TAKEN, Some("AppReplayOut"))),
    row(("POST", "/api/posthaste/v1/background-task/{task_id}/cancel"), ("posthaste.background-task.cancel", "Stop a job"), &[], None, (OK, Some("BackgroundTaskOut"))),
    row(("GET", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg"), ("v1.message-attempt.list-attempted-messages", "List what an endpoint was sent"), ATTEMPTED, None, (OK, Some("ListResponse_EndpointMessageOut_"))),
    row(("GET", MSGS), ("v1.message.list", "List messages"), MESSAGES, None, (OK, Some("ListResponse_MessageOut_"))),
    row(("POST", MSGS), ("v1.message.create", "Send a message"), &["with_content"], Some("MessageIn"), (TAKEN, Some("MessageOut"))),
    row(("GET", MSG), ("v1.message.get", "Read a message"), &["with_content"], None, (OK, Some("MessageOut"))),
    row(("DELETE", "/api/v1/app/{app_id}/msg/{msg_id}/content"), ("v1.message.expunge-content", "Remove a payload for good"), &[], None, EMPTY),
    row(("GET", "/api/v1/app/{app_id}/msg/{msg_id}/endpoint"), ("v1.message-attempt.list-attempted-destinations", "List where a message went"), PAGE, None, (OK, Some("ListResponse_MessageEndpointOut_"))),
    row(("POST", "/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend"), ("v1.message-attempt.resend", "Send a message again"), &[], None, (TAKEN, Some("EmptyResponse"))),
    row(("GET", "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}"), ("v1.message-attempt.list-by-endpoint", "List an endpoint's attempts"), ATTEMPTS, None, (OK, Some("ListResponse_MessageAttemptOut_"))),
    row(("GET", "/api/v1/app/{app_id}/attempt/msg/{msg_id}"), ("v1.message-attempt.list-by-msg", "List a message's attempts"), ATTEMPTS_OF_MSG, None, (OK, Some("ListResponse_MessageAttemptOut_"))),
    row(("GET", "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}"), ("v1.message-attempt.get", "Read an attempt"), &[], None, (OK, Some("MessageAttemptOut"))),
    row(("DELETE", "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content"), ("v1.message-attempt.expunge-content", "Remove an answer's body for good"), &[], None, EMPTY),
    row(("POST", "/api/v1/auth/app-portal-access/{app_id}"), ("v1.authentication.app-portal-access", "Make a portal link"), &[], Some("AppPortalAccessIn?"), (OK, Some("AppPortalAccessOut"))),
    row(("POST", "/api/v1/auth/app/{app_id}/expire-all"), ("v1.authentication.expire-all", "End all portal links and sessions of an app"), &[], Some("ApplicationTokenExpireIn?"), EMPTY),
    row(("GET", "/api/posthaste/v1/portal"), ("posthaste.portal.get", "Read how the portal looks"), &[], None, (OK, Some("PortalOut"))),
    row(("PATCH", "/api/posthaste/v1/portal"), ("posthaste.portal.patch", "Change how the portal looks, or publish the catalogue"), &[], Some("PortalPatch"), (OK, Some("PortalOut"))),
    row(("POST", "/api/v1/auth/logout"), ("v1.authentication.logout", "End the token that asks"), &[], None, EMPTY),
    row(("GET", "/api/v1/background-task"), ("v1.background-task.list", "List jobs"), &["limit", "iterator", "order", "status", "task"], None, (OK, Some("ListResponse_BackgroundTaskOut_"))),
    row(("GET", "/api/v1/background-task/{task_id}"), ("v1.background-task.get", "Read a job"), &[], None, (OK, Some("BackgroundTaskOut"))),
    row(("GET", "/api/posthaste/v1/find/{id}"), ("v1.posthaste.find", "Say what an id names, and where that is"), &[], None, (OK, Some("FoundOut"))),
    row(("GET", OPS), ("v1.operational-webhook-endpoint.list", "List operational endpoints"), PAGE, None, (OK, Some("ListResponse_EndpointOut_"))),
    row(("POST", OPS), ("v1.operational-webhook-endpoint.create", "Make an operational endpoint"), &[], Some("EndpointIn"), (MADE, Some("EndpointOut"))),
    row(("GET", OP), ("v1.operational-webhook-endpoint.get", "Read an operational endpoint"), &[], None, (OK, Some("EndpointOut"))),
    row(("PUT", OP), ("v1.operational-webhook-endpoint.update", "Replace or make one"), &[], Some("EndpointUpdate"), (OK_OR_MADE, Some("EndpointOut"))),
    row(("DELETE", OP), ("v1.operational-webhook-endpoint.delete", "Delete one"), &[], None, EMPTY),
    row(("GET", OP_HEADERS), ("v1.operational-webhook-endpoint.get-headers", "Read its custom headers"), &[], None, (OK, Some("EndpointHeadersOut"))),
    row(("PUT", OP_HEADERS), ("v1.operational-webhook-endpoint.update-headers", "Replace its custom headers"), &[], Some("EndpointHeadersIn"), EMPTY),
    row(("GET", "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret"), ("v1.operational-webhook-endpoint.get-secret", "Read its secret"), &[], None, (OK, Some("EndpointSecretOut"))),
    row(("POST", "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret/rotate"), ("v1.operational-webhook-endpoint.rotate-secret", "Rotate its secret"), &[], Some("EndpointSecretRotateIn?"), (OK, Some("EndpointSecretOut"))),
    row(("GET", "/api/v1/health"), ("v1.health.get", "Whether the store answers"), &[], None, EMPTY),
    row(("GET", "/api/v1/health/ping"), ("v1.health.ping", "The same"), &[], None, EMPTY),
    row(("HEAD", "/api/v1/health"), ("v1.health.head", "Whether the store answers, without a body"), &[], None, EMPTY),
    row(("HEAD", "/api/v1/health/ping"), ("v1.health.ping-head", "The same"), &[], None, EMPTY),
    row(("GET", SOURCES), ("v1.ingest.source.list", "List sources"), PAGE, None, (OK, Some("ListResponse_IngestSourceOut_"))),
    row(("POST", SOURCES), ("v1.ingest.source.create", "Make a source"), &[], Some("IngestSourceIn"), (MADE, Some("IngestSourceOut"))),
    row(("GET", SOURCE), ("v1.ingest.source.get", "Read a source"), &[], None, (OK, Some("IngestSourceOut"))),
    row(("PUT", SOURCE), ("v1.ingest.source.upsert", "Replace or make a source"), &[], Some("IngestSourceIn"), (OK_OR_MADE, Some("IngestSourceOut"))),
    row(("PATCH", SOURCE), ("v1.ingest.source.patch", "Change a source"), &[], Some("IngestSourcePatch"), (OK, Some("IngestSourceOut"))),
    row(("DELETE", SOURCE), ("v1.ingest.source.delete", "Delete a source"), &[], None, EMPTY),
    row(("POST", "/ingest/api/v1/source/{source_id}/token/rotate"), ("v1.ingest.source.rotate-token", "Move a source to another address"), &[], None, (OK, Some("RotateTokenOut"))),
    row(("GET", "/ingest/api/v1/source/{source_id}/log"), ("v1.ingest.log.list", "List requests that were refused"), PAGE, None, (OK, Some("ListResponse_IngestLogOut_"))),
    row(("GET", SOURCE_REQUESTS), ("v1.ingest.request.list", "List requests as they came"), REQUESTS, None, (OK, Some("ListResponse_IngestRequestOut_"))),
    row(("DELETE", SOURCE_REQUESTS), ("v1.ingest.request.clear", "Remove the content of a page of requests"), REQUESTS, None, (OK, Some("IngestClearOut"))),
    row(("GET", "/ingest/api/v1/source/{source_id}/request/{request_id}"), ("v1.ingest.request.get", "Read a request as it came"), &[], None, (OK, Some("IngestRequestOut"))),
    row(("POST", "/ingest/api/v1/source/{source_id}/dashboard"), ("v1.ingest.authentication.consumer-portal-access", "Make a portal link for a source"), &[], Some("IngestSourceConsumerPortalAccessIn?"), (OK, Some("AppPortalAccessOut"))),
    row(("GET", SOURCE_ENDPOINTS), ("v1.ingest.endpoint.list", "List a source's endpoints"), PAGE, None, (OK, Some("ListResponse_EndpointOut_"))),
    row(("POST", SOURCE_ENDPOINTS), ("v1.ingest.endpoint.create", "Make an endpoint of a source"), &[], Some("EndpointIn"), (MADE, Some("EndpointOut"))),
    row(("GET", SOURCE_ENDPOINT), ("v1.ingest.endpoint.get", "Read an endpoint of a source"), &[], None, (OK, Some("EndpointOut"))),
    row(("PUT", SOURCE_ENDPOINT), ("v1.ingest.endpoint.upsert", "Replace or make an endpoint of a source"), &[], Some("EndpointUpdate"), (OK_OR_MADE, Some("EndpointOut"))),
    row(("DELETE", SOURCE_ENDPOINT), ("v1.ingest.endpoint.delete", "Delete an endpoint of a source"), &[], None, EMPTY),
    row(("GET", SOURCE_HEADERS), ("v1.ingest.endpoint.get-headers", "Read custom headers"), &[], None, (OK, Some("EndpointHeadersOut"))),
    row(("PUT", SOURCE_HEADERS), ("v1.ingest.endpoint.set-headers", "Replace custom headers"), &[], Some("EndpointHeadersIn"), EMPTY),
    row(("GET", SOURCE_SECRET), ("v1.ingest.endpoint.get-secret", "Read the signing secret"), &[], None, (OK, Some("EndpointSecretOut"))),
    row(("POST", SOURCE_ROTATE), ("v1.ingest.endpoint.rotate-secret", "Rotate the signing secret"), &[], Some("EndpointSecretRotateIn?"), (OK, Some("EndpointSecretOut"))),
];
