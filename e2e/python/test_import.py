"""An embedded installation moves to PostgreSQL: everything is there and goes on, however often the import was killed."""

import concurrent.futures
import os
import re
import signal
import sqlite3
import threading
import time
import urllib.parse

import pytest

from cluster import Cluster
from conftest import BINARY, DEADLINE_S, Handler, Posthaste, embedded_only
from importing import TABLES, Import, answers
from inbound import ask, call, github, made
from kept_store import PROVIDER_SECRET, RECEIVERS, Answering, fill, keyed
from test_kept_stores import verified

pytestmark = embedded_only("what is imported is an embedded store, and the database is these tests' own")

FAULTS_BIN = os.environ.get("POSTHASTE_FAULTS_BIN")
NEEDS_FAULTS = pytest.mark.skipif(not FAULTS_BIN, reason="needs a binary with the feature faults, in POSTHASTE_FAULTS_BIN")
NEW_SECRET = "the main secret of the database"


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def receivers():
    receivers = {name: Answering(status) for name, status in RECEIVERS.items()}
    yield receivers
    for receiver in receivers.values():
        receiver.held.set()
        receiver.close()


class Embedded:
    """A killed installation with a few of everything, and what its API said."""

    def __init__(self, data_dir, receivers):
        # Its main secret is the one that it made for itself.
        self.server = Posthaste(data_dir, POSTHASTE_RETRY_SCHEDULE="1h,1h")
        self.database = self.server.data_dir / "posthaste.db"
        self.facts = fill(self.server, receivers)
        self.job_token = self.server.new_token("second")
        self.burst()
        self.tokens = self.server.run("token", "list")
        body = {"eventType": "invoice.paid", "payload": {"n": 1}, "channels": ["to-hung"]}
        self.in_flight = made(self.server, "/api/v1/app/acme/msg", body)["id"]
        receivers["hung"].got(2)
        self.said = said(self.server, self.facts)
        self.server.kill()
        [(self.in_flight_count,)] = self.all("SELECT count(*) FROM delivery WHERE state = 1")
        assert self.in_flight_count >= 1
        for receiver in receivers.values():
            receiver.requests.clear()

    def burst(self):
        """Enough for several steps of the larger tables."""
        body = {"eventType": "invoice.paid", "payload": {"n": "x" * 100}, "channels": ["to-well"]}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: made(self.server, "/api/v1/app/acme/msg", body), range(2_500)))
        delivered = "SELECT count(*) FROM delivery WHERE state = 2"
        for _ in range(2_000):
            if self.all(delivered)[0][0] >= 2_500 + 2:
                return
        raise AssertionError(f"{self.all(delivered)} deliveries are done")

    def all(self, sql):
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as store:
            return store.execute(sql).fetchall()

    def to(self, cluster, secret=NEW_SECRET, binary=BINARY):
        return Import(self.database, cluster.new_database(), secret, binary)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, receivers):
    return Embedded(tmp_path_factory.mktemp("embedded") / "data", receivers)


def pages(server, path):
    """A list to its end, as it was answered."""
    bodies, joint, iterator = [], "&" if "?" in path else "?", ""
    while True:
        answer = call(server, "GET", f"{path}{joint}limit=250{iterator}")
        assert answer.status == 200, (path, answer)
        bodies.append(answer.body.decode().replace(server.url, "http://server"))
        page = answer.json()
        if page["done"]:
            return bodies
        iterator = "&iterator=" + urllib.parse.quote(page["iterator"])


def said(server, facts):
    """Everything that the API says, byte for byte; what is in flight apart, since that goes out again."""
    acme, said = "/api/v1/app/acme", {}

    def one(path):
        answer = call(server, "GET", path)
        assert answer.status == 200, (path, answer)
        said[path] = answer.body.decode().replace(server.url, "http://server")

    lists = ["/api/v1/app", "/api/v1/event-type?with_content=true", f"{acme}/endpoint", f"{acme}/msg?with_content=true"]
    for name, endpoint in facts["endpoints"].items():
        for rest in ("", "/secret", "/headers"):
            one(f"{acme}/endpoint/{name}{rest}")
        if name != "hung":
            lists.append(f"{acme}/attempt/endpoint/{endpoint}?with_content=true")
    for name, message in facts["messages"].items():
        one(f"{acme}/msg/evt-{name}" if name != "expunged" else f"{acme}/msg/{message}")
        if name != "hung":
            lists.append(f"{acme}/attempt/msg/{message}?with_content=true")
            lists.append(f"{acme}/msg/{message}/endpoint")
    one(f"/api/v1/background-task/{facts['task']}")
    for source in ("code", "paused", "tick"):
        path = f"/ingest/api/v1/source/{source}"
        one(path)
        app = call(server, "GET", path).json()["appId"]
        lists += [f"{path}/endpoint", f"{path}/log", f"/api/v1/app/{app}/msg?with_content=true"]
    for path in lists:
        said[path] = pages(server, path)
    return said


def test_the_api_says_after_the_import_what_it_said_before(embedded, cluster, receivers, tmp_path):
    moves = embedded.to(cluster)
    before = moves.source_digest()
    assert moves.passes()["rollup"]["rows"] > 0, "something was counted"
    assert moves.source_digest() == before, "the source is only read"
    server = moves.serve(tmp_path / "node", embedded.facts["token"], POSTHASTE_RETRY_SCHEDULE="1h,1h")
    after = said(server, embedded.facts)
    for path, answer in embedded.said.items():
        assert after[path] == answer, path
    assert server.run("token", "list") == embedded.tokens
    acme = "/api/v1/app/acme"
    assert call(server, "GET", acme, token=embedded.facts["portal_token"]).status == 200
    assert call(server, "GET", acme, token=embedded.facts["revoked_token"]).status == 401
    assert call(server, "GET", "/api/v1/app", token=embedded.job_token).json()["data"] == []
    assert keyed(server, "/api/v1/app/globex/msg").json()["id"] == embedded.facts["idempotent"]
    # What was in flight goes out again, once; what was delivered or waits does not.
    requests = receivers["hung"].got(embedded.in_flight_count)
    assert embedded.in_flight in {verified(embedded.facts["secrets"]["hung"], request) for request in requests}
    door, known, new = f"{server.url}/in/{embedded.facts['source']['door']}", b'{"zen":1}', b'{"zen":3}'
    assert ask(door, "POST", github(PROVIDER_SECRET, known, delivery="kept-1"), known).status == 200
    assert ask(door, "POST", github(PROVIDER_SECRET, new), new).status == 200
    [request] = receivers["handler"].got(1)
    assert request.body == new
    verified(embedded.facts["source"]["secret"], request)
    # A new one to each, so that whatever would go out before it has.
    for name in ("signed", "well"):
        body = {"eventType": "invoice.paid", "payload": {"n": 2}, "channels": [f"to-{name}"]}
        sent = made(server, f"{acme}/msg", body)["id"]
        [request] = receivers[name].got(1)
        assert request.headers["webhook-id"] == sent
    assert receivers["signed"].requests[0].headers["webhook-signature"].startswith("v1a,")
    # Both secrets sign: the new one, and the old one until it retires.
    for secret in (embedded.facts["secrets"]["well"], embedded.facts["rotated_secret"]):
        verified(secret, request)
    assert len(receivers["hung"].requests) == embedded.in_flight_count and not receivers["late"].requests
    made(server, "/api/v1/app", {"name": "New", "uid": "new"})
    server.kill()


def test_the_same_main_secret_does_as_well_as_another(embedded, cluster):
    secret = (embedded.database.parent / "main-secret").read_text().strip()
    assert answers(embedded.to(cluster, secret).passes()) == answers(embedded.to(cluster).passes())


# At which of its hits each run dies: once a step was written, it is not yet committed.
DEATHS = {
    "import.begun": [1, 1],
    "import.chunk_written": [3, 1, 2, 1, 9],
    "import.chunk_committed": [1] * 100,
    "import.checked": [1, 1],
}


@NEEDS_FAULTS
@pytest.mark.parametrize("point", DEATHS)
def test_an_import_that_dies_goes_on_and_ends_like_one_that_does_not(embedded, cluster, tmp_path, point):
    moves, deaths = embedded.to(cluster, binary=FAULTS_BIN), 0
    for hit in DEATHS[point]:
        run = moves.run(fault=f"{point}=abort@{hit}")
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGABRT, run.stderr
        deaths += 1
        if deaths <= 2:
            served = moves.cannot_serve(tmp_path / "node")
            assert "the import into this database is not finished: run `posthaste import` until it says that it is" in served
    # Each table is a step at least.
    assert deaths == len(DEATHS[point]) or deaths >= len(TABLES)
    if run.returncode:
        moves.passes()
    assert answers(moves.passes("--check")) == answers(embedded.to(cluster).passes())


def test_an_import_that_is_killed_again_and_again_ends_like_one_that_is_not(embedded, cluster):
    moves = embedded.to(cluster)
    deaths = sum(moves.killed_after(lines) for lines in (1, 3, 2, 5, 4, 8))
    done = moves.run()
    assert done.returncode == 0 or "was imported into this database already" in done.stderr, done.stderr
    assert deaths >= 3
    assert answers(moves.passes("--check")) == answers(embedded.to(cluster).passes())


def test_a_dry_run_counts_and_changes_nothing(embedded, cluster):
    moves = embedded.to(cluster)
    tables = moves.passes("--dry-run")
    assert tables["message"]["rows"] == embedded.all("SELECT count(*) FROM message")[0][0]
    assert not any(row["checked"] for row in tables.values())
    assert cluster.answers(moves.url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"


def test_what_it_did_is_a_table_and_how_far_it_is_a_few_lines(embedded, cluster):
    done = embedded.to(cluster).run()
    assert done.returncode == 0, done.stderr
    rows = [re.split(r"  +", line.strip()) for line in done.stdout.splitlines()]
    assert rows[0] == ["table", "rows", "checked"] and {row[0] for row in rows[1:]} == TABLES
    assert all(re.fullmatch("yes, [0-9a-f]{16}", row[2]) for row in rows[1:])
    *progress, last = done.stderr.splitlines()
    assert last.endswith("start `posthaste serve` on the database, and never the old store again")
    assert 2 <= len(progress) <= 24 and progress[-1].startswith("checking 100 %"), progress


def test_a_row_that_is_not_what_it_was_is_named(embedded, cluster):
    moves = embedded.to(cluster)
    moves.passes()
    endpoint = embedded.facts["endpoints"]["well"]
    cluster.answers(moves.url, "UPDATE endpoint SET description = 'spoiled' WHERE uid = 'well'")
    said = moves.run("--check")
    assert said.returncode == 1
    assert f"the check failed: in table endpoint, {endpoint} is not what it was" in said.stderr
    cluster.answers(moves.url, "UPDATE endpoint SET description = 'is well' WHERE uid = 'well'")
    assert moves.run("--check").returncode == 0
    message = embedded.facts["messages"]["late"]
    cluster.answers(moves.url, "DELETE FROM delivery WHERE state = 0 AND attempts = 1 AND endpoint IN (SELECT id FROM endpoint WHERE uid = 'late')")
    said = moves.run("--check")
    assert said.returncode == 1 and f"the check failed: in table delivery, {message} " in said.stderr


def test_what_cannot_be_meant_is_refused_in_one_sentence(embedded, cluster, tmp_path, receivers):
    moves = embedded.to(cluster)
    assert "is not yet imported into this database" in moves.refused("--check")
    moves.passes()
    assert "was imported into this database already" in moves.refused()
    other = Posthaste(tmp_path / "other")
    others = Import(other.data_dir, cluster.new_database(), NEW_SECRET)
    assert "another posthaste is serving from" in others.refused()
    other.stop()
    into_ours = Import(other.data_dir, moves.url, NEW_SECRET)
    assert "the database holds what was imported from another store" in into_ours.refused()
    (other.data_dir / "main-secret").rename(tmp_path / "main-secret")
    said = others.refused()
    assert "the main secret of" in said and "name its directory with --data-dir" in said
    assert others.passes("--data-dir", str(tmp_path))["token"]["rows"] == 1
    served = Import(other.data_dir, cluster.new_database(), NEW_SECRET)
    node = served.serve(tmp_path / "node", "unused")
    assert "the database is not empty (environment has rows)" in served.refused("--data-dir", str(tmp_path))
    node.stop()
    wrong = Import(other.data_dir, moves.url, "another secret")
    assert "POSTHASTE_MAIN_SECRET is not the one that this store was written with" in wrong.refused("--data-dir", str(tmp_path))
    (tmp_path / "text").write_text("no store")
    assert "is not a store of posthaste's" in Import(tmp_path / "text", cluster.new_database(), NEW_SECRET).refused()
    assert "there is no store at" in Import(tmp_path / "nothing", cluster.new_database(), NEW_SECRET).refused()


def test_a_store_that_was_used_since_its_import_began_is_refused(embedded, cluster, tmp_path):
    server = Posthaste(tmp_path / "data")
    made(server, "/api/v1/app", {"name": "A"})
    server.stop()
    moves = Import(server.data_dir, cluster.new_database(), NEW_SECRET)
    assert moves.killed_after(1)
    server.start()
    made(server, "/api/v1/app", {"name": "B"})
    server.stop()
    assert "has changed since this import began" in moves.refused()


@NEEDS_FAULTS
def test_a_recovery_that_was_under_way_goes_on_where_it_was(cluster, tmp_path):
    receiver = Handler()
    receiver.answers_with(*[500] * 1_200)
    settings = {"POSTHASTE_RETRY_SCHEDULE": "1ms", "POSTHASTE_FAULT": "recover.cursor_saved=abort@2"}
    server = Posthaste(tmp_path / "data", FAULTS_BIN, **settings)
    made(server, "/api/v1/app", {"name": "A", "uid": "a"})
    made(server, "/api/v1/app/a/endpoint", {"url": receiver.url, "uid": "e"})
    for n in range(600):
        made(server, "/api/v1/app/a/msg", {"eventType": "a.b", "payload": {"n": n}})
    receiver.got(1_200)
    with sqlite3.connect(f"file:{server.data_dir}/posthaste.db?mode=ro", uri=True) as store:
        for _ in range(20_000):
            if store.execute("SELECT count(*) FROM delivery WHERE state = 3").fetchone()[0] == 600:
                break
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3_600))
    task = made(server, "/api/v1/app/a/endpoint/e/recover", {"since": since})["id"]
    assert server.process.wait(DEADLINE_S) == -signal.SIGABRT
    moves = Import(server.data_dir, cluster.new_database(), NEW_SECRET)
    moves.passes()
    receiver.requests.clear()
    node = moves.serve(tmp_path / "node", server.token)
    assert len({request.headers["webhook-id"] for request in receiver.got(600)}) == 600
    for _ in range(2_000):
        if call(node, "GET", f"/api/v1/background-task/{task}").json()["status"] == "finished":
            break
    else:
        raise AssertionError("the recovery did not finish")
    node.kill()
    receiver.close()


def test_what_a_server_under_load_was_killed_over_goes_out_and_nothing_is_lost(cluster, tmp_path):
    receiver = Handler()
    server = Posthaste(tmp_path / "data", POSTHASTE_RETRY_SCHEDULE="1ms")
    made(server, "/api/v1/app", {"name": "A", "uid": "a"})
    made(server, "/api/v1/app/a/endpoint", {"url": receiver.url})
    accepted, died = [], threading.Event()

    def send():
        while not died.is_set():
            try:
                accepted.append(made(server, "/api/v1/app/a/msg", {"eventType": "a.b", "payload": {"n": 1}})["id"])
            except Exception:
                # The server is gone: nobody said that it was taken.
                return

    senders = [threading.Thread(target=send, daemon=True) for _ in range(4)]
    for sender in senders:
        sender.start()
    receiver.got(300)
    server.kill()
    died.set()
    for sender in senders:
        sender.join(DEADLINE_S)
    moves = Import(server.data_dir, cluster.new_database(), NEW_SECRET)
    assert moves.killed_after(1)
    moves.passes()
    node = moves.serve(tmp_path / "node", server.token)
    for _ in range(2_000):
        ids = [request.headers["webhook-id"] for request in receiver.got(1)]
        if set(ids) >= set(accepted):
            break
    assert not set(accepted) - set(ids), "accepted, and not delivered"
    node.stop()
    receiver.close()
