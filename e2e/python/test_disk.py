"""The disk is full, fails, is slow, cannot be written, or the store is gone: callers hear so, nothing acknowledged is
lost, and the server goes on by itself when the disk is back."""

import collections
import http.client
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import threading
import time
import urllib.parse

import pytest

import conftest
from conftest import DEADLINE_S, Receiver, embedded_only
from disk import Disk
from inbound import Source

# From the instant at which the disk is back to the first `ready`; the promise is about a second.
pytestmark = embedded_only("the disk below the embedded file: a database's disk is PostgreSQL's to look after")
BACK_WITHIN_S = 3
# Faults that come and go, and the dice that choose them. By hand: DISK_ROUNDS=500 DISK_SEED=7.
ROUNDS = int(os.environ.get("DISK_ROUNDS", "8"))
SEED = int(os.environ.get("DISK_SEED", "1"))
# How long a test looks at a disk that is full: several rounds of every loop that would storm.
WATCHED_ROUNDS = 300


class Customer(Receiver):
    """Counts what came of each message."""

    def __init__(self):
        super().__init__()
        self.seen = collections.Counter()

    def remember(self, request, _):
        self.seen[request.headers["webhook-id"]] += 1

    def saw(self, messages):
        with self.changed:
            assert self.changed.wait_for(lambda: set(messages) <= self.seen.keys(), DEADLINE_S), (
                f"{len(set(messages) - self.seen.keys())} of {len(messages)} messages never came"
            )


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class Sender:
    """A client of the server, on a connection of its own."""

    def __init__(self, server, customer):
        self.server = server
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc, timeout=DEADLINE_S)
        self.app = json.loads(self.asks("POST", "/api/v1/app", {"name": "acme"}).body)["id"]
        self.asks("POST", f"/api/v1/app/{self.app}/endpoint", {"url": customer.url})

    def asks(self, method, path, body=None):
        headers = {"authorization": f"Bearer {self.server.token}", "content-type": "application/json"}
        self.connection.request(method, path, body and json.dumps(body), headers)
        answer = self.connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())

    def sends(self, pad=100):
        body = {"eventType": "order.paid", "payload": {"pad": "x" * pad}}
        return self.asks("POST", f"/api/v1/app/{self.app}/msg", body)

    def sends_well(self, count=1):
        answers = [self.sends() for _ in range(count)]
        assert {answer.status for answer in answers} == {202}, {answer.body for answer in answers}
        return [json.loads(answer.body)["id"] for answer in answers]

    def is_refused(self):
        """Sends until it is refused; returns what was taken before that, and the refusal."""
        taken = []
        for _ in range(10_000):
            answer = self.sends(pad=4_000)
            if answer.status != 202:
                return taken, answer
            taken.append(json.loads(answer.body)["id"])
        raise AssertionError("nothing was refused")

    def readiness(self):
        return self.asks("GET", "/readyz")

    def becomes(self, status, within_s=BACK_WITHIN_S):
        """Waits for this readiness, and returns its reason and how long it took."""
        began = time.monotonic()
        while (answer := self.readiness()).status != status:
            assert time.monotonic() - began < within_s, f"after {within_s} s: {answer.status} {answer.body}"
        return answer.body.strip(), time.monotonic() - began

    def metric(self, name):
        text = self.asks("GET", "/metrics").body
        return float(re.search(rf"^posthaste_{name} (\S+)$", text, re.MULTILINE)[1])

    def attempts(self, message):
        answer = self.asks("GET", f"/api/v1/app/{self.app}/attempt/msg/{message}")
        return json.loads(answer.body)["data"]


def refused_well(answer):
    """503, when to come back, and one sentence."""
    assert answer.status == 503, answer.body
    assert answer.headers["retry-after"] == "1"
    said = json.loads(answer.body)
    assert said["code"] == "unavailable" and "try again" in said["detail"] and "\n" not in said["detail"]


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


@pytest.fixture
def customer():
    customer = Customer()
    yield customer
    customer.close()


@pytest.fixture
def server(disk):
    server = disk.serve()
    yield server
    if server.process.poll() is None:
        server.kill()


@pytest.fixture
def sender(server, customer):
    return Sender(server, customer)


FAULTS = {
    "full": (["full"], "the disk is full"),
    "failing from now on": (["fsync-fails 1+"], "the disk failed"),
    "failing at its tenth sync and after": (["fsync-fails 10+"], "the disk failed"),
    "read-only": (["read-only"], "cannot be"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_callers_hear_503_while_the_disk_is(fault, disk, server, sender, customer):
    modes, reason = FAULTS[fault]
    before = sender.sends_well(20)
    disk.does(*modes)
    taken, refusal = sender.is_refused()
    refused_well(refusal)
    why, _ = sender.becomes(503)
    assert why.startswith("the store cannot be written: ") and reason in why, why
    for _ in range(WATCHED_ROUNDS):
        assert sender.readiness().status == 503
    refused_well(sender.sends())
    assert sender.metric("store_unwell") == 1 and sender.metric("store_failures_total") >= 1
    # What can be read still is.
    assert sender.asks("GET", f"/api/v1/app/{sender.app}/msg/{before[0]}").status == 200

    disk.does()
    _, took_s = sender.becomes(200)
    after = sender.sends_well(20)
    assert sender.metric("store_unwell") == 0
    customer.saw(before + taken + after)
    assert server.process.poll() is None
    print(f"{fault}: ready {took_s:.2f} s after the disk was back, {len(taken)} taken meanwhile")
    server.kill()
    judged(disk, before + taken + after)


def judged(disk, acked):
    """What a new process finds, on a disk that does what it should."""
    server = disk.serve()
    try:
        with sqlite3.connect(disk.data_dir / "posthaste.db") as store:
            assert store.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            assert store.execute("SELECT count(*) FROM message").fetchone()[0] >= len(set(acked))
        store.close()
    finally:
        server.stop()


def test_one_failed_sync_refuses_its_own_callers_and_is_over_within_a_second(disk, sender, customer):
    disk.does("fsync-fails 1")
    refused_well(sender.sends())
    _, took_s = sender.becomes(200)
    customer.saw(sender.sends_well(50))
    assert sender.metric("store_failures_total") == 1
    print(f"ready {took_s:.2f} s after the sync that failed")


def test_what_was_sent_while_the_disk_was_full_is_recorded_later_and_not_sent_again(disk, sender, customer):
    customer.answers_with(*[200] * 10)
    with Held(customer):
        messages = sender.sends_well(10)
        disk.does("full")
        sender.is_refused()
    customer.saw(messages)
    for _ in range(WATCHED_ROUNDS):
        assert sender.readiness().status == 503
    assert {customer.seen[message] for message in messages} == {1}, "a delivery was sent again while the disk was full"
    disk.does()
    sender.becomes(200)
    wait_until(lambda: all(sender.attempts(message) for message in messages), "all attempts are recorded")
    assert {customer.seen[message] for message in messages} == {1}


class Held:
    """The receiver answers nobody while this is held."""

    def __init__(self, customer):
        self.customer = customer

    def __enter__(self):
        self.customer.changed.acquire()

    def __exit__(self, *_):
        self.customer.changed.release()


def wait_until(holds, what):
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < DEADLINE_S, f"not within {DEADLINE_S} s: {what}"


def test_a_slow_disk_makes_larger_groups_and_refuses_nobody(disk, server, customer):
    senders = [Sender(server, customer) for _ in range(16)]
    commits, commands = (senders[0].metric(f"store_{name}_total") for name in ("commits", "commands"))
    disk.does("slow 50")
    taken, threads = [], []
    for sender in senders:
        threads.append(threading.Thread(target=lambda sender=sender: taken.extend(sender.sends_well(5))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert len(taken) == 80
    commits = senders[0].metric("store_commits_total") - commits
    commands = senders[0].metric("store_commands_total") - commands
    assert commands / commits > 4, f"{commands} commands in {commits} commits"
    customer.saw(taken)


@pytest.mark.parametrize("name", ["posthaste.db", "posthaste.db-wal"])
def test_a_store_whose_file_is_removed_is_missed_and_taken_up_when_it_is_back(name, disk, sender, customer):
    before = sender.sends_well(10)
    customer.saw(before)
    path = disk.data_dir / name
    path.rename(disk.place / name)
    refused_well(sender.sends())
    why, _ = sender.becomes(503)
    assert f"{name} was removed or replaced" in why
    assert not path.exists(), "a new file was made in silence"
    (disk.place / name).rename(path)
    sender.becomes(200)
    customer.saw(sender.sends_well(10))


def test_the_inbound_door_sends_providers_away_while_the_disk_is_full(disk, server, sender, handler):
    source = Source(server, "generic-webhook", handler=handler)
    assert source.knock().status == 200
    disk.does("full")
    answers = [source.knock(b'{"n": %d}' % n) for n in range(5)]
    assert {(answer.status, answer.headers.get("retry-after")) for answer in answers} == {(503, "1")}, answers
    disk.does()
    sender.becomes(200)
    assert source.knock(b'{"n": "after"}').status == 200
    handler.got(2)


def test_faults_that_come_and_go_under_load_lose_nothing(disk, server, sender, customer):
    dice, acked, over = random.Random(SEED), [], threading.Event()

    def sends_on(client):
        while not over.is_set():
            answer = client.sends(pad=400)
            assert answer.status in (202, 503), answer.body
            if answer.status == 202:
                acked.append(json.loads(answer.body)["id"])

    threads = [threading.Thread(target=sends_on, args=(Sender(server, customer),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(ROUNDS):
        disk.does(dice.choice(["full", "read-only", "fsync-fails 1+", f"fsync-fails {dice.randrange(1, 9)}"]))
        sender.becomes(503)
        disk.does()
        sender.becomes(200)
        taken = len(acked)
        wait_until(lambda: len(acked) >= taken + 10, "messages are taken again")
    over.set()
    for thread in threads:
        thread.join()
    customer.saw(acked)
    repeated = sum(count - 1 for count in customer.seen.values())
    print(f"seed={SEED} faults={ROUNDS} acked={len(acked)} delivered={len(acked)} repeated={repeated} lost=0")
    server.kill()
    judged(disk, acked)


def test_a_store_that_is_removed_while_nobody_writes_is_missed_too(disk, sender):
    (disk.data_dir / "posthaste.db").unlink()
    why, took_s = sender.becomes(503)
    assert "posthaste.db was removed or replaced" in why
    assert not (disk.data_dir / "posthaste.db").exists()
    print(f"missed after {took_s:.2f} s")


def test_a_store_that_is_replaced_is_not_written(disk, sender):
    path = disk.data_dir / "posthaste.db"
    other = disk.place / "other.db"
    shutil.copy(path, other)
    was = other.read_bytes()
    other.rename(path)
    refused_well(sender.sends())
    assert "was removed or replaced" in sender.becomes(503)[0]
    for _ in range(WATCHED_ROUNDS):
        refused_well(sender.sends())
    assert path.read_bytes() == was


@pytest.mark.parametrize("mode", ["read-only", "full"])
def test_a_first_start_on_a_disk_that_cannot_be_written_says_so_and_ends(mode, disk):
    disk.does(mode)
    command = [conftest.BINARY, "serve", "--data-dir", str(disk.data_dir)]
    env = os.environ | disk.env | {"POSTHASTE_LISTEN": "127.0.0.1:0"}
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode != 0
    said = ended.stderr.strip().splitlines()
    assert len(said) == 1 and str(disk.data_dir) in said[0] and "not writable" in said[0], ended.stderr


def test_a_start_of_a_store_on_a_disk_that_became_full_says_so_and_ends(disk, server, sender, customer):
    # Something is owed, which a start puts back into the queue.
    with Held(customer):
        sender.sends_well(10)
        server.kill()
    disk.does("full")
    command = [conftest.BINARY, "serve", "--data-dir", str(disk.data_dir)]
    ended = subprocess.run(command, env=server.env, capture_output=True, text=True, timeout=DEADLINE_S)
    said = ended.stderr.strip().splitlines()
    assert ended.returncode != 0 and len(said) == 1 and str(disk.data_dir) in said[0], ended.stderr
    disk.does()
    server.start()
    customer.got(10)
