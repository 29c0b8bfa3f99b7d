//! The table itself. A noun is a row, a verb is a row in it.

use super::{Does, Flag, Goes, Noun, Verb};
use crate::laptop::output::Column;

const APP: &str = "/api/v1/app/{id}";
const ENDPOINT: &str = "/api/v1/app/{app}/endpoint/{id}";
const TYPE: &str = "/api/v1/event-type/{id}";
const MESSAGE: &str = "/api/v1/app/{app}/msg/{id}";
const SOURCE: &str = "/ingest/api/v1/source/{id}";

const APPS: &[Column] = &[("id", "id"), ("uid", "uid"), ("name", "name"), ("created", "createdAt")];
const ENDPOINTS: &[Column] = &[
    ("id", "id"),
    ("uid", "uid"),
    ("url", "url"),
    ("types", "eventTypes"),
    ("disabled", "disabled"),
    ("created", "createdAt"),
];
const TYPES: &[Column] =
    &[("name", "name"), ("description", "description"), ("archived", "archived"), ("created", "createdAt")];
const MESSAGES: &[Column] = &[
    ("id", "id"),
    ("type", "eventType"),
    ("event id", "eventId"),
    ("tags", "tags"),
    ("accepted", "timestamp"),
];
const ATTEMPTS: &[Column] = &[
    ("id", "id"),
    ("message", "msgId"),
    ("endpoint", "endpointId"),
    ("status", "statusText"),
    ("code", "responseStatusCode"),
    ("ms", "responseDurationMs"),
    ("at", "timestamp"),
];
const SOURCES: &[Column] = &[
    ("id", "id"),
    ("uid", "uid"),
    ("name", "name"),
    ("type", "type"),
    ("paused", "paused"),
    ("url", "ingestUrl"),
];
const REFUSALS: &[Column] = &[
    ("id", "id"),
    ("code", "status_code"),
    ("method", "method"),
    ("bytes", "payload_bytes"),
    ("why", "error_text"),
    ("at", "created_at"),
];

/// How an attempt ended, and the number that the API has for it.
pub(crate) const STATUSES: &[(&str, &str)] =
    &[("success", "0"), ("failed", "2"), ("pending", "1"), ("sending", "3")];

const fn flag(name: &'static str, value: &'static str, help: &'static str, goes: Goes) -> Flag {
    Flag { name, value, help, goes, required: false }
}

const fn needed(name: &'static str, value: &'static str, help: &'static str, goes: Goes) -> Flag {
    Flag { name, value, help, goes, required: true }
}

const IDEMPOTENCY: Flag = flag(
    "idempotency-key",
    "KEY",
    "Makes it safe to run the command again: with this key it is done once in 12 hours",
    Goes::Header("idempotency-key"),
);
const TYPE_FILTER: Flag =
    flag("type", "TYPE", "Only of this event type; several with commas", Goes::Query("event_types"));
const SINCE: Flag =
    flag("since", "TIME", "Only since then: 1h, 7d, or an RFC 3339 instant", Goes::QueryTime("after"));
const UNTIL: Flag = flag("until", "TIME", "Only until then", Goes::QueryTime("before"));
const CHANNEL: Flag = flag("channel", "CHANNEL", "Only on this channel", Goes::Query("channel"));
const TAG: Flag = flag("tag", "TAG", "Only with this tag", Goes::Query("tag"));

const fn verb(
    name: &'static str,
    about: &'static str,
    does: Does,
    paths: &'static [&'static str],
    flags: &'static [Flag],
) -> Verb {
    Verb { name, about, does, paths, flags }
}

pub(crate) const NOUNS: &[Noun] = &[
    Noun {
        name: "app",
        about: "Whoever is sent webhooks: a customer, with endpoints and messages of its own",
        verbs: &[
            verb("list", "List apps", Does::List(APPS), &["/api/v1/app"], &[]),
            verb("get", "Show an app", Does::Get, &[APP], &[]),
            verb(
                "create",
                "Make an app: name=Acme uid=acme",
                Does::Create(None),
                &["/api/v1/app"],
                &[
                    flag(
                        "if-absent",
                        "",
                        "If its uid is there already, show that app instead",
                        Goes::QueryFlag("get_if_exists"),
                    ),
                    IDEMPOTENCY,
                ],
            ),
            verb("update", "Change what the items name, and nothing else", Does::Update, &[APP], &[]),
            verb("delete", "Delete an app with its endpoints", Does::Delete("deleted"), &[APP], &[]),
            verb(
                "portal",
                "Print a link to the customer's portal",
                Does::ActAndRead("url"),
                &["/api/v1/auth/app-portal-access/{id}"],
                &[],
            ),
        ],
    },
    Noun {
        name: "endpoint",
        about: "A URL that webhooks are sent to, of an app or of a source",
        verbs: &[
            verb(
                "list",
                "List the endpoints of an app or a source",
                Does::List(ENDPOINTS),
                &["/api/v1/app/{app}/endpoint"],
                &[],
            ),
            verb("get", "Show an endpoint", Does::Get, &[ENDPOINT], &[]),
            verb(
                "create",
                "Make an endpoint: url=https://… uid=main",
                Does::Create(None),
                &["/api/v1/app/{app}/endpoint"],
                &[IDEMPOTENCY],
            ),
            verb(
                "update",
                "Change what the items name, and nothing else: disabled:=true",
                Does::Update,
                &[ENDPOINT],
                &[],
            ),
            verb(
                "delete",
                "Delete an endpoint; what is owed to it ends",
                Does::Delete("deleted"),
                &[ENDPOINT],
                &[],
            ),
            verb(
                "secret",
                "Print the signing secret",
                Does::Read("key"),
                &["/api/v1/app/{app}/endpoint/{id}/secret"],
                &[],
            ),
            verb(
                "rotate-secret",
                "Make another signing secret and print it; the old one signs on for a day",
                Does::ActAndRead("key"),
                &["/api/v1/app/{app}/endpoint/{id}/secret/rotate"],
                &[IDEMPOTENCY],
            ),
            verb(
                "recover",
                "Send everything again that failed since a time",
                Does::Act,
                &["/api/v1/app/{app}/endpoint/{id}/recover"],
                &[
                    needed(
                        "since",
                        "TIME",
                        "From when: 1h, 7d, or an RFC 3339 instant; at most 14 days ago",
                        Goes::FieldTime("since"),
                    ),
                    flag("until", "TIME", "Until when [default: now]", Goes::FieldTime("until")),
                    IDEMPOTENCY,
                ],
            ),
            verb(
                "test",
                "Send an example of an event type to this endpoint only",
                Does::Act,
                &["/api/v1/app/{app}/endpoint/{id}/send-example"],
                &[
                    needed(
                        "type",
                        "TYPE",
                        "Which event type; its schema's example is sent",
                        Goes::Field("eventType"),
                    ),
                    IDEMPOTENCY,
                ],
            ),
            verb(
                "stats",
                "Count the endpoint's deliveries by how they stand",
                Does::Get,
                &["/api/v1/app/{app}/endpoint/{id}/stats"],
                &[
                    flag(
                        "since",
                        "TIME",
                        "Of messages since then: 1h, 7d, or an RFC 3339 instant [default: 28d]",
                        Goes::QueryTime("since"),
                    ),
                    flag("until", "TIME", "Of messages until then", Goes::QueryTime("until")),
                ],
            ),
            verb(
                "headers",
                "Show the headers that each delivery has besides ours",
                Does::Get,
                &["/api/v1/app/{app}/endpoint/{id}/headers"],
                &[],
            ),
        ],
    },
    Noun {
        name: "event-type",
        about: "The catalogue of what can happen, with schemas",
        verbs: &[
            verb(
                "list",
                "List event types",
                Does::List(TYPES),
                &["/api/v1/event-type"],
                &[flag("archived", "", "Also those that were archived", Goes::QueryFlag("include_archived"))],
            ),
            verb("get", "Show an event type with its schemas", Does::Get, &[TYPE], &[]),
            verb(
                "create",
                "Make an event type: name=invoice.paid description=…",
                Does::Create(None),
                &["/api/v1/event-type"],
                &[IDEMPOTENCY],
            ),
            verb("update", "Change what the items name, and nothing else", Does::Update, &[TYPE], &[]),
            verb(
                "delete",
                "Archive an event type",
                Does::Delete("archived"),
                &[TYPE],
                &[flag("expunge", "", "Remove it for good instead", Goes::QueryFlag("expunge"))],
            ),
        ],
    },
    Noun {
        name: "message",
        about: "What was accepted to be sent, or came in by a source",
        verbs: &[
            verb(
                "list",
                "List the messages of an app or a source, newest first",
                Does::List(MESSAGES),
                &["/api/v1/app/{app}/msg"],
                &[TYPE_FILTER, SINCE, UNTIL, CHANNEL, TAG],
            ),
            verb("get", "Show a message with its payload", Does::Get, &[MESSAGE], &[]),
            verb(
                "create",
                "Send a message to an app's endpoints; the items are its payload",
                Does::Create(Some("payload")),
                &["/api/v1/app/{app}/msg"],
                &[
                    needed("type", "TYPE", "What happened", Goes::Field("eventType")),
                    flag(
                        "event-id",
                        "ID",
                        "Your own id for it: a second message with it is refused",
                        Goes::Field("eventId"),
                    ),
                    flag(
                        "channel",
                        "CHANNEL",
                        "A channel to send it on; may be given again",
                        Goes::Fields("channels"),
                    ),
                    flag("tag", "TAG", "A tag to find it by; may be given again", Goes::Fields("tags")),
                    flag("deliver-at", "TIME", "Send it then and not now", Goes::FieldTime("deliverAt")),
                    IDEMPOTENCY,
                ],
            ),
            verb(
                "delete",
                "Remove a message's payload for good; the message stays",
                Does::Delete("expunged"),
                &["/api/v1/app/{app}/msg/{id}/content"],
                &[],
            ),
        ],
    },
    Noun {
        name: "attempt",
        about: "One try to deliver a message to an endpoint",
        verbs: &[
            verb(
                "list",
                "List the attempts of a message or of an endpoint, newest first",
                Does::List(ATTEMPTS),
                &["/api/v1/app/{app}/attempt/msg/{message}", "/api/v1/app/{app}/attempt/endpoint/{endpoint}"],
                &[
                    flag("status", "STATUS", "Only those that ended so", Goes::QueryWord("status", STATUSES)),
                    TYPE_FILTER,
                    SINCE,
                    UNTIL,
                    CHANNEL,
                    TAG,
                ],
            ),
            verb(
                "get",
                "Show an attempt with the receiver's answer",
                Does::Get,
                &["/api/v1/app/{app}/msg/{message}/attempt/{id}"],
                &[],
            ),
            verb(
                "delete",
                "Remove the body of an attempt's answer for good; the attempt stays",
                Does::Delete("expunged"),
                &["/api/v1/app/{app}/msg/{message}/attempt/{id}/content"],
                &[],
            ),
        ],
    },
    Noun {
        name: "source",
        about: "A door that a provider sends webhooks to",
        verbs: &[
            verb("list", "List sources", Does::List(SOURCES), &["/ingest/api/v1/source"], &[]),
            verb("get", "Show a source with its address for the provider", Does::Get, &[SOURCE], &[]),
            verb(
                "create",
                "Make a source: name=Payments uid=pay type=stripe config.secret=whsec_…",
                Does::Create(None),
                &["/ingest/api/v1/source"],
                &[IDEMPOTENCY],
            ),
            verb(
                "update",
                "Change what the items name, and nothing else: paused:=true",
                Does::Update,
                &[SOURCE],
                &[],
            ),
            verb("delete", "Delete a source with its endpoints", Does::Delete("deleted"), &[SOURCE], &[]),
            verb(
                "rotate-token",
                "Move a source to another address and print it; the old one works for a day",
                Does::ActAndRead("ingestUrl"),
                &["/ingest/api/v1/source/{id}/token/rotate"],
                &[IDEMPOTENCY],
            ),
            verb(
                "log",
                "List requests that were refused, and why",
                Does::List(REFUSALS),
                &["/ingest/api/v1/source/{id}/log"],
                &[],
            ),
            verb(
                "endpoints",
                "List where a source's messages go",
                Does::List(ENDPOINTS),
                &["/ingest/api/v1/source/{id}/endpoint"],
                &[],
            ),
            verb(
                "portal",
                "Print a link to the portal of a source",
                Does::ActAndRead("url"),
                &["/ingest/api/v1/source/{id}/dashboard"],
                &[],
            ),
        ],
    },
];
