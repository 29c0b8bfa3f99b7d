"""Old and new version together, over one database.

There is one version of Posthaste in this repository. The next one is played by the binary with fault points: told to, it
adds a migration (a column and a table more), as a version would that expands the schema. What it does beside that is what
the present one does. So this shows the order of an upgrade and what the older binary makes of a newer schema; it cannot
show that a future migration keeps to the rules of migrations/README.md.
"""

import os
import signal
import subprocess

import pytest
from svix import api

from balanced import Arrivals, Balancer, Nodes
from cluster import Cluster
from conftest import BINARY, DEADLINE_S, embedded_only

pytestmark = embedded_only("starts nodes of its own")

NEXT_BINARY = os.environ.get("POSTHASTE_FAULTS_BIN", "")
PLAYS_NEXT = {"POSTHASTE_PLAYS_NEXT_VERSION": "1"}
SOME = 150
LEFT_WITHIN_S = 12
PAUSE_MAX_S = 2


@pytest.fixture(scope="module")
def cluster():
    if not NEXT_BINARY:
        pytest.skip("POSTHASTE_FAULTS_BIN names no binary that could play the next version")
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def database(cluster):
    return cluster.new_database()


@pytest.fixture
def nodes(database, tmp_path):
    nodes = Nodes(tmp_path, database)
    yield nodes
    nodes.close()


@pytest.fixture
def arrivals():
    arrivals = Arrivals()
    yield arrivals
    arrivals.close()


def sends_to(node, receiver):
    client = api.Svix(node.token, api.SvixOptions(server_url=node.url, retry_schedule=[]))
    client.application.create(api.ApplicationIn(name="App", uid="a"))
    client.endpoint.create("a", api.EndpointIn(url=receiver.url))


def ask(cluster, database, sql):
    name = database.rsplit("/", 1)[1]
    psql = ["psql", "-h", str(cluster.dir), "-U", "postgres", "-d", name, "-v", "ON_ERROR_STOP=1", "-Atqc", sql]
    done = subprocess.run(psql, capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    return done.stdout.strip()


def leaves(load, node):
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(LEFT_WITHIN_S) == 0
    load.forgets(node)


def is_of_next_schema(cluster, database):
    return ask(cluster, database, "SELECT count(*) FROM pg_tables WHERE tablename = 'next_version'") == "1"


def test_a_rolling_upgrade_and_a_way_back_under_load_lose_nothing_and_repeat_nothing(
    cluster, database, nodes, arrivals
):
    old = [nodes.start(), nodes.start()]
    sends_to(old[0], arrivals)
    load = Balancer(*old)
    load.got(SOME)
    assert not is_of_next_schema(cluster, database)
    # The next version expands the schema beside nodes of the present one, which go on.
    new = [nodes.start(binary=NEXT_BINARY, **PLAYS_NEXT)]
    load.adds(new[0])
    assert is_of_next_schema(cluster, database)
    load.got(SOME)
    leaves(load, old[0])
    load.got(SOME)
    # Second thoughts: a node of the present version starts on the schema of the next, and works.
    old.append(nodes.start())
    load.adds(old[2])
    load.got(SOME)
    new.append(nodes.start(binary=NEXT_BINARY, **PLAYS_NEXT))
    load.adds(new[1])
    for node in old[1:]:
        leaves(load, node)
    load.got(SOME)
    acked = load.ended()
    arrivals.saw(acked)
    assert arrivals.repeated() == {}
    pause_s = arrivals.longest_pause_s()
    print(f"{len(acked)} messages over {len(nodes.started)} nodes of two versions, the longest pause {pause_s:.2f} s")
    assert pause_s < PAUSE_MAX_S
    # Attempts are recorded a moment after the receiver answered.
    owed = "SELECT count(*) FROM delivery WHERE state IN (0, 1)"
    for _ in range(200):
        if ask(cluster, database, owed) == "0":
            break
    assert ask(cluster, database, owed) == "0"


def test_a_schema_that_the_older_binary_cannot_work_with_is_refused_in_one_sentence(cluster, database, nodes, tmp_path):
    nodes.start(binary=NEXT_BINARY, **PLAYS_NEXT)
    newest = int(ask(cluster, database, "SELECT max(number) FROM migration"))
    ask(cluster, database, f"UPDATE setting SET value = '{newest} {newest}' WHERE name = 'works_with'")
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")} | nodes.settings
    command = [BINARY, "serve", "--data-dir", str(tmp_path / "older"), "--listen", "127.0.0.1:0"]
    refused = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert refused.returncode == 2, refused.stderr
    sentence = f"the store has schema {newest}, this version knows up to {newest - 1}: use a newer posthaste"
    assert sentence in refused.stderr


def test_a_migration_lets_go_of_a_table_that_somebody_holds_and_tries_again(cluster, database, nodes, arrivals):
    old = nodes.start()
    sends_to(old, arrivals)
    name = database.rsplit("/", 1)[1]
    psql = ["psql", "-h", str(cluster.dir), "-U", "postgres", "-d", name, "-Atq"]
    reading = subprocess.Popen(psql, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # Somebody's report, which takes its time: an ALTER TABLE has to wait for it, and everybody for that.
    reading.stdin.write("BEGIN; SELECT 'counted' FROM delivery RIGHT JOIN (SELECT 1) AS one ON false;\n")
    reading.stdin.flush()
    assert reading.stdout.readline().strip() == "counted"
    load = Balancer(old)
    load.got(SOME)
    migrating = subprocess.Popen(
        [NEXT_BINARY, "migrate", "--data-dir", str(old.data_dir)],
        env=old.env | PLAYS_NEXT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in migrating.stderr:
        if "a migration waits for a table that somebody else holds" in line:
            break
    else:
        raise AssertionError("it did not have to wait")
    load.got(SOME)
    reading.stdin.write("ROLLBACK;\n")
    reading.stdin.close()
    said, _ = migrating.communicate(timeout=DEADLINE_S)
    assert migrating.returncode == 0 and said.startswith("the store has the schema of")
    load.got(SOME)
    arrivals.saw(load.ended())
    pause_s = arrivals.longest_pause_s()
    print(f"the longest pause {pause_s:.2f} s")
    assert pause_s < 2 * PAUSE_MAX_S
