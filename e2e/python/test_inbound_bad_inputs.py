"""Bad requests at a door, run as data: the right status, the mistake named, nothing stored, the server still well."""

import base64
import hashlib
import hmac
import json
import pathlib
import socket
import time
import urllib.parse

import pytest

from conftest import DEADLINE_S, Posthaste
from inbound import COUNTER, Source, ask
from test_bad_inputs import body_of

FIXTURE = pathlib.Path(__file__).parent.parent / "fixtures" / "inbound_bad_inputs.json"
DATA = json.loads(FIXTURE.read_text())
BODY = '{"type":"user.created","n":1}'
SECRET = DATA["sources"]["standard"]["config"]["secret"]
# What is kept of requests that were refused, and of calls of the API.
APART = {"refusal", "idempotency"}


class World:
    """A server with the sources of the cases, whose endpoints are nobody."""

    def __init__(self, data_dir):
        self.posthaste = Posthaste(data_dir, POSTHASTE_ALLOW_TARGETS="", POSTHASTE_RETRY_SCHEDULE="1h")
        self.sources = {}
        for name, fields in DATA["sources"].items():
            fields = dict(fields)
            self.sources[name] = Source(self.posthaste, fields.pop("type"), fields.pop("config", None), **fields)

    def stored(self):
        """What every table holds that a request may not have touched."""
        return self.posthaste.tables(*APART)

    def raw(self, request, then=b""):
        """Sends bytes as they are, and the second part once something came back."""
        host, port = urllib.parse.urlsplit(self.posthaste.url).netloc.split(":")
        with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as connection:
            answer = b""
            try:
                connection.sendall(request)
                if then:
                    answer = connection.recv(65536)
                    connection.sendall(then)
                while chunk := connection.recv(65536):
                    answer += chunk
            except OSError:
                pass
        return answer


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("inbound-bad-inputs"))
    yield world
    world.posthaste.stop()


def tag_of(identifier, timestamp, body):
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    content = f"{identifier}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def signed(body, send):
    """The three headers, as a case spells them."""
    identifier = f"msg_{next(COUNTER)}"
    now = str(int(time.time()) - send.get("age", 0))
    timestamp = send.get("timestamp", "{now}").format(now=now)
    tag = tag_of(identifier, timestamp, body)
    flipped = bytearray(base64.b64decode(tag))
    flipped[7] ^= 1
    headers = {"webhook-id": identifier, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{tag}"}
    spelled = {"tag": tag, "flipped": base64.b64encode(flipped).decode(), "now": now}
    for name, value in send.get("set", {}).items():
        value = body_of({"body": value}).format(**spelled)
        headers[name] = value.encode("latin-1") if send.get("latin1") else value
    return {name: value for name, value in headers.items() if name not in send.get("drop", [])}


def bytes_of(send):
    if "body_base64" in send:
        return base64.b64decode(send["body_base64"])
    return body_of({"body": send.get("body", BODY)}).encode()


def url_of(world, source, send):
    door = urllib.parse.urlsplit(source.ingest_url).path
    path = send.get("path", "{door}").format(door=door, letters=door.rsplit("/", 1)[1], id=source.id)
    return world.posthaste.url + path + (f"?{send['query']}" if "query" in send else "")


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: case["id"])
def test_a_bad_request_at_a_door_gets_a_clear_answer_and_leaves_nothing_behind(world, case):
    source, send = world.sources[case["source"]], case["send"]
    body = bytes_of(send)
    headers = {"content-type": "application/json"} | signed(body, send)
    body = send.get("sent_body", "").encode() or body
    before, messages = world.stored(), len(source.messages())
    for _ in range(send.get("times", 1)):
        answer = ask(url_of(world, source, send), send.get("method", "POST"), headers, body)
        assert answer.status in case["status"], answer
    if answer.status >= 400:
        assert len(answer.body) <= 4096
        assert answer.json()["code"] and answer.json()["detail"], answer
        assert case["names"].lower() in answer.body.decode().lower(), answer
        for secret in world.sources.values():
            assert urllib.parse.urlsplit(secret.ingest_url).path.encode() not in answer.body
        assert SECRET.encode() not in answer.body
    if case["stored"] == "nothing":
        assert world.stored() == before
    if case["stored"] == "one":
        assert len(source.messages()) == messages + 1
    assert ask(world.posthaste.url + "/livez").status == 200


def request_head(source, *lines):
    path = urllib.parse.urlsplit(source.ingest_url).path
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", *lines, "", ""]).encode()


def lines_of(headers):
    return [f"{name}: {value}" for name, value in headers.items()]


def test_an_endless_body_is_cut_off(world):
    source = world.sources["standard"]
    before = world.stored()
    chunk = b"80000\r\n" + b"a" * 0x80000 + b"\r\n"
    head = request_head(source, "transfer-encoding: chunked", "connection: close", *lines_of(signed(b"", {})))
    assert b" 413 " in world.raw(head + chunk * 3).split(b"\r\n")[0]
    assert world.stored() == before


def test_a_body_that_ends_too_early_is_not_taken(world):
    source = world.sources["plain"]
    before = world.stored()
    host, port = urllib.parse.urlsplit(world.posthaste.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as connection:
        connection.sendall(request_head(source, "content-length: 100") + b"{}")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    assert world.stored() == before


@pytest.mark.parametrize("right", [True, False], ids=["rightly signed", "wrongly signed"])
def test_whoever_waits_to_be_told_to_go_on_is_told_or_refused(world, right):
    source = world.sources["standard"]
    body = BODY.encode()
    headers = signed(body, {} if right else {"set": {"webhook-signature": "v1,AAAA"}})
    lines = ["expect: 100-continue", f"content-length: {len(body)}", "connection: close", *lines_of(headers)]
    answer = world.raw(request_head(source, *lines), then=body).decode()
    statuses = [line.split(" ")[1] for line in answer.split("\r\n") if line.startswith("HTTP/1.1 ")]
    assert statuses == ["100", "200" if right else "401"], answer


def test_an_old_client_that_keeps_its_connection_is_served_on_it(world):
    source = world.sources["plain"]
    path = urllib.parse.urlsplit(source.ingest_url).path
    first = f"POST {path} HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\n[]"
    last = f"POST {path} HTTP/1.0\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}"
    answer = world.raw(first.encode(), then=last.encode()).decode()
    assert [line.split(" ")[1] for line in answer.split("\r\n") if line.startswith("HTTP/1.")] == ["200", "200"]


def test_two_requests_in_one_go_are_two(world):
    source = world.sources["plain"]
    before = len(source.messages())
    one = request_head(source, "content-length: 2") + b"[]"
    last = request_head(source, "content-length: 2", "connection: close") + b"{}"
    answer = world.raw(one + last)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert len(source.messages()) == before + 2


@pytest.mark.parametrize(
    "lines",
    [
        ["content-length: 2", "content-length: 3"],
        ["content-length: 2", "transfer-encoding: chunked"],
        ["transfer-encoding: xchunked"],
        ["content-length : 2"],
        ["x-a: 1\r\n folded", "content-length: 2"],
    ],
    ids=["two lengths", "length and chunks", "unknown encoding", "blank before the colon", "folded"],
)
def test_a_request_that_could_be_read_in_two_ways_is_not_taken(world, lines):
    source = world.sources["plain"]
    before = len(source.messages())
    answer = world.raw(request_head(source, "connection: close", *lines) + b"{}")
    assert b" 200 " not in answer.split(b"\r\n")[0], answer
    assert len(source.messages()) == before
