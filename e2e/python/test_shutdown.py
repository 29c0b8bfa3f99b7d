"""SIGTERM under load: what was acked is delivered, what was claimed is given back at once, and the exit code is 0."""

import http.client
import json
import signal
import sqlite3
import threading
import time
import urllib.parse

import pytest
from svix import api

import two_nodes
from conftest import DEADLINE_S, STORE, Posthaste, Receiver

CLIENTS = 8
SOME = 300
# The listener's drain, a request timeout and the slack for commits; far more than what is under way here takes.
LIMIT_S = 10
REQUEST_TIMEOUT_S = 2


class Seeing(Receiver):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def remember(self, request, body):
        self.seen.add(request.headers["webhook-id"])

    def saw(self, ids, within_s=DEADLINE_S):
        with self.changed:
            return self.changed.wait_for(lambda: ids <= self.seen, within_s)


class Hanging(Seeing):
    """Takes requests and answers none, until it is let go."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def remember(self, request, body):
        super().remember(request, body)
        self.changed.notify_all()
        self.changed.release()
        self.go.wait(DEADLINE_S)
        self.changed.acquire()


@pytest.fixture
def server(tmp_path):
    settings = {"POSTHASTE_REQUEST_TIMEOUT": f"{REQUEST_TIMEOUT_S}s", "POSTHASTE_RETRY_SCHEDULE": "50ms,50ms"}
    server = Posthaste(tmp_path / "data", **settings)
    yield server
    if server.process.poll() is None:
        server.kill()


@pytest.fixture
def endpoints(server):
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    client.application.create(api.ApplicationIn(name="A", uid="a"))
    well, hung = Seeing(), Hanging()
    for receiver in (well, hung):
        client.endpoint.create("a", api.EndpointIn(url=receiver.url))
    yield well, hung
    hung.go.set()
    well.close()
    hung.close()


class Load:
    """Clients that send until nobody listens; what is neither 202 nor a refusal is odd."""

    def __init__(self, server):
        self.address, self.token = urllib.parse.urlsplit(server.url).netloc, server.token
        self.acked, self.odd, self.changed = set(), [], threading.Condition()
        self.clients = [threading.Thread(target=self.send, daemon=True) for _ in range(CLIENTS)]
        for client in self.clients:
            client.start()

    def send(self):
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        body = json.dumps({"eventType": "a.b", "payload": {"x": "y" * 512}})
        connection = http.client.HTTPConnection(self.address, timeout=DEADLINE_S)
        while True:
            try:
                connection.request("POST", "/api/v1/app/a/msg", body, headers)
                answer = connection.getresponse()
                sent = json.loads(answer.read())
            except ConnectionRefusedError:
                return
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            with self.changed:
                if answer.status == 202:
                    self.acked.add(sent["id"])
                elif answer.status != 503:
                    self.odd.append((answer.status, sent))
                self.changed.notify_all()

    def got(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.acked) >= count, DEADLINE_S)

    def ended(self):
        for client in self.clients:
            client.join(DEADLINE_S)
            assert not client.is_alive()
        return set(self.acked)


def leased(server):
    """How many deliveries somebody holds."""
    sql = "SELECT count(*) FROM delivery WHERE state = 1"
    if STORE != "sqlite":
        return int(two_nodes.psql(two_nodes.database_of(server.data_dir), sql))
    with sqlite3.connect(f"file:{server.data_dir / 'posthaste.db'}?mode=ro", uri=True) as store:
        return store.execute(sql).fetchone()[0]


def test_sigterm_under_load_ends_in_time_and_gives_back_what_was_claimed(server, endpoints):
    well, hung = endpoints
    load = Load(server)
    load.got(SOME)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(LIMIT_S) == 0
    assert time.monotonic() - began < LIMIT_S
    acked = load.ended()
    assert load.odd == []
    assert not (server.data_dir / "posthaste.db-wal").exists(), "it was not closed in order"
    assert leased(server) == 0, "a lease was left: the next start would not know of it"
    hung.go.set()
    server.start()
    started = time.monotonic()
    left = acked - hung.seen
    # What had been given back goes out within a second, and not when a lease is over.
    with hung.changed:
        assert hung.changed.wait_for(lambda: not left or left & hung.seen, 1), "nothing went out within a second"
    assert time.monotonic() - started < 1.5
    assert well.saw(acked) and hung.saw(acked)
    server.stop()


def test_two_signals_abort(server, endpoints):
    _, hung = endpoints
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    message = client.message.create("a", api.MessageIn(event_type="a.b", payload={}))
    assert hung.saw({message.id})
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    with_readiness_off(server)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(DEADLINE_S) == 130
    assert time.monotonic() - began < REQUEST_TIMEOUT_S
    hung.go.set()
    server.start()
    assert hung.saw({message.id})
    server.stop()


def with_readiness_off(server):
    """Waits until nobody is taken in any more: only then is the second signal a second one."""
    address = urllib.parse.urlsplit(server.url).netloc
    for _ in range(10_000):
        connection = http.client.HTTPConnection(address, timeout=DEADLINE_S)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 503:
                return
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()
    raise AssertionError("the server still says that it is ready")


NOTICE_S = 2


def test_during_the_notice_requests_are_still_taken_though_readiness_is_off(tmp_path, receiver):
    server = Posthaste(tmp_path / "data", POSTHASTE_LEAVE_NOTICE=f"{NOTICE_S}s")
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url, retry_schedule=[]))
    client.application.create(api.ApplicationIn(name="A", uid="a"))
    client.endpoint.create("a", api.EndpointIn(url=receiver.url))
    server.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    with_readiness_off(server)
    # On a new connection, as whoever has not looked yet would come.
    body, headers = json.dumps({"eventType": "a.b", "payload": {}}), {"authorization": f"Bearer {server.token}"}
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc, timeout=DEADLINE_S)
    connection.request("POST", "/api/v1/app/a/msg", body, headers | {"content-type": "application/json"})
    assert connection.getresponse().status == 202
    connection.close()
    assert server.process.wait(DEADLINE_S) == 0
    assert NOTICE_S <= time.monotonic() - began < NOTICE_S + LIMIT_S
    receiver.got(1)
