"""A node that is started before its PostgreSQL is there, or while it comes back."""

import os
import subprocess

import pytest

from balanced import Nodes
from cluster import Cluster
from conftest import BINARY, embedded_only

pytestmark = embedded_only("starts nodes of its own")

WAITS = "waiting for PostgreSQL"


@pytest.fixture(params=[False, True], ids=["direct", "pooled"])
def cluster(request):
    cluster = Cluster(pooled=request.param)
    yield cluster
    cluster.close()


@pytest.fixture
def run(tmp_path):
    """Begins a command that has a database."""
    begun = []

    def run(url, *command):
        env = os.environ | {"POSTHASTE_DATABASE_URL": url, "POSTHASTE_MAIN_SECRET": "any"}
        whole = [BINARY, *command, "--data-dir", str(tmp_path / "data")]
        begun.append(subprocess.Popen(whole, env=env, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield run
    for process in begun:
        process.kill()
        process.wait()
        process.stderr.close()


SERVE = ("serve", "--listen", "127.0.0.1:0")


def test_a_node_started_first_waits_for_its_database_and_says_so(cluster, run):
    url = cluster.new_database()
    cluster.stop()
    node = run(url, *SERVE)
    assert any(WAITS in line for line in node.stderr)
    cluster.start()
    assert any("listening on" in line for line in node.stderr)


def test_a_node_started_right_after_its_database_died_comes_up(cluster, tmp_path):
    # A pooler is left with connections to a server that is no more.
    nodes = Nodes(tmp_path, cluster.new_database())
    for _ in range(4):
        nodes.start()
        cluster.stop()
        cluster.start()
    nodes.close()


# PgBouncer says the same of a server that is away and of a name that is wrong: those are told apart only without it.
@pytest.mark.parametrize("cluster", [False], ids=["direct"], indirect=True)
def test_a_database_that_does_not_exist_is_not_waited_for(cluster, run):
    node = run(cluster.new_database() + "_no", *SERVE)
    said = node.stderr.read()
    assert "does not exist" in said
    assert WAITS not in said


def test_a_command_in_a_terminal_hears_at_once_that_there_is_no_database(cluster, run):
    url = cluster.new_database()
    cluster.stop()
    said = run(url, "migrate").stderr.read()
    assert "cannot open the database" in said
    assert WAITS not in said
