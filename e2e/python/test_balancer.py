"""The balancer of deploy/compose.yaml before two nodes: each can be replaced at any time, and no client notices."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from svix import api

from cluster import Cluster
from conftest import DEADLINE_S, Posthaste
from ports import free_port

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
CLIENTS = 4
SOME = 200


def setting(name):
    """What the nodes of compose.yaml are given."""
    return re.search(rf"^ +{name}: (\S+)$", (DEPLOY / "compose.yaml").read_text(), re.MULTILINE)[1]


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def nodes(cluster, tmp_path):
    settings = {
        "POSTHASTE_DATABASE_URL": cluster.new_database(),
        "POSTHASTE_MAIN_SECRET": "the secret of all nodes",
        "POSTHASTE_LEAVE_NOTICE": setting("POSTHASTE_LEAVE_NOTICE"),
    }
    made = []
    for name in ("node-1", "node-2"):
        directory = tmp_path / name
        if made:
            directory.mkdir()
            (directory / "admin-token").write_text(made[0].token)
        # One port for its whole life: the balancer finds it there again.
        made.append(Posthaste(directory, **settings, POSTHASTE_LISTEN=f"127.0.0.1:{free_port()}"))
    yield made
    for node in made:
        node.kill()


class Balancer:
    """HAProxy with the file that compose.yaml mounts; only the addresses are the tests' own."""

    def __init__(self, directory, nodes):
        program = os.environ.get("HAPROXY_BIN") or shutil.which("haproxy")
        if not program:
            pytest.skip("HAProxy is not installed (apt-get install haproxy)")
        self.address = ("127.0.0.1", free_port())
        text = (DEPLOY / "haproxy.cfg").read_text().replace("bind :8071", "bind %s:%d" % self.address)
        for name, node in zip(("node-1", "node-2"), nodes, strict=True):
            text = text.replace(f"{name}:8071", node.url.removeprefix("http://"))
        # In a container its log is what the engine keeps; here the socket says what it thinks of its servers.
        self.control = directory / "control"
        text = text.replace("global\n", f"global\n    stats socket {self.control} level user\n", 1)
        (directory / "haproxy.cfg").write_text(text)
        self.process = subprocess.Popen([program, "-f", directory / "haproxy.cfg"], stdout=subprocess.DEVNULL)

    def statuses(self):
        """What it thinks of each node: UP, DOWN, or on its way."""
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.connect(str(self.control))
                control.sendall(b"show stat\n")
                lines = control.makefile().read().splitlines()
        except OSError:
            return {}
        header = lines[0].lstrip("# ").split(",")
        rows = [dict(zip(header, line.split(","), strict=False)) for line in lines[1:] if line]
        return {row["svname"]: row["status"] for row in rows if row["svname"].startswith("node-")}

    def sees(self, **expected):
        wanted = {name.replace("_", "-"): status for name, status in expected.items()}
        began = time.monotonic()
        while time.monotonic() - began < DEADLINE_S and self.process.poll() is None:
            seen = self.statuses()
            if seen == wanted:
                return
        raise AssertionError(f"the balancer sees {seen}, not {wanted}")

    def ask(self, path):
        connection = http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def close(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)


@pytest.fixture
def balancer(nodes, tmp_path):
    balancer = Balancer(tmp_path, nodes)
    yield balancer
    balancer.close()


class Load:
    """Clients that keep sending through the balancer; whatever is not 202 is remembered."""

    def __init__(self, balancer, token):
        self.address, self.token = balancer.address, token
        self.acked, self.odd, self.changed, self.over = 0, [], threading.Condition(), threading.Event()
        self.clients = [threading.Thread(target=self.send, daemon=True) for _ in range(CLIENTS)]
        for client in self.clients:
            client.start()

    def send(self):
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        body = json.dumps({"eventType": "a.b", "payload": {}})
        connection = http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)
        while not self.over.is_set():
            try:
                connection.request("POST", "/api/v1/app/a/msg", body, headers)
                answer = connection.getresponse()
                said = (answer.status, answer.read())
            except (OSError, http.client.HTTPException) as error:
                said = (0, repr(error))
                connection.close()
            with self.changed:
                if said[0] == 202:
                    self.acked += 1
                else:
                    self.odd.append(said)
                self.changed.notify_all()

    def goes_on(self):
        """Waits until some more were accepted."""
        with self.changed:
            goal = self.acked + SOME
            assert self.changed.wait_for(lambda: self.acked >= goal, DEADLINE_S)

    def ended(self):
        self.over.set()
        for client in self.clients:
            client.join(DEADLINE_S)
        return self.odd


def test_both_nodes_are_replaced_under_load_and_every_request_is_accepted(nodes, balancer):
    client = api.Svix(nodes[0].token, api.SvixOptions(server_url=nodes[0].url))
    client.application.create(api.ApplicationIn(name="A", uid="a"))
    balancer.sees(node_1="UP", node_2="UP")
    load = Load(balancer, nodes[0].token)
    for node, other in ((nodes[0], "node_1"), (nodes[1], "node_2")):
        load.goes_on()
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(2 * DEADLINE_S) == 0
        balancer.sees(**{"node_1": "UP", "node_2": "UP"} | {other: "DOWN"})
        load.goes_on()
        node.start()
        balancer.sees(node_1="UP", node_2="UP")
    load.goes_on()
    assert load.ended() == []


def test_what_is_for_the_operator_is_not_for_the_world(balancer):
    balancer.sees(node_1="UP", node_2="UP")
    assert {balancer.ask(path)[0] for path in ("/metrics", "/readyz", "/livez")} == {404}
    status, _ = balancer.ask("/api/v1/health")
    assert status == 204
