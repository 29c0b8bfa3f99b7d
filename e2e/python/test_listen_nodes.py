"""`posthaste listen` over two nodes behind a balancer: when the node that it is connected to is killed it goes on with the
other one, loses nothing, and forwards nothing twice. What the dead node had taken comes when its leases are over, after
what it had not."""

import socket
import threading

import pytest

from conftest import embedded_only
from listening import Listen
from test_listen import App, Ids
from test_nodes import cluster, nodes  # noqa: F401 (fixtures)
from test_trigger import handle  # noqa: F401 (a fixture)

pytestmark = embedded_only("it starts two nodes of its own")
EACH = 3


class Balancer:
    """Gives each connection to the first node that takes it."""

    def __init__(self, *nodes):
        self.ports = [int(node.url.rsplit(":", 1)[1]) for node in nodes]
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.token = nodes[0].token
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                ours, _ = self.socket.accept()
            except OSError:
                return
            for port in self.ports:
                try:
                    theirs = socket.create_connection(("127.0.0.1", port))
                except ConnectionRefusedError:
                    continue
                for one, other in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self.pump, args=(one, other), daemon=True).start()
                break
            else:
                ours.close()

    @staticmethod
    def pump(one, other):
        try:
            while some := one.recv(65536):
                other.sendall(some)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture
def balancer(nodes):  # noqa: F811
    balancer = Balancer(*nodes)
    yield balancer
    balancer.close()


def test_a_node_that_is_killed_is_no_loss_to_who_listens(nodes, balancer, handle):  # noqa: F811
    first, _ = nodes
    app, ids = App(balancer), Ids()
    command = Listen(balancer, handle(ids).port, "--app", app.id).ready()
    try:
        ids.held.clear()
        sent = app.sends(EACH)
        ids.got(1)
        first.kill()
        command.says("reconnecting").says("ready", 2)
        ids.held.set()
        later = app.sends(EACH)
        came = ids.got(2 * EACH)
        assert sorted(came) == sorted(sent + later), "each came once"
        for message in (*sent, *later):
            (attempt,) = app.attempts(message)
            assert attempt["responseStatusCode"] == 200
    finally:
        command.close()
