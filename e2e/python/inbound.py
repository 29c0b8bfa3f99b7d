"""The vocabulary of the inbound tests: sources, what their providers send, and the handlers behind them."""

import hashlib
import hmac
import http.client
import itertools
import json
import time
import urllib.parse

import standardwebhooks

from conftest import DEADLINE_S

COUNTER = itertools.count(1)


class Answer:
    """What was answered: the status, the headers by lower-case name, and the body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:500]}"


def ask(url, method="GET", headers=(), body=b""):
    """One request on a connection of its own; headers go out as they are, text as UTF-8, repeated ones too."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=DEADLINE_S)
    try:
        path = url.split(address.netloc, 1)[1]
        connection.putrequest(method, path or "/", skip_accept_encoding=True)
        headers = list(headers.items() if isinstance(headers, dict) else headers)
        names = {name.lower() for name, _ in headers}
        if not names & {"content-length", "transfer-encoding"}:
            headers.append(("content-length", str(len(body))))
        for name, value in headers:
            connection.putheader(name, value if isinstance(value, bytes) else value.encode())
        connection.endheaders()
        try:
            connection.send(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was read to its end: the answer is there all the same
        return Answer(connection.getresponse())
    finally:
        connection.close()


def call(posthaste, method, path, body=None, token=None):
    """One call of the API."""
    headers = {"authorization": f"Bearer {token or posthaste.token}", "content-type": "application/json"}
    body = b"" if body is None else json.dumps(body).encode()
    return ask(posthaste.url + path, method, headers, body)


def made(posthaste, path, body, method="POST"):
    answer = call(posthaste, method, path, body)
    assert answer.status in (200, 201, 202), answer
    return answer.json()


class Source:
    """A source, and the handler behind it if there is one."""

    def __init__(self, posthaste, kind, config=None, handler=None, **fields):
        self.posthaste = posthaste
        body = {"name": f"A source of {kind}", "type": kind, **fields}
        if config is not None:
            body["config"] = config
        out = made(posthaste, "/ingest/api/v1/source", body)
        self.id, self.app, self.path = out["id"], out["appId"], f"/ingest/api/v1/source/{out['id']}"
        self.ingest_url = out["ingestUrl"]
        if handler:
            self.handler = handler
            self.endpoint = made(posthaste, f"{self.path}/endpoint", {"url": handler.url})["id"]
            self.secret = call(posthaste, "GET", f"{self.path}/endpoint/{self.endpoint}/secret").json()["key"]

    @property
    def url(self):
        """The door, at the address that the server listens on just now."""
        return self.posthaste.url + urllib.parse.urlsplit(self.ingest_url).path

    def knock(self, body=b"{}", headers=(), method="POST", query=""):
        return ask(self.url + (f"?{query}" if query else ""), method, headers, body)

    def change(self, **fields):
        return made(self.posthaste, self.path, fields, "PATCH")

    def all(self, path):
        """Everything in a list, page by page."""
        rows, joint, iterator = [], "&" if "?" in path else "?", ""
        while True:
            answer = call(self.posthaste, "GET", f"{path}{joint}limit=250{iterator}")
            assert answer.status == 200, answer
            page = answer.json()
            rows += page["data"]
            if page["done"]:
                return rows
            iterator = "&iterator=" + urllib.parse.quote(page["iterator"])

    def messages(self, content=False):
        return self.all(f"/api/v1/app/{self.app}/msg?with_content={str(content).lower()}")

    def stored(self, count):
        """The messages, which are exactly so many."""
        messages = self.messages()
        assert len(messages) == count, messages
        return messages

    def refused(self, count):
        """Refused requests are kept a moment after they were answered: asks until so many are there."""
        for _ in range(100 * DEADLINE_S):
            rows = self.all(f"{self.path}/log")
            if len(rows) >= count:
                return rows
        raise AssertionError(f"{len(rows)} of {count} refused requests are in the log")

    def signed_by_us(self, handled):
        """Fails unless a library that we did not write believes our signature."""
        verifier = standardwebhooks.Webhook(self.secret)
        verifier.verify(handled.body, handled.headers, json_parse=False)
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            assert len(handled.all(name)) == 1, handled.fields


def hub_signature(secret, body):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def github(secret, body, event="push", delivery=None):
    """Headers as GitHub sends them."""
    return {
        "User-Agent": "GitHub-Hookshot/044aadd",
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery or f"72d3162e-cc78-11e3-81ab-{next(COUNTER):012x}",
        "X-Hub-Signature-256": hub_signature(secret, body),
    }


def stripe_signature(secret, body, timestamp=None):
    timestamp = timestamp or int(time.time())
    tag = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={tag}"
