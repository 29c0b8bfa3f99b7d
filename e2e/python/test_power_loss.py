"""The power may go at any instant: what was answered 2xx is on the disk, with every delivery that it owes.

One run under load is recorded, every write and every sync of it. From the record the disk is rebuilt as a power cut may
leave it at many instants: what was synced, and any part of what was not. Negative control: a binary that does not wait
for the disk must be caught. By hand: POWER_CUTS=5000 POWER_SEED=7.
"""

import collections
import http.client
import json
import os
import pathlib
import random
import shutil
import sqlite3
import tempfile
import threading
import time
import urllib.parse

import pytest

import conftest
from conftest import DEADLINE_S, Posthaste, Receiver, embedded_only
from disk import Disk, Replay

pytestmark = embedded_only("what the embedded file has synced: PostgreSQL has promises of its own")
CUTS = int(os.environ.get("POWER_CUTS", "200"))
SEED = int(os.environ.get("POWER_SEED", "1"))
# A binary with bugs that can be planted: cargo build --features faults.
FAULTS_BIN = os.environ.get("POSTHASTE_FAULTS_BIN")
CLIENTS = 8
ENDPOINTS = 2
MESSAGES = 1_500
RESTARTS = 3
FAILING_SYNCS = 10
# Of one message, while the store is not well.
TRIES_MAX = 20_000
# The first start syncs the database so often; once more is a checkpoint under load.
CHECKPOINTS_AT_START = 2
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# What of the receivers' answers is a failure, so that retries are owed at every instant.
FAILING = 0.1


class Customer(Receiver):
    """Counts what came, by endpoint and message; fails now and then."""

    def __init__(self):
        super().__init__()
        self.seen, self.dice = collections.Counter(), random.Random(SEED)

    def remember(self, request, _):
        self.seen[request.path, request.headers["webhook-id"]] += 1
        self.answers_with(500 if self.dice.random() < FAILING else 200)

    def saw(self, expected):
        with self.changed:
            assert self.changed.wait_for(lambda: expected <= self.seen.keys(), DEADLINE_S), (
                f"{len(expected - self.seen.keys())} deliveries never came"
            )


class Load:
    """Clients that send and write down what they were told, and when."""

    def __init__(self, server, endpoint_urls):
        self.server, self.acked, self.left = server, [], iter(range(MESSAGES))
        self.lock = threading.Lock()
        connection = self.connect()
        self.app = self.post(connection, "/api/v1/app", {"name": "acme"})["id"]
        for url in endpoint_urls:
            self.post(connection, f"/api/v1/app/{self.app}/endpoint", {"url": url})

    def connect(self):
        return http.client.HTTPConnection(urllib.parse.urlsplit(self.server.url).netloc, timeout=DEADLINE_S)

    def post(self, connection, path, body):
        headers = {"authorization": f"Bearer {self.server.token}", "content-type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 201, 202, 503), f"{answer.status}: {text}"
        return json.loads(text) if answer.status != 503 else None

    def send(self):
        connection = self.connect()
        while True:
            with self.lock:
                n = next(self.left, None)
            if n is None:
                return
            body = {"eventType": "order.paid", "payload": {"n": n, "pad": "x" * (n % 7) * 4_000}}
            for _ in range(TRIES_MAX):
                if message := self.post(connection, f"/api/v1/app/{self.app}/msg", body):
                    self.acked.append((time.time_ns(), message["id"]))
                    break

    def wait_until(self, holds):
        began = time.monotonic()
        while not holds():
            assert time.monotonic() - began < DEADLINE_S, f"only {len(self.acked)} messages were taken"

    def run(self, disk, failing_syncs):
        clients = [threading.Thread(target=self.send) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        dice = random.Random(SEED)
        for _ in range(failing_syncs):
            disk.does("record", f"fsync-fails {dice.randrange(1, 30)}")
            taken = len(self.acked)
            self.wait_until(lambda: len(self.acked) >= min(taken + 60, MESSAGES))
        for client in clients:
            client.join()
        assert len(self.acked) == MESSAGES, f"{len(self.acked)} of {MESSAGES} messages were taken"


class Recorded:
    """A run under load, and the journal of its disk."""

    def __init__(self, place, binary, failing_syncs=0, **settings):
        self.place, self.customer = place, Customer()
        # Each image is looked at for a moment: it need not reach a disk.
        self.in_memory = tempfile.mkdtemp(prefix="power-", dir="/dev/shm" if os.path.isdir("/dev/shm") else place)
        self.disk = Disk(place)
        self.disk.does("record")
        server = self.disk.serve(binary=binary, POSTHASTE_RETRY_SCHEDULE="100ms,1s,1s", **settings)
        load = Load(server, [f"{self.customer.url}/{n}" for n in range(ENDPOINTS)])
        self.began_ns = time.time_ns()
        load.run(self.disk, failing_syncs)
        self.ended_ns = time.time_ns()
        server.kill()
        self.acked = sorted(load.acked)
        self.replay = Replay(self.disk.journal)

    def acked_before(self, instant_ns):
        return {message for when, message in self.acked if when < instant_ns}

    def cuts(self, count):
        """So many instants of the run in their order, each with dice of its own."""
        dice = random.Random(SEED)
        instants = sorted(dice.randrange(self.began_ns, self.ended_ns) for _ in range(count))
        for number, instant_ns in enumerate(instants):
            self.replay.until(instant_ns)
            yield number, instant_ns, random.Random(f"{SEED}/{number}")

    def close(self):
        self.customer.close()
        shutil.rmtree(self.in_memory)
        shutil.rmtree(self.place)


def key(message):
    """A message's id as the store keeps it: the number that its letters write, in bytes."""
    number = 0
    for letter in message.removeprefix("msg_"):
        number = number * len(LETTERS) + LETTERS.index(letter)
    return number.to_bytes(20, "big")


def what_is_wrong(place, acked):
    """What a store that was found after a power cut lacks; nothing, if it keeps its promise."""
    store = sqlite3.connect(place / "posthaste.db")
    try:
        verdict = store.execute("PRAGMA integrity_check").fetchone()[0]
        owed = collections.Counter(row[0] for row in store.execute("SELECT message FROM delivery"))
        stored = {row[0] for row in store.execute("SELECT id FROM message")}
    except sqlite3.DatabaseError as error:
        return f"the store cannot be read: {error}"
    finally:
        store.close()
    if verdict != "ok":
        return f"integrity_check: {verdict}"
    if lost := {key(message) for message in acked} - stored:
        return f"{len(lost)} of {len(acked)} acknowledged messages are gone"
    if short := [message for message in stored if owed[message] != ENDPOINTS]:
        return f"{len(short)} messages lack deliveries"
    return None


@pytest.fixture
def recorded(tmp_path):
    runs = []

    def record(binary, **settings):
        runs.append(Recorded(tmp_path, binary, **settings))
        return runs[-1]

    yield record
    for run in runs:
        run.close()


def examine(run, count):
    """Cuts the power so often; returns what was wrong, by cut, and how many acknowledged messages were looked for."""
    wrong, looked_for = {}, 0
    for number, instant_ns, dice in run.cuts(count):
        place = pathlib.Path(run.in_memory) / "cut"
        run.replay.cut(dice, place)
        acked = run.acked_before(instant_ns)
        looked_for += len(acked)
        if found := what_is_wrong(place, acked):
            wrong[number] = found
        shutil.rmtree(place)
    return wrong, looked_for


def test_what_was_acknowledged_is_there_whenever_the_power_goes(recorded):
    run = recorded(conftest.BINARY)
    wrong, looked_for = examine(run, CUTS)
    commits, checkpoints = run.replay.syncs["posthaste.db-wal"], run.replay.syncs["posthaste.db"]
    print(
        f"seed={SEED} cuts={CUTS} acked={MESSAGES} looked_for={looked_for} "
        f"log_syncs={commits} database_syncs={checkpoints} lost={len(wrong)}"
    )
    assert looked_for > 0 and commits > 0 and checkpoints > CHECKPOINTS_AT_START
    assert not wrong, f"seed {SEED}: {wrong}"


def test_what_was_acknowledged_after_a_failed_sync_is_there_too(recorded):
    run = recorded(conftest.BINARY, failing_syncs=FAILING_SYNCS)
    wrong, looked_for = examine(run, CUTS // 4)
    failed = run.replay.failed_syncs
    print(f"seed={SEED} cuts={CUTS // 4} failed_syncs={failed} looked_for={looked_for} lost={len(wrong)}")
    assert looked_for > 0 and failed > FAILING_SYNCS // 2
    assert not wrong, f"seed {SEED}: {wrong}"


def test_a_server_that_starts_after_a_power_cut_delivers_what_is_owed(recorded):
    run = recorded(conftest.BINARY)
    for number, instant_ns, dice in run.cuts(RESTARTS):
        place = run.place / f"cut-{number}"
        run.replay.cut(dice, place)
        for name in ("main-secret", "admin-token"):
            shutil.copy(run.disk.data_dir / name, place)
        server = Posthaste(place, POSTHASTE_RETRY_SCHEDULE="100ms,1s,1s")
        acked = run.acked_before(instant_ns)
        run.customer.saw({(f"/hook/{n}", message) for n in range(ENDPOINTS) for message in acked})
        server.stop()
        print(f"seed={SEED} cut={number} acked={len(acked)} delivered")


@pytest.mark.skipif(not FAULTS_BIN, reason="POSTHASTE_FAULTS_BIN is not set: no bug can be planted")
def test_a_server_that_does_not_wait_for_the_disk_is_caught(recorded):
    run = recorded(FAULTS_BIN, POSTHASTE_PLANT="sync-off")
    wrong, looked_for = examine(run, CUTS // 10)
    print(f"seed={SEED} cuts={CUTS // 10} planted=sync-off looked_for={looked_for} caught={len(wrong)}")
    assert len(wrong) > CUTS // 20, f"seed {SEED}: only {len(wrong)} of {CUTS // 10} cuts lost something"
