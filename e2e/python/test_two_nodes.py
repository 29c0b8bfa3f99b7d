"""What stands in the binary's place is two nodes indeed: otherwise all that runs on it would prove nothing."""

import re
import socket
import urllib.parse

import httpx
import pytest

import two_nodes
from conftest import STORE, Posthaste

pytestmark = pytest.mark.skipif(STORE == "sqlite", reason="there is one server, and nothing before it")
CALLS = 6


@pytest.fixture
def server(tmp_path):
    server = Posthaste(tmp_path / "data")
    yield server
    if server.process.poll() is None:
        server.kill()


def test_calls_on_one_kept_connection_reach_every_node_in_turn(server):
    with httpx.Client() as client:
        for _ in range(CALLS):
            answer = client.get(f"{server.url}/api/v1/app", headers={"authorization": f"Bearer {server.token}"})
            assert answer.status_code == 200
        heard = []
        for _ in range(two_nodes.NODES):
            metrics = client.get(f"{server.url}/metrics").text
            heard += re.findall(r'requests_total\{method="GET",route="/api/v1/app",status="2xx"\} (\d+)', metrics)
    assert heard == [str(CALLS // two_nodes.NODES)] * two_nodes.NODES


def test_there_are_as_many_nodes_in_the_database(server):
    assert two_nodes.psql(two_nodes.database_of(server.data_dir), "SELECT count(*) FROM node").strip() == str(two_nodes.NODES)


def test_nobody_listens_any_more_once_it_is_killed(server):
    server.kill()
    address = urllib.parse.urlsplit(server.url)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port))
