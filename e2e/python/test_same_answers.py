"""Both stores give the same answers: one script of calls is asked of each, and what differs is a mistake.

Ids, times, secrets and addresses differ by their nature: each becomes a name that says which of its kind it is, in the order
in which they first came up, so that an answer that mixed up two of them would differ too.
"""

import json
import re
import time
import urllib.parse

import pytest

from conftest import DEADLINE_S, REAL_BINARY, STORE, Posthaste, Receiver
from inbound import ask, github

pytestmark = pytest.mark.skipif(STORE == "sqlite", reason="compares the embedded store with two nodes on PostgreSQL")

SECRET = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
HUSH = "it's a secret to everybody"
# What is never the same twice, by its kind.
VARYING = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)"
    r"|(?P<key>wh(sec|pk|sk)_[A-Za-z0-9+/=_-]+)|(?P<token>phk_[0-9a-f]+)|(?P<door>/in/[A-Za-z0-9_-]+)"
    r"|(?P<link>#key=[A-Za-z0-9_-]+)"
    r"|(?P<id>[a-z]{2,6}_[0-9A-Za-z]{27})"
)  # fmt: skip
HEADERS = ("content-type", "allow", "idempotency-replayed", "location", "cache-control")


class Asked:
    """One of the two: a server, a receiver of its own, and every answer in the order of asking."""

    def __init__(self, place, **which):
        settings = {"POSTHASTE_PUBLIC_URL": "https://hooks.example", "POSTHASTE_MAX_PAYLOAD": "64KiB"}
        self.posthaste = Posthaste(place, **settings, **which)
        self.receiver = Receiver()
        self.names, self.known, self.answers = {}, {"receiver": self.receiver.url}, []
        self.known["other"] = self.posthaste.new_token("other")

    def filled(self, value):
        """A template with what is known by now: `<app>`."""
        return re.sub(r"<(\w+)>", lambda match: self.known[match[1]], value)

    def plain(self, text):
        """An answer's text, with a name for everything that varies."""

        def name(match):
            kind, value = match.lastgroup, match[0]
            if kind == "time":
                return "a time"
            prefix = value.split("_")[0] if kind in ("id", "key") else kind
            return self.names.setdefault(value, f"<{prefix} {len(self.names)}>")

        text = text.replace(self.receiver.url, "<receiver>")
        text = text.replace(urllib.parse.urlsplit(self.posthaste.url).netloc, "<host>")
        text = re.sub(r'"responseDurationMs":\d+', '"responseDurationMs":0', text)
        return VARYING.sub(name, text)

    def send(self, method, path, body=None, headers=()):
        token = self.posthaste.token
        sent = {"authorization": f"Bearer {token}", "content-type": "application/json", **dict(headers)}
        sent = {name: self.filled(value) for name, value in sent.items() if value is not None}
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        return ask(self.posthaste.url + self.filled(path), method, sent, self.filled(text).encode())

    def ask(self, method, path, body=None, keep=None, until=None, **headers):
        """Asks; `keep` remembers values of the answer by name, `until` asks again until so many rows are there."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        deadline = time.monotonic() + DEADLINE_S
        answer = self.send(method, path, body, headers)
        while until is not None and len(answer.json()["data"]) < until and time.monotonic() < deadline:
            answer = self.send(method, path, body, headers)
        for name, key in (keep or {}).items():
            value = answer.json()
            for part in key.split("."):
                value = value[int(part)] if part.isdigit() else value[part]
            self.known[name] = urllib.parse.quote(value)
        told = {name: value for name, value in answer.headers.items() if name in HEADERS}
        text = self.plain(answer.body.decode())
        asked = self.plain(f"{method} {path} {json.dumps(body)[:200]}")
        self.answers.append((asked, answer.status, told, text))
        return answer

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.ask("POST", path, body, **more)

    def walk(self, path, limit, order=None):
        """A list page by page to its end, and one step back."""
        more = f"limit={limit}" + (f"&order={order}" if order else "")
        iterator = ""
        for _ in range(20):
            page = self.get(f"{path}?{more}{iterator}").json()
            iterator = f"&iterator={urllib.parse.quote(page['iterator'] or '')}"
            if page["done"]:
                break
        if page.get("prevIterator"):
            self.get(f"{path}?{more}&iterator={urllib.parse.quote(page['prevIterator'])}")

    def close(self):
        self.posthaste.stop()
        self.receiver.close()


def apps(a):
    for number in range(7):
        a.post("/api/v1/app", {"name": f"App {number}", "uid": f"app-{number}", "metadata": {"n": str(number)}})
    a.post("/api/v1/app", {"name": "again", "uid": "app-3"})
    a.post("/api/v1/app?get_if_exists=true", {"name": "again", "uid": "app-3"})
    a.post("/api/v1/app", {"name": "Zoë 🦀 \u0000"})
    a.post("/api/v1/app", {"name": "Zoë 🦀", "uid": "crab", "rateLimit": 10, "metadata": {"ü": "é"}}, keep={"crab": "id"})
    for body in ("", "{", "[]", "null", {"name": ""}, {"name": 7}, {"name": "x", "uid": "a b"}, {"name": "x" * 300},
                 {"name": "x", "rateLimit": 0}, {"name": "x", "metadata": {"k": 1}}, {"name": "x", "nothing": 1}):
        a.post("/api/v1/app", body)
    for path in ("crab", "<crab>", "nobody", "app_0000", "%00", "a%20b"):
        a.get(f"/api/v1/app/{path}")
    a.ask("PATCH", "/api/v1/app/crab", {"name": "Changed", "rateLimit": None})
    a.ask("PATCH", "/api/v1/app/crab", {"uid": "app-1"})
    a.ask("PATCH", "/api/v1/app/nobody", {"name": "x"})
    a.ask("PUT", "/api/v1/app/crab", {"name": "Put", "uid": "crab"})
    a.ask("PUT", "/api/v1/app/made-by-put", {"name": "Put"})
    a.ask("DELETE", "/api/v1/app/app-6")
    a.ask("DELETE", "/api/v1/app/app-6")
    a.get("/api/v1/app/app-6")
    a.post("/api/v1/app", {"name": "anew", "uid": "app-6"})
    for order in (None, "ascending", "descending"):
        for limit in (1, 2, 3, 250):
            a.walk("/api/v1/app", limit, order)
    for query in ("limit=0", "limit=251", "limit=x", "order=sideways", "iterator=x", "iterator=-<crab>", "iterator=<crab>"):
        a.get(f"/api/v1/app?{query}")


def event_types(a):
    schema = {"1": {"type": "object", "properties": {"id": {"type": "integer"}}}}
    for number in range(5):
        a.post("/api/v1/event-type", {"name": f"type.{number}", "description": f"The {number}.", "schemas": schema})
    a.post("/api/v1/event-type", {"name": "type.1", "description": ""})
    a.post("/api/v1/event-type", {"name": "no type!", "description": ""})
    a.post("/api/v1/event-type", {"name": "type.9", "description": "", "schemas": {"1": {"type": 7}}})
    a.ask("PATCH", "/api/v1/event-type/type.1", {"deprecated": True})
    a.ask("PUT", "/api/v1/event-type/type.2", {"description": "put"})
    a.ask("DELETE", "/api/v1/event-type/type.3")
    a.ask("DELETE", "/api/v1/event-type/type.4?expunge=true")
    for path in ("type.1", "type.2", "type.3", "type.4", "nothing"):
        a.get(f"/api/v1/event-type/{path}")
    a.ask("DELETE", "/api/v1/event-type/nothing")
    for query in ("", "?include_archived=true", "?with_content=true", "?limit=2", "?limit=2&order=descending"):
        a.get(f"/api/v1/event-type{query}")
    a.walk("/api/v1/event-type", 1)


def endpoints(a):
    path = "/api/v1/app/crab/endpoint"
    more = {"url": "<receiver>", "uid": "main", "secret": SECRET, "description": "d", "metadata": {"a": "b"}}
    a.post(path, more, keep={"main": "id"})
    a.post(path, more)
    # One endpoint alone gets what is sent: two would take turns as they like.
    a.post(path, {"url": "<receiver>/2", "uid": "second", "filterTypes": ["type.1"], "channels": ["us"], "rateLimit": 9})
    a.post(path, {"url": "<receiver>/off", "uid": "off", "disabled": True, "headers": {"X-Custom": "1"}})
    for number in range(5):
        a.post(path, {"url": f"https://example.com/{number}", "uid": f"e-{number}", "disabled": True})
    for body in ({"url": None}, {"url": "nonsense"}, {"url": "http://10.0.0.1/"}, {"url": "ftp://example.com/"}, {"url": "https://example.com", "secret": "x"},
                 {"url": "https://example.com", "rateLimit": -1}, {"url": "https://example.com", "filterTypes": []},
                 {"url": "https://example.com", "filterTypes": ["no type!"]}, {"url": "https://example.com", "uid": "main"}):
        a.post(path, {"disabled": True, **body})
    a.post("/api/v1/app/nobody/endpoint", {"url": "<receiver>"})
    for one in ("main", "<main>", "second", "nobody"):
        for rest in ("", "/headers", "/secret", "/stats", "/msg"):
            a.get(f"{path}/{one}{rest}")
    a.get("/api/v1/app/app-1/endpoint/<main>")
    a.ask("PATCH", f"{path}/second", {"description": "patched"})
    a.ask("PATCH", f"{path}/second", {"uid": "main"})
    a.ask("PUT", f"{path}/e-1", {"url": "https://example.com/put", "disabled": True})
    a.ask("PUT", f"{path}/e-1/headers", {"headers": {"X-A": "1", "Authorization": "Bearer hush"}})
    a.ask("PATCH", f"{path}/e-1/headers", {"headers": {"X-B": "2", "X-A": None}})
    a.ask("PUT", f"{path}/e-1/headers", {"headers": {"Host": "x"}})
    a.get(f"{path}/e-1/headers")
    for _ in range(11):
        a.post(f"{path}/e-2/secret/rotate", {})
    a.post(f"{path}/e-2/secret/rotate", {"key": "nonsense"})
    a.ask("DELETE", f"{path}/e-3")
    a.ask("DELETE", f"{path}/e-3")
    for order in (None, "ascending", "descending"):
        a.walk(path, 3, order)


def messages(a):
    path = "/api/v1/app/crab/msg"
    for number in range(6):
        body = {"eventType": f"type.{number % 2}", "payload": {"n": number}, "eventId": f"event-{number}"}
        if number % 3 == 0:
            body |= {"channels": ["eu"], "tags": ["third"]}
        a.post(path, body, keep={f"msg{number}": "id"})
        a.get(f"/api/v1/app/crab/attempt/msg/<msg{number}>", until=1)
    a.post(path, {"eventType": "type.1", "payload": {}, "eventId": "event-1"})
    for repeated in ({"n": 1}, {"n": 1}, {"n": 2}):
        a.post(path, {"eventType": "one.key", "payload": repeated}, idempotency_key="a key")
    a.post("/api/v1/app/app-1/msg", {"eventType": "one.key", "payload": {"n": 1}}, idempotency_key="a key")
    for key in ("", "k" * 257):
        a.post(path, {"eventType": "a.b", "payload": {}}, idempotency_key=key)
    for body in ({}, {"eventType": "a.b"}, {"eventType": "a b", "payload": {}}, {"eventType": "a.b", "payload": []}, {"eventType": "a.b", "payload": "x"},
                 {"eventType": "a.b", "payload": {}, "channels": []}, {"eventType": "a.b", "payload": {}, "eventId": ""},
                 {"eventType": "a.b", "payload": {}, "tags": ["no tag!"]}, {"eventType": "a.b", "payload": {"x": "y" * 70_000}}, "{"):
        a.post(path, body)
    a.post(path, "{}", content_type="text/plain")
    a.post("/api/v1/app/nobody/msg", {"eventType": "a.b", "payload": {}})
    for one in ("<msg0>", "event-1", "nobody"):
        for rest in ("", "?with_content=false", "/endpoint"):
            a.get(f"{path}/{one}{rest}")
    queries = ("", "with_content=false", "event_types=type.1", "event_types=type.0&event_types=one.key", "channel=eu", "tag=third",
               "tag=nothing", "before=2020-01-01T00:00:00Z", "after=2020-01-01T00:00:00Z", "after=x", "channel=eu&event_types=type.1")
    for query in queries:
        a.get(f"{path}?{query}")
    for limit in (1, 3, 4):
        a.walk(path, limit)
    a.ask("DELETE", f"{path}/<msg1>/content")
    a.get(f"{path}/<msg1>")
    a.post(f"{path}/<msg1>/endpoint/main/resend")


def attempts(a):
    app = "/api/v1/app/crab"
    a.receiver.answers_with(500, 500, 500)
    a.post(f"{app}/msg", {"eventType": "bad.luck", "payload": {"n": 1}}, keep={"bad": "id"})
    failed = a.get(f"{app}/attempt/msg/<bad>", until=3).json()["data"]
    a.known["attempt"] = failed[0]["id"]
    a.get(f"{app}/msg/<bad>/attempt/<attempt>")
    a.get(f"{app}/msg/<msg0>/attempt/<attempt>")
    for query in ("status=0", "status=2", "status=9", "status_code_class=500", "status_code_class=200", "event_types=bad.luck",
                  "with_content=true", "with_msg=true", "limit=1", "before=2020-01-01T00:00:00Z"):
        a.get(f"{app}/attempt/msg/<bad>?{query}")
        a.get(f"{app}/attempt/endpoint/main?{query}")
    a.walk(f"{app}/attempt/endpoint/main", 3)
    a.walk(f"{app}/endpoint/main/msg", 3)
    a.get(f"{app}/msg/<bad>/endpoint")
    a.get(f"{app}/endpoint/main/stats")
    a.post(f"{app}/msg/<bad>/endpoint/main/resend")
    a.get(f"{app}/attempt/msg/<bad>", until=4)
    for one, endpoint in (("<bad>", "nobody"), ("nobody", "main"), ("<bad>", "off"), ("<bad>", "second")):
        a.post(f"{app}/msg/{one}/endpoint/{endpoint}/resend")
    a.ask("DELETE", f"{app}/msg/<bad>/attempt/<attempt>/content")
    a.get(f"{app}/msg/<bad>/attempt/<attempt>")
    a.post(f"{app}/endpoint/main/send-example", {"eventType": "type.1"})
    a.post(f"{app}/endpoint/main/send-example", {"eventType": "nothing"})
    for body in ({"since": "2999-01-01T00:00:00Z"}, {"since": "2000-01-01T00:00:00Z"}, {"since": "x"}, {}):
        a.post(f"{app}/endpoint/main/recover", body)
        a.post(f"{app}/endpoint/off/recover", body)
    a.get("/api/v1/background-task/nothing")


def sources(a):
    path = "/ingest/api/v1/source"
    a.post(path, {"name": "G", "uid": "hub", "type": "github", "config": {"secret": HUSH}}, keep={"hub": "id", "door": "ingestUrl", "hidden": "appId"})
    a.post(path, {"name": "G", "uid": "hub", "type": "github", "config": {"secret": HUSH}})
    for number in range(4):
        a.post(path, {"name": f"S {number}", "uid": f"s-{number}", "type": "generic-webhook"})
    for body in ({}, {"name": "x"}, {"name": "x", "type": "nobody-knows"}, {"name": "x", "type": "github", "config": {}},
                 {"name": "x", "type": "cron", "config": {"schedule": "nonsense", "payload": "{}"}},
                 {"name": "x", "type": "generic-webhook", "rateLimit": -1}, {"name": "x", "type": "generic-webhook", "methods": ["NO"]}):
        a.post(path, body)
    for one in ("hub", "<hub>", "nobody"):
        for rest in ("", "/log", "/endpoint"):
            a.get(f"{path}/{one}{rest}")
    a.post(f"{path}/hub/endpoint", {"url": "<receiver>/hub", "uid": "h"})
    a.post(f"{path}/hub/endpoint", {"url": "<receiver>/hub", "uid": "h"})
    for rest in ("", "/headers", "/secret"):
        a.get(f"{path}/hub/endpoint/h{rest}")
    door = urllib.parse.urlparse(urllib.parse.unquote(a.known["door"])).path
    body = '{"zen":"hush"}'
    for secret, delivery in ((HUSH, "one"), (HUSH, "one"), ("wrong", "two"), (HUSH, "three")):
        headers = github(secret, body.encode(), delivery=delivery) | {"authorization": None, "connection": "close"}
        a.ask("POST", door, body, **headers)
    a.get(door)
    a.ask("PUT", door, body)
    a.get(f"{path}/hub/log", until=1)
    a.get("/api/v1/app/<hidden>/msg", until=2)
    a.get("/api/v1/app/<hidden>")
    a.ask("PATCH", f"{path}/hub", {"paused": True, "rateLimit": 50})
    a.ask("PATCH", f"{path}/hub", {"config": {"secret": 7}})
    a.ask("PUT", f"{path}/s-1", {"name": "put", "type": "generic-webhook"})
    a.post(f"{path}/hub/token/rotate", {})
    a.ask("DELETE", f"{path}/s-2")
    a.ask("DELETE", f"{path}/s-2")
    a.walk(path, 2)


def tenants(a):
    other = {"authorization": "Bearer <other>"}
    for path in ("/api/v1/app", "/api/v1/app/crab", "/api/v1/app/<crab>", "/api/v1/app/<crab>/msg/<msg0>", "/ingest/api/v1/source/<hub>"):
        a.get(path, **other)
    a.post("/api/v1/app", {"name": "the same uid", "uid": "crab"}, **other)
    for token in (None, "Bearer phk_wrong", "Basic eDp5", "Bearer"):
        a.get("/api/v1/app", authorization=token)
    a.post("/api/v1/auth/app-portal-access/crab", {}, keep={"portal": "token"})
    portal = {"authorization": "Bearer <portal>"}
    for path in ("/api/v1/app/crab/endpoint", "/api/v1/app/app-1/endpoint", "/api/v1/app", "/ingest/api/v1/source"):
        a.get(path, **portal)
    a.post("/api/v1/app/crab/msg", {"eventType": "a.b", "payload": {}}, **portal)
    a.post("/api/v1/auth/logout", **portal)
    a.get("/api/v1/app/crab/endpoint", **portal)


def operators(a):
    path = "/api/v1/operational-webhook/endpoint"
    a.post(path, {"url": "<receiver>/operators", "uid": "ops", "filterTypes": ["endpoint.created"]})
    a.post(path, {"url": "<receiver>/operators", "uid": "ops"})
    a.post(path, {"url": "<receiver>/operators", "filterTypes": ["nonsense"]})
    for rest in ("", "/ops", "/ops/headers", "/ops/secret", "/nobody"):
        a.get(path + rest)
    a.ask("DELETE", f"{path}/ops")
    for known, other in (("GET", "/nothing"), ("GET", "/api/v1/nothing"), ("DELETE", "/api/v1/app"), ("GET", "/api/v1/environment/settings"),
                         ("POST", "/api/v1/app/crab/msg/batch"), ("GET", "/api/v1/health"), ("GET", "/livez"), ("GET", "/openapi.json")):
        a.ask(known, other)


SCRIPT = (apps, event_types, endpoints, messages, attempts, sources, tenants, operators)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    place = tmp_path_factory.mktemp("same")
    embedded = Asked(place / "embedded", binary=REAL_BINARY)
    nodes = Asked(place / "nodes")
    yield embedded, nodes
    embedded.close()
    nodes.close()


@pytest.mark.parametrize("part", SCRIPT, ids=lambda part: part.__name__)
def test_both_stores_answer_every_call_of_the_script_alike(both, part):
    """Each part goes on where the one before it ended: run the whole file."""
    for asked in both:
        asked.answers.clear()
        part(asked)
    embedded, nodes = (asked.answers for asked in both)
    assert len(embedded) == len(nodes)
    differing = [(one, other) for one, other in zip(embedded, nodes) if one != other]
    shown = "\n\n".join(f"{one[0]}\n  embedded: {one[1:]}\n  nodes:    {other[1:]}" for one, other in differing[:10])
    assert not differing, f"{len(differing)} of {len(embedded)} answers differ\n{shown}"
    assert not [answer for answer in nodes if answer[1] >= 500 and answer[1] != 501], "an answer of 500"
