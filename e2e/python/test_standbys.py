"""What a server says at start about its PostgreSQL's standbys: what a failover can cost, and nothing when it costs nothing."""

import os
import subprocess

import pytest

from balanced import Nodes
from cluster import Cluster
from conftest import BINARY, DEADLINE_S, embedded_only

pytestmark = embedded_only("starts nodes of its own")

ASYNCHRONOUS = "PostgreSQL waits for no standby (synchronous_standby_names is empty)"
SYNCHRONOUS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
GONE = "none of the standbys that synchronous_standby_names names is connected"


@pytest.fixture
def primary():
    primary = Cluster()
    yield primary
    primary.close()


@pytest.fixture
def standby(primary):
    standby = Cluster(standby_of=primary)
    asked_until(primary, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", "1")
    yield standby
    standby.close()


@pytest.fixture
def said(tmp_path):
    """What a server warns of until it listens."""
    started = []

    def said(url):
        (tmp_path / str(len(started))).mkdir()
        started.append(Nodes(tmp_path / str(len(started)), url))
        node = started[-1].start()
        node.kill()
        return "".join(line for line in node.said if "WARN" in line)

    return said


def asked(cluster, sql):
    psql = ["psql", "-h", str(cluster.dir), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-Atqc", sql]
    return subprocess.run(psql, capture_output=True, text=True, timeout=DEADLINE_S, check=True).stdout.strip()


def asked_until(cluster, sql, answer):
    for _ in range(500):
        if asked(cluster, sql) == answer:
            return
    raise AssertionError(f"{sql} does not become {answer}")


def test_of_one_machine_nothing_is_said(primary, said):
    assert said(primary.new_database()) == ""


def test_an_asynchronous_standby_is_warned_of_though_the_url_does_not_name_it(primary, standby, said):
    assert ASYNCHRONOUS in said(primary.new_database())


def test_whoever_may_not_see_a_standbys_state_is_warned_where_none_is_synchronous_for_sure(primary, standby, said):
    asked(primary, "CREATE ROLE modest LOGIN")

    def of_modest():
        url = primary.new_database()
        asked(primary, f"ALTER DATABASE {url.rsplit('/', 1)[1]} OWNER TO modest")
        return url.replace("//postgres@", "//modest@")

    assert ASYNCHRONOUS in said(of_modest())
    primary.waits_for_its_standbys()
    asked_until(primary, SYNCHRONOUS, "1")
    assert said(of_modest()) == ""


def test_a_synchronous_standby_is_nothing_to_warn_of_and_one_that_is_named_and_gone_is(primary, standby, said, tmp_path):
    primary.waits_for_its_standbys()
    asked_until(primary, SYNCHRONOUS, "1")
    url = primary.new_database(standby)
    assert said(url) == ""
    asked(primary, "ALTER SYSTEM SET synchronous_standby_names = 'another'")
    asked(primary, "SELECT pg_reload_conf()")
    asked_until(primary, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'async'", "1")
    # Every commit waits now, that of a start too: it has said why before.
    env = os.environ | Nodes(tmp_path, url).settings
    command = [BINARY, "migrate", "--data-dir", str(tmp_path / "waiting")]
    waiting = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    try:
        assert GONE in waiting.stderr.readline()
    finally:
        waiting.kill()
        waiting.wait(DEADLINE_S)
        waiting.stderr.close()
