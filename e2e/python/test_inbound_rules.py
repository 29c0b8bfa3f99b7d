"""What a source's own rules let in, and what it answers."""

import base64
import hashlib
import hmac
import json

import pytest

from conftest import DEADLINE_S, Posthaste
from inbound import Source, ask, call, github, made

SECRET = "it's a secret to everybody"
BODY = b'{"odd":1.50e+01}'


@pytest.mark.parametrize(
    ("by", "same", "other"),
    [
        ("body", (BODY, {}), (BODY + b" ", {})),
        ("header:X-Request", (b"{}", {"x-request": "1"}), (BODY, {"x-request": "2"})),
        ("json:order.id", (b'{"order":{"id":7},"a":1}', {}), (b'{"order":{"id":8},"a":1}', {})),
    ],
    ids=["body", "header", "json"],
)
def test_a_source_knows_requests_again_by_what_it_was_told(posthaste, by, same, other):
    source = Source(posthaste, "generic-webhook", dedupe={"by": by, "windowSeconds": 60})
    assert [source.knock(*request).status for request in (same, same, other)] == [200] * 3
    source.stored(2)


def test_with_deduplication_off_every_request_is_a_message(posthaste):
    source = Source(posthaste, "github", {"secret": SECRET}, dedupe={"by": "off"})
    headers = github(SECRET, BODY)
    assert [source.knock(BODY, headers).status for _ in range(3)] == [200] * 3
    source.stored(3)


def test_a_source_knows_a_request_again_only_for_so_long(posthaste):
    source = Source(posthaste, "generic-webhook", dedupe={"by": "body", "windowSeconds": 1})
    assert source.knock().status == 200
    for _ in range(100 * DEADLINE_S):
        assert source.knock().status == 200
        if len(source.messages()) == 2:
            return
    raise AssertionError(f"after {DEADLINE_S} s it is still known")


def test_a_body_over_the_limit_is_too_large_and_one_at_the_limit_is_not(posthaste):
    source = Source(posthaste, "generic-webhook", bodyBytesMax=1000)
    assert source.knock(b"a" * 1000).status == 200
    answer = source.knock(b"a" * 1001)
    assert answer.status == 413 and "1000" in answer.json()["detail"], answer
    chunk = b"3e8\r\n" + b"a" * 1000 + b"\r\n"
    assert source.knock(chunk * 2 + b"0\r\n\r\n", {"Transfer-Encoding": "chunked"}).status == 413
    source.stored(1)


def test_more_than_the_rate_is_told_when_to_come_again(posthaste):
    source = Source(posthaste, "generic-webhook", rateLimit=1)
    answers = [source.knock(f'{{"n":{n}}}'.encode()) for n in range(20)]
    refused = [answer for answer in answers if answer.status == 429]
    assert answers[0].status == 200 and refused, answers
    assert {answer.status for answer in answers} == {200, 429}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    source.stored(20 - len(refused))


def test_only_the_allowed_networks_may_knock_and_nobody_can_claim_an_address(posthaste):
    source = Source(posthaste, "generic-webhook", allowedNetworks=["192.0.2.0/24", "2001:db8::/32"])
    claims = ({}, {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "[::1]:80, x"}, {"Forwarded": "for=192.0.2.1"},
              {"X-Real-IP": "192.0.2.1"})
    for headers in claims:
        answer = source.knock(b"{}", headers)
        assert answer.status == 403 and "127.0.0.1" in answer.json()["detail"], (headers, answer)
    source.change(allowedNetworks=["127.0.0.0/8"])
    assert source.knock(b"{}").status == 200
    source.stored(1)


def test_a_proxy_that_is_trusted_says_who_knocks_and_the_public_url_is_what_providers_sign(tmp_path):
    settings = {"POSTHASTE_TRUSTED_PROXIES": "127.0.0.0/8", "POSTHASTE_PUBLIC_URL": "https://hooks.example.com/base/"}
    server = Posthaste(tmp_path / "behind", **settings)
    try:
        source = Source(server, "generic-webhook", allowedNetworks=["192.0.2.0/24"])
        assert source.ingest_url.startswith("https://hooks.example.com/base/in/")
        door = source.ingest_url.rsplit("/", 1)[1]
        for seen, status in (("192.0.2.1", 200), ("192.0.2.1, 203.0.113.9", 403), ("203.0.113.9, 192.0.2.1", 200)):
            answer = ask(f"{server.url}/in/{door}", "POST", {"X-Forwarded-For": seen}, b"{}")
            assert answer.status == status, (seen, answer)
        source = Source(server, "square", {"secret": SECRET})
        door = source.ingest_url.rsplit("/", 1)[1]
        tag = hmac.new(SECRET.encode(), source.ingest_url.encode() + BODY, hashlib.sha256).digest()
        headers = {"X-Square-HmacSha256-Signature": base64.b64encode(tag).decode()}
        assert ask(f"{server.url}/in/{door}", "POST", headers, BODY).status == 200
    finally:
        server.stop()


def test_a_method_that_is_not_taken_is_named_with_those_that_are(posthaste):
    source = Source(posthaste, "generic-webhook", methods=["POST", "PUT"])
    for method in ("DELETE", "PATCH", "OPTIONS"):
        answer = source.knock(b"", method=method)
        assert answer.status == 405, (method, answer)
        assert {allowed.strip() for allowed in answer.headers["allow"].split(",")} == {"POST", "PUT"}
    assert source.knock(b"{}", method="PUT").status == 200
    source.stored(1)


def test_a_body_that_does_not_match_its_schema_is_refused_or_marked(posthaste):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    source = Source(posthaste, "generic-webhook", schema=schema, schemaMismatch="reject")
    assert source.knock(b'{"n":1}').status == 200
    for body in (b'{"n":"hush"}', b"{}", b"no json", b""):
        answer = source.knock(body)
        assert answer.status == 422 and b"hush" not in answer.body, answer
    source.stored(1)
    source.change(schemaMismatch="flag")
    assert source.knock(b'{"n":"text"}').status == 200
    source.stored(2)
    assert len(source.all(f"/api/v1/app/{source.app}/msg?tag=schema-mismatch")) == 1


def test_a_source_answers_as_it_was_told(posthaste):
    answer = {"status": 202, "headers": {"X-Ours": "yes"}, "body": "taken", "delayMs": 50}
    source = Source(posthaste, "generic-webhook", answer=answer)
    told = source.knock()
    assert (told.status, told.headers["x-ours"], told.body) == (202, "yes", b"taken")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"config": {"secret": ""}}, "secret"),
        ({"config": {}}, "secret"),
        ({"config": {"secret": 7}}, "secret"),
        ({"config": {"secrets": ["a"] * 11}}, "secrets"),
        ({"config": {"secret": "x", "variant": "no-such"}}, "no-such"),
        ({"config": {"secret": "x", "toleranceSeconds": -1}}, "tolerance"),
        ({"dedupe": {"by": "nonsense"}}, "by"),
        ({"dedupe": {"by": "header:not a header"}}, "by"),
        ({"dedupe": {"windowSeconds": 0}}, "windowSeconds"),
        ({"allowedNetworks": ["10.0.0.0/33"]}, "allowedNetworks"),
        ({"allowedNetworks": "10.0.0.0/8"}, "allowedNetworks"),
        ({"rateLimit": -1}, "rateLimit"),
        ({"bodyBytesMax": 1 << 40}, "bodyBytesMax"),
        ({"methods": []}, "methods"),
        ({"methods": ["CONNECT"]}, "methods"),
        ({"schema": {"type": 7}}, "schema"),
        ({"schema": {"$ref": "http://127.0.0.1/schema.json"}}, "schema"),
        ({"schema": {"type": "object"}, "schemaMismatch": "shrug"}, "schemaMismatch"),
        ({"answer": {"status": 500}}, "status"),
        ({"answer": {"headers": {"X-A": "a\r\nX-B: b"}}}, "headers"),
        ({"answer": {"delayMs": 1 << 40}}, "delayMs"),
        ({"name": "x" * 257}, "name"),
        ({"uid": "src_mine"}, "uid"),
        ({"uid": "with a blank"}, "uid"),
        ({"paused": "yes"}, "paused"),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:50],
)
def test_a_source_that_makes_no_sense_is_refused_by_every_verb_and_the_field_is_named(posthaste, fields, named):
    sources = "/ingest/api/v1/source"
    body = {"name": "A source", "type": "github", "config": {"secret": SECRET}}
    before = made(posthaste, sources, body)
    uid = f"/put-{before['id'][4:]}"
    for method, path, said in (
        ("POST", sources, body | fields),
        ("PUT", f"{sources}/{before['id']}", body | fields),
        ("PUT", sources + uid, body | fields),
        ("PATCH", f"{sources}/{before['id']}", fields),
    ):
        answer = call(posthaste, method, path, said)
        assert answer.status == 422, (method, answer)
        assert named in json.dumps(answer.json()["detail"]), (method, answer)
    assert call(posthaste, "GET", f"{sources}/{before['id']}").json() == before
    assert call(posthaste, "GET", sources + uid).status == 404


def test_rules_are_shown_as_they_were_given(posthaste):
    rules = {
        "dedupe": {"by": "json:a.b", "windowSeconds": 60},
        "allowedNetworks": ["127.0.0.0/8"],
        "rateLimit": 50,
        "bodyBytesMax": 2000,
        "methods": ["POST", "PUT"],
        "schema": {"type": "object"},
        "schemaMismatch": "flag",
        "answer": {
            "status": 201, "headers": {"x-a": "b"}, "body": "ok", "delayMs": 5, "sequence": [500, 201], "failPercent": 10,
        },
        "paused": True,
    }
    source = Source(posthaste, "github", {"secret": SECRET}, **rules)
    shown = call(posthaste, "GET", source.path).json()
    assert {name: shown[name] for name in rules} == rules
    changed = source.change(rateLimit=None, paused=False)
    assert (changed["rateLimit"], changed["paused"]) == (None, False)
    assert changed["dedupe"] == rules["dedupe"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_method_that_is_not_taken_is_answered_as_if_it_were(posthaste, method):
    source = Source(posthaste, "generic-webhook")
    assert source.knock(b"", method=method, query="event=lost").status == 405
    source.stored(0)
