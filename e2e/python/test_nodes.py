"""Several nodes over one PostgreSQL: any of them takes messages in and delivers, and one that is gone is no loss."""

import json
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
from svix import api

from cluster import Cluster
from conftest import BINARY, DEADLINE_S, STORE, Posthaste, Receiver

TAKEN_OVER_WITHIN_S = 15
BACK_WITHIN_S = 5
SECRET = {"POSTHASTE_MAIN_SECRET": "the secret of all nodes"}


class Holding(Receiver):
    """Lets the first request wait until it is told to go on, and then answers as it was told."""

    def __init__(self):
        self.held, self.go_on = threading.Event(), threading.Event()
        super().__init__()

    def remember(self, request, body):
        if not self.held.is_set():
            self.held.set()
            # Others may come meanwhile.
            self.changed.release()
            self.go_on.wait(DEADLINE_S)
            self.changed.acquire()
        return super().remember(request, body)


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(pooled=STORE == "pooled")
    yield cluster
    cluster.close()


@pytest.fixture
def nodes(cluster, tmp_path):
    """Two nodes on one database, both with the first one's token."""
    settings = SECRET | {"POSTHASTE_DATABASE_URL": cluster.new_database(), "POSTHASTE_REQUEST_TIMEOUT": "20s"}
    first = Posthaste(tmp_path / "first", **settings)
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "admin-token").write_text(first.token)
    second = Posthaste(tmp_path / "second", **settings)
    yield first, second
    for node in (first, second):
        node.process.send_signal(signal.SIGCONT)
        node.kill()


@pytest.fixture
def holding():
    holding = Holding()
    yield holding
    holding.go_on.set()
    holding.close()


def client_of(node):
    return api.Svix(node.token, api.SvixOptions(server_url=node.url, retry_schedule=[]))


def app_with(client, receiver):
    app = client.application.create(api.ApplicationIn(name="App"))
    client.endpoint.create(app.id, api.EndpointIn(url=receiver.url))
    return app


def sends(client, app):
    return client.message.create(app.id, api.MessageIn(event_type="a.b", payload={"n": 1}))


def status_of(client, app, message):
    return client.message_attempt.list_attempted_destinations(app.id, message.id).data[0].status


def test_what_one_node_makes_another_one_knows_at_once(nodes, receiver):
    first, second = map(client_of, nodes)
    app = app_with(first, receiver)
    for client in (second, first, second):
        sends(client, app)
    assert len(receiver.got(3)) == 3


def test_what_a_killed_node_was_sending_another_one_sends_within_fifteen_seconds(nodes, holding):
    first, second = nodes
    app = app_with(client_of(first), holding)
    message = sends(client_of(first), app)
    assert holding.held.wait(DEADLINE_S)
    began = time.monotonic()
    first.kill()
    holding.got(1)
    assert time.monotonic() - began < TAKEN_OVER_WITHIN_S
    for _ in range(2000):
        if status_of(client_of(second), app, message) == 0:
            break
    assert status_of(client_of(second), app, message) == 0


def test_a_node_that_wakes_up_changes_nothing_that_others_recorded(nodes, holding):
    first, second = nodes
    app = app_with(client_of(first), holding)
    message = sends(client_of(first), app)
    assert holding.held.wait(DEADLINE_S)
    began = time.monotonic()
    first.process.send_signal(signal.SIGSTOP)
    holding.got(1)
    assert time.monotonic() - began < TAKEN_OVER_WITHIN_S
    client = client_of(second)
    while status_of(client, app, message) != 0 and time.monotonic() - began < DEADLINE_S:
        pass
    # What the first one sent is refused, and the first one wakes up to record that.
    holding.answers_with(500)
    holding.go_on.set()
    holding.got(2)
    first.process.send_signal(signal.SIGCONT)
    attempts = []
    while len(attempts) < 2 and time.monotonic() - began < 2 * DEADLINE_S:
        attempts = client.message_attempt.list_by_msg(app.id, message.id).data
    assert sorted(attempt.response_status_code for attempt in attempts) == [200, 500]
    assert status_of(client, app, message) == 0


def test_while_postgresql_is_down_nothing_is_half_accepted_and_then_work_goes_on(cluster, nodes, receiver):
    client = client_of(nodes[0])
    app = app_with(client, receiver)
    sends(client, app)
    cluster.stop()
    try:
        with pytest.raises(Exception) as refused:
            sends(client, app)
        assert refused.value.status_code == 503
    finally:
        cluster.start()
    began = time.monotonic()
    accepted = 0
    while not accepted and time.monotonic() - began < BACK_WITHIN_S:
        try:
            accepted += bool(sends(client, app))
        except Exception as error:
            assert error.status_code == 503
    assert accepted, f"no message was accepted within {BACK_WITHIN_S} s"
    assert len(receiver.got(2)) == 2


def test_another_main_secret_is_refused_in_one_sentence(nodes, tmp_path):
    env = nodes[0].env | {"POSTHASTE_MAIN_SECRET": "another"}
    command = [BINARY, "serve", "--data-dir", str(tmp_path / "third")]
    refused = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert refused.returncode == 2
    assert "POSTHASTE_MAIN_SECRET is not the one that this store was written with" in refused.stderr


def test_a_database_without_a_main_secret_is_refused_in_one_sentence(nodes, tmp_path):
    env = {name: value for name, value in nodes[0].env.items() if name != "POSTHASTE_MAIN_SECRET"}
    command = [BINARY, "serve", "--data-dir", str(tmp_path / "third")]
    refused = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert refused.returncode == 2
    assert "POSTHASTE_DATABASE_URL needs POSTHASTE_MAIN_SECRET" in refused.stderr


def test_migrating_twice_and_beside_running_nodes_says_so_and_changes_nothing(nodes, receiver):
    for node in nodes:
        assert node.run("migrate").startswith("the store has the schema of posthaste ")
    client = client_of(nodes[1])
    sends(client, app_with(client, receiver))
    receiver.got(1)


def accepted(client, app, number):
    """Sends a message; whether it was accepted."""
    try:
        client.message.create(app.id, api.MessageIn(event_type="a.b", payload={"n": number}))
        return True
    except Exception:
        # 503, or a connection that ended: nobody said that it was taken.
        return False


def test_what_was_accepted_is_delivered_though_the_primary_died_and_its_standby_took_over(tmp_path, receiver):
    primary = Cluster()
    standby = Cluster(standby_of=primary)
    try:
        primary.waits_for_its_standbys()
        url = primary.new_database(standby)
        node = Posthaste(tmp_path / "node", **SECRET | {"POSTHASTE_DATABASE_URL": url})
        client = client_of(node)
        app = app_with(client, receiver)
        numbers, died = [], threading.Event()

        def send_on():
            number = after = 0
            while after < 50:
                over = died.is_set()
                if accepted(client, app, number):
                    numbers.append(number)
                    after += over
                number += 1

        sending = threading.Thread(target=send_on, daemon=True)
        sending.start()
        receiver.got(50)
        primary.stop()
        standby.promote()
        died.set()
        sending.join(DEADLINE_S)
        assert not sending.is_alive(), "no message is accepted after the failover"
        began = time.monotonic()
        came = set()
        while not came.issuperset(numbers) and time.monotonic() - began < TAKEN_OVER_WITHIN_S:
            came = {json.loads(body)["n"] for _, _, body in receiver.got(1)}
        assert not set(numbers) - came, f"of {len(numbers)} accepted messages these are lost"
        node.kill()
    finally:
        standby.close()
        primary.close()


def answered_within(node, app, seconds):
    """Sends one message, with the same idempotency key each time; what is answered, if something is."""
    body = json.dumps({"eventType": "a.b", "payload": {}}).encode()
    headers = {"authorization": f"Bearer {node.token}", "content-type": "application/json", "idempotency-key": "once"}
    request = urllib.request.Request(f"{node.url}/api/v1/app/{app.id}/msg", body, headers)
    try:
        return urllib.request.urlopen(request, timeout=seconds).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_what_only_the_primary_has_is_not_accepted_though_it_is_sent_again_after_a_crash(tmp_path, receiver):
    primary = Cluster()
    standby = Cluster(standby_of=primary)
    try:
        primary.waits_for_its_standbys()
        node = Posthaste(tmp_path / "node", **SECRET | {"POSTHASTE_DATABASE_URL": primary.new_database(standby)})
        app = app_with(client_of(node), receiver)
        standby.stop()
        assert answered_within(node, app, 2) is None, "it waits for the standby"
        # What waited for the standby is there when the primary is back, and the standby never had it.
        primary.stop()
        primary.start()
        answers = {answered_within(node, app, 3) for _ in range(3)}
        assert answers <= {None, 503}, f"answered {answers}, and a failover would lose it"
        standby.start()
        began = time.monotonic()
        while (answer := answered_within(node, app, DEADLINE_S)) != 202:
            assert time.monotonic() - began < 2 * DEADLINE_S, f"answered {answer} though the standby is back"
        receiver.got(1)
        node.kill()
    finally:
        standby.close()
        primary.close()
