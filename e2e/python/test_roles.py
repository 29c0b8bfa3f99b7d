"""Nodes that do a part of the work each, over one PostgreSQL: together they do all of it. And a node that leaves."""

import datetime
import os
import signal
import subprocess
import time

import pytest
from svix import api

from balanced import Arrivals, Balancer, Nodes
from cluster import Cluster
from conftest import BINARY, DEADLINE_S, embedded_only
from inbound import Source, ask, github

pytestmark = embedded_only("starts nodes of its own")

GITHUB_SECRET = "it's a secret to everybody"
SOME = 200
# The listener's drain and what is under way; far less than the ten seconds after which a silent node counts as dead.
LEFT_WITHIN_S = 8
PAUSE_MAX_S = 2


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def nodes(cluster, tmp_path):
    nodes = Nodes(tmp_path, cluster.new_database())
    yield nodes
    nodes.close()


@pytest.fixture
def arrivals():
    arrivals = Arrivals()
    yield arrivals
    arrivals.close()


def client_of(node):
    return api.Svix(node.token, api.SvixOptions(server_url=node.url, retry_schedule=[]))


def sends_to(client, receiver):
    client.application.create(api.ApplicationIn(name="App", uid="a"))
    client.endpoint.create("a", api.EndpointIn(url=receiver.url))


def metrics_of(node):
    return ask(f"{node.url}/metrics").body.decode()


def refused(**settings):
    """What a server says that does not start."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")} | settings
    done = subprocess.run([BINARY, "serve"], env=env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 2, done.stderr
    return done.stderr


def test_a_node_a_role_do_all_of_the_work_together(nodes, receiver, handler):
    front, door, back = (nodes.start(POSTHASTE_ROLE=role) for role in ("api", "inbound", "deliver"))
    client = client_of(front)
    sends_to(client, receiver)
    source = Source(front, "github", {"secret": GITHUB_SECRET}, handler, uid="repo")
    message = client.message.create("a", api.MessageIn(event_type="a.b", payload={"n": 1}))
    (_, headers, _), = receiver.got(1)
    assert headers["webhook-id"] == message.id
    # What came in by the door of one node is sent by another, and seen on a third.
    source.posthaste = door
    body = b'{"zen": "Keep it logically awesome."}'
    assert source.knock(body, github(GITHUB_SECRET, body)).status == 200
    (handled,) = handler.got(1)
    assert handled.body == body
    source.posthaste = front
    source.stored(1)
    # A job that the API writes down is run by whoever delivers.
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    receiver.answers_with(500, 500, 500)
    lost = client.message.create("a", api.MessageIn(event_type="a.b", payload={"n": 2}))
    receiver.got(4)
    endpoint = client.endpoint.list("a").data[0]
    for _ in range(2000):
        if client.message_attempt.list_attempted_destinations("a", lost.id).data[0].status == 2:
            break
    client.endpoint.recover("a", endpoint.id, api.RecoverIn(since=since))
    assert receiver.got(5)[4][1]["webhook-id"] == lost.id
    assert 'roles="deliver"' in metrics_of(back) and 'outcome="success"' in metrics_of(back)
    for node in (front, door):
        assert 'posthaste_attempts_total{' not in metrics_of(node), "a node sent that does not deliver"


def test_a_node_says_what_it_does_not_serve_and_is_ready_all_the_same(nodes):
    front, door, back = (nodes.start(POSTHASTE_ROLE=role) for role in ("api", "inbound", "deliver"))
    for node, role in ((front, "api"), (door, "inbound"), (back, "deliver")):
        assert ask(f"{node.url}/readyz").body.decode() == f"ready, as {role}\n"
        subprocess.run([BINARY, "healthcheck", node.url], check=True, timeout=DEADLINE_S, capture_output=True)
    for node, path, role in ((front, "/in/abc", "inbound"), (door, "/api/v1/app", "api"), (back, "/api/v1/app", "api")):
        answer = ask(node.url + path)
        assert answer.status == 421, answer
        detail = answer.json()["detail"]
        assert "this node does not serve" in detail and f"(role {role})" in detail


def test_a_role_that_is_none_or_has_nobody_beside_it_is_refused_in_one_sentence(tmp_path):
    said = refused(POSTHASTE_ROLE="api,worker", POSTHASTE_DATA_DIR=str(tmp_path))
    assert 'role (from environment POSTHASTE_ROLE) is "api,worker": must be one or more of api, inbound, deliver' in said
    said = refused(POSTHASTE_ROLE="api", POSTHASTE_DATA_DIR=str(tmp_path))
    assert 'POSTHASTE_ROLE is "api" and needs --database-url' in said


def rows_of_nodes(cluster, url):
    psql = ["psql", "-h", str(cluster.dir), "-U", "postgres", "-d", url.rsplit("/", 1)[1], "-Atc"]
    done = subprocess.run([*psql, "SELECT count(*) FROM node"], capture_output=True, text=True, timeout=DEADLINE_S)
    return int(done.stdout)


def test_a_node_that_is_told_to_leave_under_load_leaves_nothing_behind_and_nothing_is_sent_twice(
    cluster, nodes, arrivals
):
    first, second = nodes.start(), nodes.start()
    sends_to(client_of(first), arrivals)
    load = Balancer(first, second)
    load.got(SOME)
    assert rows_of_nodes(cluster, nodes.settings["POSTHASTE_DATABASE_URL"]) == 2
    began = time.monotonic()
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(LEFT_WITHIN_S) == 0
    left_s = time.monotonic() - began
    assert rows_of_nodes(cluster, nodes.settings["POSTHASTE_DATABASE_URL"]) == 1, "its row is left: it counts as alive"
    load.forgets(first)
    load.got(SOME)
    acked = load.ended()
    arrivals.saw(acked)
    assert arrivals.repeated() == {}
    pause_s = arrivals.longest_pause_s()
    print(f"left after {left_s:.2f} s; {len(acked)} messages, the longest pause {pause_s:.2f} s")
    assert pause_s < PAUSE_MAX_S
