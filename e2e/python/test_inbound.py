"""The door of a source, as a provider meets it, and what the handler behind it gets."""

import concurrent.futures
import threading

import pytest

from conftest import DEADLINE_S, Handler
from inbound import Source, call, github, made, stripe_signature

SECRET = "it's a secret to everybody"
BODY = b'{ "odd":1.50e+01,\t"esc":"\\u00e9\\/", "id": "evt_1", "type": "a.b" }\n'


@pytest.fixture
def source(posthaste, handler):
    return Source(posthaste, "github", {"secret": SECRET}, handler)


def push(source, body=BODY, secret=SECRET, **headers):
    return source.knock(body, github(secret, body) | headers)


def test_a_request_arrives_as_it_was_sent_and_signed_by_us_as_well(source, handler):
    sent = github(SECRET, BODY, event="issues")
    answer = source.knock(BODY, sent)
    assert answer.status == 200, answer
    handled = handler.got(1)[0]
    assert (handled.method, handled.path, handled.query, handled.body) == ("POST", "/hook", "", BODY)
    for name, value in sent.items():
        assert handled.all(name.lower()) == [value]
    source.signed_by_us(handled)
    message = source.stored(1)[0]
    assert message["eventType"] == "issues"
    assert handled.headers["webhook-id"] == message["id"]


def test_bytes_method_query_and_repeated_headers_are_kept_and_the_connections_own_are_not(posthaste, handler):
    source = Source(posthaste, "generic-webhook", handler=handler, methods=["POST", "PUT"])
    body = bytes(range(256)) * 4
    headers = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Encoding", "gzip"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
        ("Cookie", "a=b"),
        ("Authorization", "Basic dTpw"),
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "Basic cHJveHk="),
        ("Accept-Encoding", "gzip"),
    ]
    answer = source.knock(body, headers, "PUT", "a=%7b&b='1'&a=2")
    assert answer.status == 200, answer
    handled = handler.got(1)[0]
    assert (handled.method, handled.path, handled.query) == ("PUT", "/hook", "a=%7b&b='1'&a=2")
    assert handled.body == body
    assert handled.all("content-type") == ["application/octet-stream"]
    assert handled.all("content-encoding") == ["gzip"]
    assert handled.all("x-twice") == ["1", "2"]
    assert handled.all("cookie") == ["a=b"]
    assert handled.all("authorization") == ["Basic dTpw"]
    for name in ("x-hop", "keep-alive", "te", "proxy-authorization", "accept-encoding", "transfer-encoding"):
        assert handled.all(name) == [], handled.fields
    assert handled.all("host") == [source.handler.url.split("/")[2]]
    assert handled.all("content-length") == [str(len(body))]


def test_header_values_that_are_no_text_arrive_byte_for_byte(posthaste, handler):
    source = Source(posthaste, "generic-webhook", handler=handler)
    assert source.knock(b"{}", {"X-Bytes": b"a\xe9\xff\xfe z", "X-Empty": ""}).status == 200
    handled = handler.got(1)[0]
    assert handled.headers["x-bytes"].encode("latin-1") == b"a\xe9\xff\xfe z"
    assert handled.all("x-empty") == [""]


def test_a_provider_that_only_asks_with_get_is_handed_on_as_it_asked(posthaste, handler):
    source = Source(posthaste, "generic-webhook", handler=handler, methods=["GET"])
    assert source.knock(b"", method="GET", query="event=a&id=7").status == 200
    handled = handler.got(1)[0]
    assert (handled.method, handled.query, handled.body) == ("GET", "event=a&id=7", b"")


def test_a_body_of_five_megabytes_arrives_whole_where_it_may(posthaste, handler):
    source = Source(posthaste, "github", {"secret": SECRET}, handler, bodyBytesMax=20 << 20)
    body = bytes(range(256)) * (20 << 10)
    assert push(source, body).status == 200
    handled = handler.got(1)[0]
    assert handled.body == body


def test_a_chunked_body_arrives_whole(posthaste, handler):
    source = Source(posthaste, "generic-webhook", handler=handler)
    chunks = b"5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\n\r\n"
    assert source.knock(chunks, {"Transfer-Encoding": "chunked", "Content-Type": "text/plain"}).status == 200
    handled = handler.got(1)[0]
    assert handled.body == b"hello, world"
    assert handled.all("transfer-encoding") == []


def test_a_providers_standard_webhooks_headers_are_ours_at_the_handler_and_theirs_beside_them(posthaste, handler):
    source = Source(posthaste, "generic-webhook", handler=handler)
    theirs = [("Webhook-Id", "msg_theirs"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,AAAA"),
              ("svix-id", "msg_svix"), ("posthaste-original-webhook-id", "msg_forged")]
    assert source.knock(b"{}", theirs).status == 200
    handled = handler.got(1)[0]
    source.signed_by_us(handled)
    assert handled.all("posthaste-original-webhook-id") == ["msg_theirs"]
    assert handled.all("posthaste-original-webhook-signature") == ["v1,AAAA"]
    assert handled.all("posthaste-original-svix-id") == ["msg_svix"]


def test_a_wrong_signature_is_refused_with_the_reason_and_is_in_the_log(source, handler):
    answer = push(source, secret="another secret")
    assert answer.status == 401
    assert answer.headers["content-type"].startswith("application/json")
    assert "x-hub-signature-256" in answer.json()["detail"].lower()
    assert SECRET.encode() not in answer.body
    row = source.refused(1)[0]
    assert row["status_code"] == 401 and answer.json()["detail"] in row["error_text"]
    assert handler.requests == [] and source.stored(0) == []


@pytest.mark.parametrize(
    ("configured", "body", "headers", "hint"),
    [
        (SECRET + "\n", b"{}", github(SECRET, b"{}"), "the secret"),
        (SECRET, b'{"a": 1}', github(SECRET, b'{"a":1}'), "raw bytes"),
        (SECRET, b"{}\r\n", github(SECRET, b"{}\n"), "raw bytes"),
        (SECRET, b"{}", {"Stripe-Signature": stripe_signature(SECRET, b"{}")}, "Stripe"),
    ],
    ids=["a secret pasted with a line feed", "JSON written anew", "other line ends", "another provider"],
)
def test_a_usual_mistake_is_named_to_whoever_made_it(posthaste, configured, body, headers, hint):
    source = Source(posthaste, "github", {"secret": configured})
    answer = source.knock(body, headers)
    assert answer.status == 401
    assert hint in " ".join(answer.json()["hints"]), answer
    assert SECRET.encode() not in answer.body
    assert hint in source.refused(1)[0]["error_text"]


def test_a_changed_body_is_refused(source):
    answer = source.knock(BODY + b" ", github(SECRET, BODY))
    assert answer.status == 401
    source.stored(0)


def test_unknown_deleted_and_malformed_doors_answer_alike_and_say_nothing(posthaste, source):
    call(posthaste, "DELETE", source.path)
    url = source.ingest_url
    answers = [push(source)]
    for letters in ("0" * 32, "short", "x" * 33, "%2e%2e", "src_123"):
        source.ingest_url = f"{url.rsplit('/', 1)[0]}/{letters}"
        answers.append(push(source))
    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
    assert "hint" not in answers[0].body.decode()


def test_what_comes_while_a_source_is_paused_is_kept_and_delivered_when_it_goes_on(source, handler):
    source.change(paused=True)
    assert [push(source).status for _ in range(3)] == [200] * 3
    source.stored(3)
    assert handler.requests == []
    source.change(paused=False)
    assert {handled.body for handled in handler.got(3)} == {BODY}


def test_a_repeated_delivery_gets_the_same_answer_and_is_one_message(source, handler):
    headers = github(SECRET, BODY)
    answers = [source.knock(BODY, headers) for _ in range(3)]
    assert [(answer.status, answer.body) for answer in answers] == [(200, answers[0].body)] * 3
    message = source.stored(1)[0]
    assert [answer.headers["posthaste-message"] for answer in answers] == [message["id"]] * 3
    push(source)
    assert len(handler.got(2)) == 2 and source.stored(2)


def test_fifty_repetitions_at_once_are_one_message(source):
    headers = github(SECRET, BODY)
    with concurrent.futures.ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda _: source.knock(BODY, headers).status, range(50)))
    assert answers == [200] * 50
    source.stored(1)


def test_an_unsigned_request_does_not_take_the_id_of_one_to_come(source):
    headers = github(SECRET, BODY)
    assert source.knock(BODY, headers | {"X-Hub-Signature-256": "sha256=" + "0" * 64}).status == 401
    assert source.knock(BODY, headers).status == 200
    source.stored(1)


def test_the_same_id_at_two_sources_is_two_messages(posthaste, source):
    other = Source(posthaste, "github", {"secret": SECRET})
    headers = github(SECRET, BODY)
    assert [s.knock(BODY, headers).status for s in (source, other)] == [200, 200]
    source.stored(1)
    other.stored(1)


def test_the_event_type_that_the_provider_says_reaches_only_those_who_want_it(posthaste, source, handler):
    wanting = Handler()
    try:
        body = {"url": wanting.url, "filterTypes": ["issues"]}
        made(posthaste, f"/api/v1/app/{source.app}/endpoint", body)
        for event in ("push", "issues", "push"):
            push(source, **{"X-GitHub-Event": event})
        assert len(handler.got(3)) == 3
        assert [handled.headers["x-github-event"] for handled in wanting.got(1)] == ["issues"]
        assert len(wanting.requests) == 1
    finally:
        wanting.close()


def test_the_event_type_is_also_read_from_the_body(posthaste):
    source = Source(posthaste, "stripe", {"secret": "whsec_stripe"})
    body = b'{"id":"evt_1","object":"event","type":"invoice.paid"}'
    assert source.knock(body, {"Stripe-Signature": stripe_signature("whsec_stripe", body)}).status == 200
    assert [message["eventType"] for message in source.stored(1)] == ["invoice.paid"]


def test_an_old_request_is_refused_unless_its_age_is_not_to_be_judged(posthaste):
    source = Source(posthaste, "stripe", {"secret": "whsec_stripe"})
    body = b'{"id":"evt_1","object":"event","type":"invoice.paid"}'
    headers = {"Stripe-Signature": stripe_signature("whsec_stripe", body, timestamp=1_700_000_000)}
    answer = source.knock(body, headers)
    assert answer.status == 401 and " s ago" in answer.json()["detail"], answer
    source.change(config={"secret": "whsec_stripe", "toleranceSeconds": None})
    assert source.knock(body, headers).status == 200


def test_a_handler_that_fails_is_tried_again_with_the_same_request(source, handler):
    handler.answers_with(500, 503)
    assert push(source).status == 200
    tries = handler.got(3)
    assert {handled.body for handled in tries} == {BODY}
    assert len({handled.headers["webhook-id"] for handled in tries}) == 1
    for handled in tries:
        source.signed_by_us(handled)


def test_a_handler_that_hangs_holds_up_no_answer_to_the_provider(posthaste):
    hangs = threading.Event()

    class Hanging(Handler):
        def remember(self, request, body):
            hangs.wait(DEADLINE_S)
            return super().remember(request, body)

    handler = Hanging()
    try:
        source = Source(posthaste, "github", {"secret": SECRET}, handler)
        assert [push(source).status for _ in range(5)] == [200] * 5
        assert handler.requests == []
    finally:
        hangs.set()
        handler.close()


def test_metas_handshake_needs_the_token(posthaste):
    source = Source(posthaste, "meta", {"secret": "app-secret", "verifyToken": "ours"})
    query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    answer = source.knock(b"", method="GET", query=query + "ours")
    assert (answer.status, answer.body) == (200, b"1158201444")
    assert source.knock(b"", method="GET", query=query + "theirs").status in (401, 403)
    source.stored(0)


def test_one_deep_body_does_not_make_the_list_of_messages_unreadable(posthaste):
    source = Source(posthaste, "generic-webhook")
    assert source.knock(b"[" * 100_000 + b"]" * 100_000).status == 200
    assert len(source.messages(content=True)) == 1


def test_a_type_that_is_no_text_is_no_name(posthaste):
    source = Source(posthaste, "stripe", {"secret": "whsec_stripe"})
    body = b'{"id":"evt_1","type":{"a":["b"]}}'
    assert source.knock(body, {"Stripe-Signature": stripe_signature("whsec_stripe", body)}).status == 200
    assert [message["eventType"] for message in source.stored(1)] == ["webhook"]
