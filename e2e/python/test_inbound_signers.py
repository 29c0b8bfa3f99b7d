"""Requests signed by providers' own libraries: we believe them, and so do their verifiers of what we send on."""

import base64
import datetime
import json
import time
import typing
import urllib.parse

import pytest
import slack_sdk.signature
import standardwebhooks
import stripe
import svix
from twilio.request_validator import HMAC_SHA256, RequestValidator

from inbound import Source

STRIPE_SECRET = "whsec_5nKzmQ1pZ8rT"
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TWILIO_TOKEN = "12345abcdef67890"
STANDARD_SECRET = "whsec_" + base64.b64encode(b"a secret of the sender's own").decode()
JSON = {"Content-Type": "application/json"}


def taken(source, body, headers, event_type, query=""):
    """Sends a request that is believed, one that was changed, and returns what reached the handler."""
    answer = source.knock(body, headers, query=query)
    assert answer.status // 100 == 2, answer
    changed = source.knock(body[:-1] + b" }", headers, query=query)
    assert changed.status == 401, changed
    handled = source.handler.got(1)[0]
    assert handled.body == body
    for name, value in headers.items():
        theirs = f"posthaste-original-{name.lower()}" if name.startswith(("webhook-", "svix-")) else name.lower()
        assert handled.all(theirs) == [value], handled.fields
    source.signed_by_us(handled)
    messages = source.messages()
    assert [message["eventType"] for message in messages] == [event_type]
    return handled


def test_stripes_library_signs_what_we_believe_and_believes_what_we_send_on(posthaste, handler):
    source = Source(posthaste, "stripe", {"secret": STRIPE_SECRET}, handler)
    event = {"id": "evt_1", "object": "event", "type": "charge.succeeded", "data": {"object": {"description": "Zoë"}}}
    body = json.dumps(event, indent=2, ensure_ascii=False)
    signature = stripe.WebhookSignature.generate_signature_header(body, STRIPE_SECRET)
    handled = taken(source, body.encode(), JSON | {"Stripe-Signature": signature}, "charge.succeeded")
    read = stripe.Webhook.construct_event(handled.body, handled.headers["stripe-signature"], STRIPE_SECRET)
    assert (read.id, read.type) == ("evt_1", "charge.succeeded")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(handled.body + b" ", handled.headers["stripe-signature"], STRIPE_SECRET)


def test_every_event_that_stripes_library_knows_has_its_type_and_reads_back(posthaste, handler):
    source = Source(posthaste, "stripe", {"secret": STRIPE_SECRET}, handler)
    types = typing.get_args(typing.get_type_hints(stripe.Event)["type"])
    assert len(types) > 200
    for number, event_type in enumerate(types):
        kind = event_type.rsplit(".", 1)[0]
        event = {"id": f"evt_{number}", "object": "event", "type": event_type, "data": {"object": {"object": kind}}}
        body = json.dumps(event)
        signature = stripe.WebhookSignature.generate_signature_header(body, STRIPE_SECRET)
        assert source.knock(body.encode(), JSON | {"Stripe-Signature": signature}).status == 200, event_type
    read = [
        stripe.Webhook.construct_event(handled.body, handled.headers["stripe-signature"], STRIPE_SECRET).type
        for handled in handler.got(len(types))
    ]
    assert sorted(read) == sorted(types)
    assert sorted(message["eventType"] for message in source.messages()) == sorted(types)


def slack_headers(body, secret=SLACK_SECRET):
    now = str(int(time.time()))
    signature = slack_sdk.signature.SignatureVerifier(secret).generate_signature(timestamp=now, body=body)
    return {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": signature}


def test_slacks_library_signs_what_we_believe_and_believes_what_we_send_on(posthaste, handler):
    source = Source(posthaste, "slack", {"secret": SLACK_SECRET}, handler)
    event = {"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention", "text": "hé <@U1>"}}
    body = json.dumps(event, ensure_ascii=False).encode()
    handled = taken(source, body, JSON | slack_headers(body), "app_mention")
    verifier = slack_sdk.signature.SignatureVerifier(SLACK_SECRET)
    assert verifier.is_valid_request(handled.body, handled.headers)
    assert not verifier.is_valid_request(handled.body + b" ", handled.headers)


def test_a_slash_command_is_a_form_and_arrives_as_one(posthaste, handler):
    source = Source(posthaste, "slack", {"secret": SLACK_SECRET}, handler)
    body = b"token=x&command=%2Fweather&text=94070+%C3%A9&trigger_id=13345224609.738474920.8088930838d88f008e0"
    headers = {"Content-Type": "application/x-www-form-urlencoded"} | slack_headers(body)
    assert source.knock(body, headers).status == 200
    handled = handler.got(1)[0]
    assert handled.headers["content-type"] == "application/x-www-form-urlencoded"
    assert slack_sdk.signature.SignatureVerifier(SLACK_SECRET).is_valid_request(handled.body, handled.headers)


def test_slacks_handshake_is_answered_in_place_and_not_stored(posthaste, handler):
    source = Source(posthaste, "slack", {"secret": SLACK_SECRET}, handler)
    for challenge in ("3eZbrw1aB1", "<script>alert(1)</script>"):
        body = json.dumps({"type": "url_verification", "challenge": challenge, "token": "x"}).encode()
        answer = source.knock(body, JSON | slack_headers(body))
        assert (answer.status, answer.body.decode()) == (200, challenge)
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert source.knock(body, JSON | slack_headers(body, "another secret")).status == 401
    assert source.messages() == [] and handler.requests == []


@pytest.mark.parametrize("query", ["", "account=a%20b&x='1'"], ids=["plain", "with a query"])
def test_twilios_library_believes_what_we_believe_and_what_we_send_on(posthaste, handler, query):
    source = Source(posthaste, "twilio", {"secret": TWILIO_TOKEN}, handler)
    parameters = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "Body": "Zoë & co"}
    url = source.ingest_url + (f"?{query}" if query else "")
    validator = RequestValidator(TWILIO_TOKEN)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "X-Twilio-Signature": validator.compute_signature(url, parameters),
        "I-Twilio-Idempotency-Token": "3f2b",
    }
    body = urllib.parse.urlencode(parameters).encode()
    assert source.knock(body, headers, query=query).status == 200
    assert source.knock(body.replace(b"1234", b"9999"), headers, query=query).status == 401
    assert source.knock(body, headers, query="other=1").status == 401
    handled = handler.got(1)[0]
    assert (handled.body, handled.query) == (body, query)
    source.signed_by_us(handled)
    read = dict(urllib.parse.parse_qsl(handled.body.decode()))
    assert validator.validate(url, read, handled.headers["x-twilio-signature"])


def test_a_json_body_of_twilio_counts_through_its_hash(posthaste, handler):
    source = Source(posthaste, "twilio", {"secret": TWILIO_TOKEN}, handler)
    validator = RequestValidator(TWILIO_TOKEN)
    body = json.dumps({"event": "Zoë"}, ensure_ascii=False)
    query = f"bodySHA256={validator.compute_hash(body)}"
    url = f"{source.ingest_url}?{query}"
    headers = JSON | {"X-Twilio-Signature": validator.compute_signature(url, {})}
    assert source.knock(body.encode(), headers, query=query).status == 200
    assert source.knock(body.encode() + b" ", headers, query=query).status == 401
    handled = handler.got(1)[0]
    assert validator.validate(url, handled.body.decode(), handled.headers["x-twilio-signature"])


def test_a_shared_key_of_twilio_signs_with_another_hash(posthaste, handler):
    source = Source(posthaste, "twilio", {"secret": TWILIO_TOKEN}, handler)
    parameters = {"CallSid": "CA1234567890ABCDE"}
    signature = RequestValidator(TWILIO_TOKEN).compute_signature(source.ingest_url, parameters, HMAC_SHA256)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": signature,
        "X-Twilio-Webhooks-Signature-Settings": f"key=webhooks_sharedkey_1,algorithm={HMAC_SHA256}",
    }
    assert source.knock(urllib.parse.urlencode(parameters).encode(), headers).status == 200


@pytest.mark.parametrize(
    ("kind", "names", "library"),
    [
        ("standard-webhooks", "webhook", standardwebhooks.Webhook),
        ("svix", "svix", svix.Webhook),
        ("svix", "webhook", svix.Webhook),
        ("resend", "webhook", svix.Webhook),
        ("resend", "svix", svix.Webhook),
        ("clerk", "svix", svix.Webhook),
        ("open-ai", "webhook", standardwebhooks.Webhook),
    ],
)
def test_standard_webhooks_libraries_sign_what_we_believe_and_believe_what_we_send_on(
    posthaste, handler, kind, names, library
):
    source = Source(posthaste, kind, {"secret": STANDARD_SECRET}, handler)
    body = json.dumps({"type": "user.created", "data": {"name": "Zoë"}}, ensure_ascii=False)
    now = datetime.datetime.now(datetime.timezone.utc)
    signer = library(STANDARD_SECRET)
    headers = JSON | {
        f"{names}-id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
        f"{names}-timestamp": str(int(now.timestamp())),
        f"{names}-signature": signer.sign("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", now, body),
    }
    handled = taken(source, body.encode(), headers, "user.created")
    theirs = {name: handled.headers[f"posthaste-original-{name}"] for name in headers if name.startswith(names)}
    assert signer.verify(handled.body, theirs)["data"] == {"name": "Zoë"}
