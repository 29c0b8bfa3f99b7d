"""What may not be dialled is not: though it was stored when it might be, whatever asks for it, and whoever answers."""

import json
import re
import socket
import threading
import urllib.parse

import pytest

from conftest import NODES, STORE, Posthaste
from test_bad_inputs import World

BLOCKED = "the target is not a public address, and is not allowed by name"


class Canary:
    """Listens on this machine and counts who connects: nobody should."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.connections = self.own = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def saw(self):
        """How many connected before now: a connection of our own comes last."""
        self.own += 1
        with socket.create_connection(("127.0.0.1", self.port)) as own:
            assert own.recv(1) == b""
        return self.connections - self.own


@pytest.fixture
def canary():
    canary = Canary()
    yield canary
    canary.socket.close()


def client(posthaste):
    """Asks a server, and returns the status and the JSON of its answer."""
    world = World.__new__(World)
    world.posthaste, world.tokens = posthaste, {"admin": posthaste.token}
    return lambda method, path, body=None: world.ask(method, path, None if body is None else json.dumps(body))


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def attempts(ask, app, message, count):
    for _ in range(2000):
        found = ask("GET", f"/api/v1/app/{app}/attempt/msg/{message}")[1]["data"]
        if len(found) >= count:
            return found
    raise AssertionError(f"{len(found)} of {count} attempts were recorded")


def test_what_was_stored_when_it_was_allowed_is_not_dialled_once_it_is_not_and_all_that_is_blocked_looks_alike(
    tmp_path, canary
):
    proxies = {name: f"http://127.0.0.1:{canary.port}" for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")}
    everywhere = "127.0.0.0/8,::1,10.0.0.0/8,169.254.169.254,localhost"
    settings = proxies | {"POSTHASTE_RETRY_SCHEDULE": "", "POSTHASTE_PUBLIC_URL": "https://hooks.example.test"}
    posthaste = Posthaste(tmp_path, POSTHASTE_ALLOW_TARGETS=everywhere, **settings)
    ask = client(posthaste)
    ask("POST", "/api/v1/app", {"name": "A", "uid": "a"})
    ask("POST", "/ingest/api/v1/source", {"name": "S", "uid": "s", "type": "generic-webhook"})
    targets = {
        "open": f"http://127.0.0.1:{canary.port}/",
        "by-name": f"http://localhost:{canary.port}/",
        "https": f"https://127.0.0.1:{canary.port}/",
        "six": f"http://[::1]:{canary.port}/",
        "closed": f"http://127.0.0.1:{closed_port()}/",
        "private": "http://10.255.255.1/",
        "metadata": "http://169.254.169.254/latest/meta-data/",
    }
    # The type of an endpoint's messages is its uid, so that each message has one attempt.
    for uid, url in targets.items():
        made = {"url": url, "uid": uid, "filterTypes": [f"to.{uid.replace('-', '_')}"]}
        assert ask("POST", "/api/v1/app/a/endpoint", made)[0] == 201, uid
    canarys = {"url": targets["open"], "uid": "canary"}
    assert ask("POST", "/api/v1/operational-webhook/endpoint", canarys)[0] == 201
    assert ask("POST", "/ingest/api/v1/source/s/endpoint", canarys)[0] == 201
    door = ask("GET", "/ingest/api/v1/source/s")[1]["ingestUrl"]
    posthaste.stop()
    # Operators were told of an endpoint while that was allowed.
    before = canary.saw()

    posthaste.env["POSTHASTE_ALLOW_TARGETS"] = ""
    posthaste.start()
    ask = client(posthaste)
    seen = {}
    for uid in targets:
        event_type = f"to.{uid.replace('-', '_')}"
        message = ask("POST", "/api/v1/app/a/msg", {"eventType": event_type, "payload": {}})[1]["id"]
        [attempt] = attempts(ask, "a", message, 1)
        assert ask("POST", f"/api/v1/app/a/msg/{message}/endpoint/{uid}/resend")[0] == 202
        attempts(ask, "a", message, 2)
        for name in ("id", "msgId", "endpointId", "url", "timestamp"):
            del attempt[name]
        seen[uid] = attempt
        ask("POST", "/api/v1/event-type", {"name": event_type, "description": ""})
        example = ask("POST", f"/api/v1/app/a/endpoint/{uid}/send-example", {"eventType": event_type})
        assert example[0] == 202, example
        assert attempts(ask, "a", example[1]["id"], 1)[0]["errorCode"] == "blocked_target"
        assert ask("POST", f"/api/v1/app/a/endpoint/{uid}/recover", {"since": message_time(ask, message)})[0] == 202
    for attempt in seen.values():
        assert attempt == seen["open"]
    assert seen["open"]["errorCode"] == "blocked_target" and seen["open"]["response"] == BLOCKED
    assert (seen["open"]["responseStatusCode"], seen["open"]["responseDurationMs"]) == (0, 0)
    # What a provider sends, and what we tell operators, goes through the same gate.
    path = urllib.parse.urlparse(door).path
    assert ask("POST", path, {"a": 1})[0] == 200
    blocked = 0
    # Three for each target, one more from each recovery and for the source, and two for each that operators are told.
    for _ in range(2000):
        # Each node counts what it did, and each is asked in its turn.
        metrics = "".join(ask("GET", "/metrics")[1] for _ in range(NODES))
        blocked = sum(map(int, re.findall(r'outcome="blocked_target"[^}]*} (\d+)', metrics)))
        if blocked > 4 * len(targets):
            break
    posthaste.stop()
    assert canary.saw() == before and blocked > 4 * len(targets), blocked


def message_time(ask, message):
    return ask("GET", f"/api/v1/app/a/msg/{message}")[1]["timestamp"]


def test_our_own_address_is_no_target_though_its_network_is_allowed(tmp_path):
    posthaste = Posthaste(tmp_path, POSTHASTE_ALLOW_TARGETS="127.0.0.0/8,::1,localhost,0.0.0.0", POSTHASTE_PUBLIC_URL="http://hooks.example.test")
    ask = client(posthaste)
    ask("POST", "/api/v1/app", {"name": "A", "uid": "a"})
    port = urllib.parse.urlparse(posthaste.url).port
    own = ["http://hooks.example.test/in/x", "http://HOOKS.example.test.:80/"]
    if STORE == "sqlite":
        # Before several nodes there is a balancer, whose address only the public URL can name.
        own += [
            f"http://127.0.0.1:{port}/api/v1/app",
            f"http://2130706433:{port}/",
            f"http://[::ffff:127.0.0.1]:{port}/",
            f"http://localhost:{port}/in/x",
        ]
    for url in own:
        status, answer = ask("POST", "/api/v1/app/a/endpoint", {"url": url})
        assert status == 422 and "our own" in answer["detail"][0]["msg"], (url, answer)
    posthaste.stop()


def test_a_redirect_into_the_machine_is_recorded_and_not_followed(tmp_path, canary):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answer = f"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{canary.port}/\r\ncontent-length: 0\r\n\r\n"

        def redirect():
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(answer.encode())
            connection.close()

        threading.Thread(target=redirect, daemon=True).start()
        posthaste = Posthaste(tmp_path, POSTHASTE_RETRY_SCHEDULE="")
        ask = client(posthaste)
        ask("POST", "/api/v1/app", {"name": "A", "uid": "a"})
        ask("POST", "/api/v1/app/a/endpoint", {"url": f"http://127.0.0.1:{listener.getsockname()[1]}/"})
        message = ask("POST", "/api/v1/app/a/msg", {"eventType": "a.b", "payload": {}})[1]["id"]
        [attempt] = attempts(ask, "a", message, 1)
        assert attempt["responseStatusCode"] == 302
        posthaste.stop()
        assert canary.saw() == 0
