"""What schemathesis is told of us beyond our OpenAPI document: nothing is sent to strangers, and what no document says."""

import datetime
import itertools
import os
import re

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

RECEIVER = os.environ["SCHEMA_RECEIVER"]
# An event type that there is.
KNOWN_TYPE = os.environ["SCHEMA_EVENT_TYPE"]
COUNTER = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Whatever may be called is our own receiver: a test sends nothing to addresses that it made up."""
    positive = case.meta and case.meta.generation.mode == schemathesis.GenerationMode.POSITIVE
    if positive and case.headers and "idempotency-key" in case.headers:
        # The same key again would be told of what was made, and perhaps deleted, the first time.
        case.headers["idempotency-key"] = f"{case.headers['idempotency-key'][:240]}-{next(COUNTER)}"
    if case.method == "DELETE" and case.operation.path.startswith("/api/v1/event-type/"):
        # Without it an event type is archived, and still there to be read: what is deleted must be gone.
        case.query = {**(case.query or {}), "expunge": "true"}
    if not isinstance(case.body, dict):
        return
    if re.match("https?://", str(case.body.get("url")), re.IGNORECASE):
        case.body["url"] = RECEIVER
    if positive:
        lead_on(case.operation.path, case.body)


def lead_on(path, body):
    """Puts something that there is where a made-up value would always be refused, so that more is reached behind it."""
    if path.startswith("/ingest/api/v1/source") and "type" in body:
        body["type"] = "generic-webhook"
        body.pop("config", None)
    if path.endswith("/send-example"):
        body["eventType"] = KNOWN_TYPE
    if path.endswith("/recover"):
        body["since"] = datetime.datetime.now(datetime.timezone.utc).isoformat()
        body.pop("until", None)


# Refusals of what the document allows: the fields, the words, and why no document can say it.
REASONS = [
    ("iterator", "must be the iterator of a page of this list", "an iterator is what a page gave, not what fits a pattern"),
    ("before", "must not lie before after", "two parameters together"),
    ("since", "must lie before until, and at most 28 days", "a range that moves with the clock"),
    ("since", "must lie within the last 14 days", "a range that moves with the clock"),
    ("since", "must not lie in the future", "a range that moves with the clock"),
    ("until", "must not lie before since", "two fields together"),
    ("deliverAt", "must lie within the next 7 days", "a range that moves with the clock"),
    ("eventType", "names no event type of the catalogue", "what there is at the time"),
    ("secret", "it is the same byte over and over", "a key of no chance is no key"),
    ("key", "it is the same byte over and over", "a key of no chance is no key"),
    ("secret", "does not belong to its seed", "two halves of one key"),
    ("key", "does not belong to its seed", "two halves of one key"),
    ("headers", "which Posthaste sets itself", "names in any case, which a pattern could only spell out"),
    ("headers", "must not name .* twice", "names that differ in case only"),
    ("headers", "is no header that can be set", "names in any case, which a pattern could only spell out"),
    ("idempotency-key", "was used for another request", "what was asked before"),
    ("type", "is no provider we know", "three hundred names, and those of Svix beside them"),
    ("config", "", "what a provider needs; each is tried in test_ingest.py"),
    ("schema", "", "whether it is a JSON Schema, and one that takes no time"),
    ("schemas", "version .* (has a|is)", "whether it is a JSON Schema"),
    ("allowedNetworks", "is no network like", "a pattern for IPv6 would be a page"),
    ("body", "must be empty: HTTP has no body with the status", "two fields together"),
    ("messages", "is no id of a message", "27 letters may stand for more than 160 bits"),
    ("metadata", "keys and values together", "a sum of lengths"),
]


def is_explained(item):
    field = item["loc"][-1]
    return any(field == name and re.search(words, item["msg"]) for name, words, _ in REASONS)


@schemathesis.check
def described_data_is_taken(ctx, response, case):
    """positive_data_acceptance, but for the reasons above, all of which must name their field."""
    if response.status_code == 422:
        detail = response.json()["detail"]
        if detail and all(is_explained(item) for item in detail):
            return None
    return positive_data_acceptance(ctx, response, case)
