"""`posthaste replay` and the jobs behind it: counted before they begin, at their rate, once each, whoever dies."""

import collections
import json
import os
import signal
import subprocess
import time

import pytest
import standardwebhooks
from svix import api

from conftest import BINARY, DEADLINE_S, Posthaste, Receiver, embedded_only

OK, USAGE, NOT_FOUND, PARTLY, RECEIVER_FAILED, INTERRUPTED = 0, 2, 4, 8, 9, 130
# By the retry schedule of these tests.
ATTEMPTS = 3
MANY = 3000
MANY_DEADLINE_S = 120


def replay(server, *arguments):
    """Runs the command as from another machine, without a terminal."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")}
    command = [BINARY, "replay", "--server", server.url, "--token", server.token, *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=3 * DEADLINE_S, stdin=subprocess.DEVNULL)


def client_of(server):
    return api.Svix(server.token, api.SvixOptions(server_url=server.url))


class Scene:
    """An app, an endpoint and a number of messages that its receiver refused until they were given up, or took."""

    def __init__(self, server, receiver, count, taken=False):
        self.server, self.receiver, self.client = server, receiver, client_of(server)
        self.app = self.client.application.create(api.ApplicationIn(name="replayed"))
        endpoint = api.EndpointIn(url=receiver.url)
        self.endpoint = self.client.endpoint.create(self.app.id, endpoint)
        if not taken:
            receiver.answers_with(*[500] * (ATTEMPTS * count))
        self.messages = [self.send(number) for number in range(count)]
        self.becomes("success" if taken else "fail", count)

    def send(self, number):
        message = api.MessageIn(event_type=f"kind.{number % 2}", payload={"n": number})
        return self.client.message.create(self.app.id, message).id

    def stats(self):
        return self.client.endpoint.get_stats(self.app.id, self.endpoint.id)

    def becomes(self, state, count):
        until = time.monotonic() + MANY_DEADLINE_S
        while time.monotonic() < until:
            stats = self.stats()
            if getattr(stats, state) == count and stats.pending == stats.sending == 0:
                return
        raise AssertionError(f"{self.stats()} has not {count} of {state}")

    def attempts(self, message):
        return self.client.message_attempt.list_by_msg(self.app.id, message).data


@pytest.fixture
def server(tmp_path):
    server = Posthaste(tmp_path)
    yield server
    if server.process.poll() is None:
        server.stop()


def test_what_failed_is_counted_and_goes_back_once(server, receiver):
    scene = Scene(server, receiver, 20)
    dry = replay(server, "--app", scene.app.id, "--dry-run", "--json")
    assert (dry.returncode, json.loads(dry.stdout)) == (OK, {"count": 20, "more": False}), dry.stderr
    narrow = replay(server, "--app", scene.app.id, "--type", "kind.1", "--since", "1h", "--dry-run", "--json")
    assert json.loads(narrow.stdout)["count"] == 10
    unasked = replay(server, "--app", scene.app.id)
    assert unasked.returncode == USAGE and "20 deliveries to replay" in unasked.stderr and "--yes" in unasked.stderr
    assert scene.stats().fail == 20, "nothing began"
    done = replay(server, "--app", scene.app.id, "--endpoint", scene.endpoint.id, "--yes", "--wait", "--json")
    assert done.returncode == OK, done.stderr
    job = json.loads(done.stdout)
    assert (job["data"]["deliveriesPutBack"], job["data"]["total"], job["status"]) == (20, 20, "finished")
    scene.becomes("success", 20)
    for message in scene.messages:
        triggers = sorted(attempt.trigger_type for attempt in scene.attempts(message))
        assert triggers == [0, 0, 0, 1]


def test_one_that_is_named_goes_back_and_a_receiver_that_says_no_is_heard(server, receiver):
    scene = Scene(server, receiver, 2)
    receiver.answers_with(*[500] * ATTEMPTS)
    said_no = replay(server, scene.messages[0], "--app", scene.app.id, "--yes", "--wait")
    assert said_no.returncode == RECEIVER_FAILED, said_no.stderr
    scene.becomes("fail", 2)
    assert replay(server, scene.messages[0], "--yes", "--wait").returncode == OK
    # The server knows whose it is, and of an attempt to whom it went.
    attempt = scene.attempts(scene.messages[1])[0].id
    assert replay(server, attempt, "--yes").returncode == OK
    scene.becomes("success", 2)
    assert replay(server, "--app", "nobody", "--yes").returncode == NOT_FOUND
    assert replay(server).returncode == USAGE


def test_svix_replays_lists_and_reads_jobs(server, receiver):
    scene = Scene(server, receiver, 3)
    since = scene.client.message.get(scene.app.id, scene.messages[0]).timestamp
    bulk = api.BulkReplayIn(since=since)
    if not hasattr(scene.client.endpoint, "bulk_replay"):
        pytest.skip("this SDK has no bulk replay")
    job = scene.client.endpoint.bulk_replay(scene.app.id, scene.endpoint.id, bulk)
    scene.becomes("success", 3)
    listed = [task.id for task in scene.client.background_task.list().data]
    assert job.id in listed
    assert scene.client.background_task.get(job.id).data["total"] == 3


def test_what_was_never_sent_is_sent_by_replay_missing(server, receiver):
    client = client_of(server)
    app = client.application.create(api.ApplicationIn(name="late"))
    message = client.message.create(app.id, api.MessageIn(event_type="a.b", payload={"n": 1}))
    endpoint = client.endpoint.create(app.id, api.EndpointIn(url=receiver.url))
    missing = api.ReplayIn(since=message.timestamp)
    client.endpoint.replay_missing(app.id, endpoint.id, missing)
    ((_, headers, body),) = receiver.got(1)
    assert json.loads(body) == {"n": 1} and headers["webhook-id"] == message.id


def test_ctrl_c_leaves_the_job_running_and_says_how_to_stop_it(server, receiver):
    scene = Scene(server, receiver, 10)
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")}
    command = [BINARY, "replay", "--server", server.url, "--token", server.token]
    filtered = ["--app", scene.app.id, "--rate", "1/s", "--yes"]
    watching = subprocess.Popen([*command, *filtered], env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # It is counted, it has begun, and it is watched.
    said = [watching.stderr.readline() for _ in range(3)]
    watching.send_signal(signal.SIGINT)
    rest = watching.communicate(timeout=DEADLINE_S)[1]
    assert watching.returncode == INTERRUPTED, said
    job = next(word for word in rest.split() if word.startswith("qtask_"))
    assert f"posthaste replay --job {job} --cancel" in rest
    assert scene.client.background_task.get(job).status == "running"
    assert replay(server, "--job", job, "--cancel").returncode == OK
    looked = replay(server, "--job", job, "--json")
    assert looked.returncode == PARTLY and json.loads(looked.stdout)["data"]["state"] == "cancelled"
    assert json.loads(looked.stdout)["data"]["deliveriesPutBack"] < 10


def test_from_here_each_message_is_signed_with_the_endpoints_secret(server, receiver):
    scene = Scene(server, receiver, 3)
    before = scene.stats().fail
    local = Receiver()
    try:
        sent = replay(server, "--app", scene.app.id, "--endpoint", scene.endpoint.id, "--to", local.url, "--yes")
        assert sent.returncode == OK, sent.stderr
        secret = scene.client.endpoint.get_secret(scene.app.id, scene.endpoint.id).key
        came = local.got(3)
        for _, headers, body in came:
            standardwebhooks.Webhook(secret).verify(body, headers)
        assert {headers["webhook-id"] for _, headers, _ in came} == set(scene.messages)
        local.answers_with(500)
        refused = replay(server, scene.messages[0], "--app", scene.app.id, "--to", local.url)
        assert refused.returncode == RECEIVER_FAILED and "500" in refused.stderr
    finally:
        local.close()
    assert scene.stats().fail == before, "the server recorded nothing"


@embedded_only("the file of the process that dies is looked at; what two nodes do is the store's promise")
def test_a_server_that_is_killed_in_the_middle_goes_on_and_repeats_nothing(tmp_path, receiver):
    server = Posthaste(tmp_path)
    scene = Scene(server, receiver, MANY, taken=True)
    before = len(receiver.requests)
    started = replay(server, "--app", scene.app.id, "--status", "any", "--rate", "1000/s", "--yes", "--no-wait", "--json")
    assert started.returncode == OK, started.stderr
    job = json.loads(started.stdout)["id"]
    receiver.got(before + 300)
    server.kill()
    server.start()
    over = replay(server, "--job", job, "--json")
    assert over.returncode == OK, over.stderr
    data = json.loads(over.stdout)["data"]
    assert (data["deliveriesPutBack"], data["total"], data["state"]) == (MANY, MANY, "finished")
    scene = rejoined(scene, server)
    scene.becomes("success", MANY)
    manual = collections.Counter()
    options = api.MessageAttemptListByEndpointOptions(limit=250)
    while True:
        page = scene.client.message_attempt.list_by_endpoint(scene.app.id, scene.endpoint.id, options)
        manual.update(attempt.msg_id for attempt in page.data if attempt.trigger_type == 1)
        if page.done:
            break
        options.iterator = page.iterator
    assert set(manual) == set(scene.messages)
    repeated = [message for message, count in manual.items() if count > 1]
    assert not repeated, f"{len(repeated)} were attempted twice, though only what is not recorded may be"
    # What was in flight as the server died may have reached the receiver twice.
    came = collections.Counter(headers["webhook-id"] for _, headers, _ in receiver.requests[before:])
    assert max(came.values()) <= 2
    server.stop()


def rejoined(scene, server):
    scene.server, scene.client = server, client_of(server)
    return scene
