"""The process may die at any instruction: what was answered 2xx arrives, and nothing is stored twice."""

import collections
import http.client
import json
import queue
import threading
import urllib.parse

import pytest

from conftest import DEADLINE_S, Handler, Posthaste
from inbound import Source, github

SECRET = "it's a secret to everybody"
REQUESTS = 2_000
CLIENTS = 24
KILLS = 5
# All of it, however often it had to be tried.
LIMIT_S = 90


class Counting(Handler):
    """Counts deliveries, for there are many."""

    def __init__(self):
        super().__init__()
        self.seen = collections.Counter()

    def remember(self, request, body):
        self.seen[request.headers["x-github-delivery"]] += 1
        return None

    def saw(self, ids):
        with self.changed:
            return self.changed.wait_for(lambda: ids <= self.seen.keys(), LIMIT_S)


class Provider:
    """Sends every request until it is answered 2xx, as GitHub would if somebody pressed the button."""

    def __init__(self, source):
        path = urllib.parse.urlsplit(source.url)
        self.address, self.path = path.netloc, path.path
        self.left, self.taken, self.odd = queue.SimpleQueue(), [], []
        self.changed = threading.Condition()
        for n in range(REQUESTS):
            self.left.put((f"delivery-{n:05}", json.dumps({"n": n}).encode()))
        self.clients = [threading.Thread(target=self.send, daemon=True) for _ in range(CLIENTS)]
        for client in self.clients:
            client.start()

    def send(self):
        connection = http.client.HTTPConnection(self.address, timeout=DEADLINE_S)
        while True:
            try:
                delivery, body = self.left.get_nowait()
            except queue.Empty:
                return
            headers = github(SECRET, body, delivery=delivery)
            while not self.is_taken(connection, headers, body):
                pass
            with self.changed:
                self.taken.append(delivery)
                self.changed.notify_all()

    def is_taken(self, connection, headers, body):
        try:
            connection.request("POST", self.path, body, headers)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                self.odd.append(response.status)
            return response.status == 200
        except (OSError, http.client.HTTPException):
            connection.close()
            # Nobody listens just now: gives the others room.
            with self.changed:
                self.changed.wait(0.01)
            return False

    def got_through(self, count):
        with self.changed:
            enough = self.changed.wait_for(lambda: len(self.taken) >= count, LIMIT_S)
            assert enough, f"{len(self.taken)} of {count} requests were taken within {LIMIT_S} s"


@pytest.fixture
def server(tmp_path):
    server = Posthaste(tmp_path / "killed")
    # Whoever comes back comes back to the same address.
    server.env["POSTHASTE_LISTEN"] = urllib.parse.urlsplit(server.url).netloc
    yield server
    if server.process.poll() is None:
        server.stop()


def test_a_killed_server_loses_nothing_that_it_took_and_stores_nothing_twice(server):
    handler = Counting()
    source = Source(server, "github", {"secret": SECRET}, handler)
    provider = Provider(source)
    for killed in range(1, KILLS + 1):
        provider.got_through(killed * REQUESTS // (KILLS + 1))
        server.kill()
        server.start()
    provider.got_through(REQUESTS)
    assert provider.odd == []
    taken = set(provider.taken)
    assert len(taken) == REQUESTS
    assert handler.saw(taken), f"{len(taken - handler.seen.keys())} requests that were taken did not arrive"
    stored = collections.Counter(message["payload"]["n"] for message in source.messages(content=True))
    assert len(stored) == REQUESTS and set(stored.values()) == {1}, stored.most_common(3)
    handler.close()
