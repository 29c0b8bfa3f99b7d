"""A PostgreSQL that is too slow: callers hear so soon, nothing piles up, and work goes on by itself when it can."""

import http.client
import json
import subprocess
import threading
import time
import urllib.parse

import pytest
from svix import api

from balanced import Arrivals, Nodes
from cluster import Cluster
from conftest import DEADLINE_S, embedded_only
from inbound import Source, ask, github
from stalling import Stalling

pytestmark = embedded_only("starts nodes of its own")

# A caller whose message was taken in to be written waits ten seconds at most, and whose token is looked up five.
ANSWERED_WITHIN_S = 13
ALIVE_WITHIN_S = 1
BACK_WITHIN_S = 5
BODY_BYTES = 900 << 10
CALLERS = 160
# What is set aside for bodies that wait (64 MiB), as much again on its way there, and the allocator's share.
RSS_GROWTH_MAX_MIB = 300


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def arrivals():
    arrivals = Arrivals()
    yield arrivals
    arrivals.close()


@pytest.fixture
def way(cluster):
    way = Stalling(str(cluster.dir / ".s.PGSQL.5432"))
    yield way
    way.close()


@pytest.fixture
def node(cluster, way, tmp_path):
    database = cluster.new_database().rsplit("/", 1)[1]
    nodes = Nodes(tmp_path, way.url(database))
    node = nodes.start()
    node.database = database
    yield node
    way.flows()
    nodes.close()


def sends_to(node, receiver):
    client = api.Svix(node.token, api.SvixOptions(server_url=node.url, retry_schedule=[]))
    client.application.create(api.ApplicationIn(name="App", uid="a"))
    client.endpoint.create("a", api.EndpointIn(url=receiver.url))


class Heard:
    """What one caller heard, and after how long."""

    def __init__(self, node, payload_bytes):
        body = json.dumps({"eventType": "a.b", "payload": {"x": "y" * payload_bytes}})
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(node.url).netloc, timeout=3 * DEADLINE_S)
        headers = {"authorization": f"Bearer {node.token}", "content-type": "application/json"}
        began = time.monotonic()
        connection.request("POST", "/api/v1/app/a/msg", body, headers)
        answer = connection.getresponse()
        self.status, self.retry_after = answer.status, answer.headers["retry-after"]
        self.answer = json.loads(answer.read())
        self.took_s = time.monotonic() - began
        connection.close()


def all_heard(node, callers, payload_bytes=16):
    """So many callers at once, all answered."""
    heard = []
    threads = [
        threading.Thread(target=lambda: heard.append(Heard(node, payload_bytes)), daemon=True) for _ in range(callers)
    ]
    for thread in threads:
        thread.start()
    return threads, heard


def rss_mib(node):
    for line in open(f"/proc/{node.process.pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("there is no such process")


def shed_count(node):
    for line in ask(f"{node.url}/metrics").body.decode().splitlines():
        if line.startswith("posthaste_store_shed_total "):
            return int(line.split()[1])
    raise AssertionError("there is no such metric")


def is_alive(node):
    began = time.monotonic()
    assert ask(f"{node.url}/livez").status == 200
    assert time.monotonic() - began < ALIVE_WITHIN_S


def is_back(node, receiver):
    """A message is accepted and delivered, soon."""
    began = time.monotonic()
    heard = Heard(node, 16)
    while heard.status != 202 and time.monotonic() - began < BACK_WITHIN_S:
        heard = Heard(node, 16)
    receiver.saw({heard.answer["id"]}, within_s=BACK_WITHIN_S)
    took_s = time.monotonic() - began
    assert took_s < BACK_WITHIN_S
    return took_s


def all_refused(threads, heard):
    for thread in threads:
        thread.join(3 * DEADLINE_S)
        assert not thread.is_alive(), "somebody was never answered"
    assert {one.status for one in heard} == {503}
    assert all(int(one.retry_after) >= 1 for one in heard)
    longest_s = max(one.took_s for one in heard)
    assert longest_s < ANSWERED_WITHIN_S
    return longest_s


def test_while_the_way_to_postgresql_stalls_callers_hear_so_and_then_work_goes_on(node, way, arrivals, handler):
    sends_to(node, arrivals)
    source = Source(node, "github", {"secret": "s"}, handler)
    is_back(node, arrivals)
    way.stalls()
    threads, heard = all_heard(node, 40)
    is_alive(node)
    assert ask(f"{node.url}/readyz").status == 503
    body = b"{}"
    knocked = source.knock(body, github("s", body))
    assert knocked.status == 503 and int(knocked.headers["retry-after"]) >= 1, knocked
    longest_s = all_refused(threads, heard)
    assert shed_count(node) >= 40
    way.flows()
    took_s = is_back(node, arrivals)
    print(f"all 40 refused within {longest_s:.1f} s; back {took_s:.2f} s after the way was free")


def test_behind_a_locked_table_what_waits_is_bounded_in_time_and_memory(node, cluster, arrivals):
    sends_to(node, arrivals)
    is_back(node, arrivals)
    before = rss_mib(node)
    psql = ["psql", "-h", str(cluster.dir), "-U", "postgres", "-d", node.database, "-v", "ON_ERROR_STOP=1", "-Atq"]
    locking = subprocess.Popen(psql, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    locking.stdin.write("BEGIN; LOCK TABLE message IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n")
    locking.stdin.flush()
    assert locking.stdout.readline().strip() == "locked"
    threads, heard = all_heard(node, CALLERS, BODY_BYTES)
    most = before
    while any(thread.is_alive() for thread in threads):
        most = max(most, rss_mib(node))
        is_alive(node)
    longest_s = all_refused(threads, heard)
    at_once = sum(one.took_s < 4 for one in heard)
    locking.stdin.write("ROLLBACK;\n")
    locking.stdin.close()
    locking.wait(DEADLINE_S)
    took_s = is_back(node, arrivals)
    print(
        f"{CALLERS} bodies of {BODY_BYTES >> 10} KiB: refused within {longest_s:.1f} s, {at_once} of them within 4 s; "
        f"RSS from {before:.0f} to {most:.0f} MiB; back after {took_s:.2f} s"
    )
    assert most - before < RSS_GROWTH_MAX_MIB
    assert shed_count(node) > 0
