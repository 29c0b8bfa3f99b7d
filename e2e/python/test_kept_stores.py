"""A store that an earlier version wrote still opens: everything is read, what waits goes out, signatures hold."""

import os
import signal
import sqlite3
import subprocess
import time

import pytest
import standardwebhooks

from conftest import BINARY, DEADLINE_S, Handler, Posthaste, embedded_only
from inbound import ask, call, github, made
from kept_store import MAIN_SECRET, PROVIDER_SECRET, RECEIVERS, STORES, Kept, keyed

pytestmark = embedded_only("files of the embedded store that earlier versions wrote")
NAMES = sorted(path.stem for path in STORES.glob("*.sql"))
SETTINGS = {"POSTHASTE_MAIN_SECRET": MAIN_SECRET, "POSTHASTE_RETENTION": "36500d"}


@pytest.fixture
def receivers():
    receivers = {name: Handler() for name in RECEIVERS}
    yield receivers
    for receiver in receivers.values():
        receiver.close()


@pytest.fixture(params=NAMES)
def kept(request, tmp_path, receivers):
    return Kept(request.param, tmp_path / "data", receivers)


@pytest.fixture
def start():
    """Starts a server on a kept store."""
    return lambda kept: Posthaste(kept.database.parent, **SETTINGS)


@pytest.fixture
def opened(kept, start):
    server = start(kept)
    yield server
    server.stop()


def read(server, path, token=None):
    answer = call(server, "GET", path, token=token)
    assert answer.status == 200, answer
    return answer.json()


def verified(secret, request):
    standardwebhooks.Webhook(secret).verify(request.body, request.headers, json_parse=False)
    return request.headers["webhook-id"]


def test_there_is_a_store_of_every_schema():
    assert NAMES == ["schema-1", "schema-2", "schema-3", "schema-4", "schema-5", "schema-6"]


def ends(server, job):
    """How a job ended. It may have been killed together with the server, and goes on."""
    deadline = time.monotonic() + DEADLINE_S
    while (status := read(server, f"/api/v1/background-task/{job}")["status"]) == "running":
        assert time.monotonic() < deadline, job
    return status


def test_everything_in_it_is_read_as_it_was_written(kept, opened):
    facts, acme = kept.facts, "/api/v1/app/acme"
    assert {app["uid"] for app in read(opened, "/api/v1/app")["data"]} == {"acme", "globex"}
    assert read(opened, acme)["name"] == "Zoë's" and read(opened, acme)["metadata"] == {"tier": "gold"}
    assert read(opened, "/api/v1/event-type/invoice.paid")["schemas"]["1"]["properties"] == {"id": {"type": "integer"}}
    for name, secret in facts["secrets"].items():
        endpoint = read(opened, f"{acme}/endpoint/{name}")
        assert (endpoint["id"], endpoint["channels"]) == (facts["endpoints"][name], [f"to-{name}"])
        assert endpoint["disabled"] == (name == "gone")
        assert read(opened, f"{acme}/endpoint/{name}/secret")["key"] == secret
    assert read(opened, f"{acme}/endpoint/well/headers")["headers"] == {"X-Tenant": "42"}
    for name in facts["endpoints"]:
        message = read(opened, f"{acme}/msg/evt-{name}")
        assert (message["id"], message["payload"], message["tags"]) == (facts["messages"][name], {"to": name}, ["kept"])
    assert read(opened, f"{acme}/msg/{facts['messages']['expunged']}")["payload"] == {"expired": True}
    [attempt] = read(opened, f"{acme}/attempt/msg/{facts['messages']['gone']}")["data"]
    assert (attempt["responseStatusCode"], attempt["endpointId"]) == (410, facts["endpoints"]["gone"])
    for job in ("task", "replay"):
        assert job not in facts or ends(opened, facts[job]) == "finished"
    assert call(opened, "GET", "/api/v1/app", token=facts["revoked_token"]).status == 401
    assert keyed(opened, "/api/v1/app/globex/msg").json()["id"] == facts["idempotent"]
    assert kept.all("SELECT max(number) FROM migration") == [(6,)]
    assert kept.all("PRAGMA integrity_check") == [("ok",)]


def test_what_waited_goes_out_signed_and_what_was_delivered_does_not(kept, start, receivers):
    facts = kept.facts
    # An hour has passed since the first try.
    with sqlite3.connect(kept.database) as store:
        store.execute("UPDATE delivery SET due_at = due_at - 7200000000 WHERE state = 0")
    server = start(kept)
    for name in ("late", "hung"):
        [request] = receivers[name].got(1)
        assert verified(facts["secrets"][name], request) == facts["messages"][name]
    body = {"eventType": "invoice.paid", "payload": {"n": 2}, "channels": ["to-well"]}
    new = made(server, "/api/v1/app/acme/msg", body)["id"]
    [request] = receivers["well"].got(1)
    assert verified(facts["secrets"]["well"], request) == new, "what was delivered is not sent again"
    assert (request.headers["x-tenant"], request.headers["authorization"]) == ("42", "Bearer kept")
    gone = "/api/v1/app/acme/endpoint/gone"
    assert call(server, "PATCH", gone, {"disabled": False}).status == 200
    assert call(server, "POST", f"/api/v1/app/acme/msg/{facts['messages']['gone']}/endpoint/gone/resend", {}).status < 300
    [request] = receivers["gone"].got(1)
    assert verified(facts["secrets"]["gone"], request) == facts["messages"]["gone"]
    server.stop()


def test_its_sources_take_requests_and_know_those_that_they_had(kept, opened, receivers):
    facts = kept.facts.get("source")
    if facts is None:
        assert kept.facts["schema"] == 1
        return
    door = f"{opened.url}/in/{facts['door']}"
    again, new = b'{"zen":1}', b'{"zen":3}'
    # Before the first release, what a request is known by changed once, and with it the keys of schema 2.
    if facts["cron"]:
        assert ask(door, "POST", github(PROVIDER_SECRET, again, delivery="kept-1"), again).status == 200
    assert ask(door, "POST", github(PROVIDER_SECRET, new), new).status == 200
    [request] = receivers["handler"].got(1)
    assert request.body == new
    verified(facts["secret"], request)
    source = read(opened, "/ingest/api/v1/source/code")
    messages = read(opened, f"/api/v1/app/{source['appId']}/msg")["data"]
    assert len(messages) == 2 and facts["message"] in {message["id"] for message in messages}
    assert len(read(opened, "/ingest/api/v1/source/code/log")["data"]) == 1
    assert receivers["paused"].requests == []
    assert call(opened, "PATCH", "/ingest/api/v1/source/paused", {"paused": False}).status == 200
    assert receivers["paused"].got(1)[0].body == b'{"zen":2}'
    assert (call(opened, "GET", "/ingest/api/v1/source/tick").status == 200) == facts["cron"]


def test_processes_that_open_an_older_store_at_once_migrate_it_once(kept):
    command = [BINARY, "token", "create", "--data-dir", str(kept.database.parent)]
    env = {"POSTHASTE_MAIN_SECRET": MAIN_SECRET}
    processes = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)
    ]
    for process in processes:
        said = process.communicate(timeout=20)
        assert process.returncode == 0, said
    assert kept.all("SELECT count(*), max(number) FROM migration") == [(6, 6)]


@pytest.mark.parametrize("command", [["token", "list"], ["token", "create"], ["backup", "FILE"], ["serve"]])
def test_a_newer_store_is_refused_by_every_command_and_not_touched(tmp_path, receivers, command):
    kept = Kept("schema-6", tmp_path / "data", receivers)
    with sqlite3.connect(kept.database) as store:
        store.execute("INSERT INTO migration VALUES (99, 'x')")
    command = [str(tmp_path / "file") if word == "FILE" else word for word in command]
    command = [BINARY, *command, "--data-dir", str(kept.database.parent)]
    env = SETTINGS | {"POSTHASTE_LISTEN": "127.0.0.1:0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert "the store has schema 99, this version knows up to 6: use a newer posthaste" in done.stderr
    assert kept.all("SELECT max(number) FROM migration") == [(99,)]


FAULTS_BIN = os.environ.get("POSTHASTE_FAULTS_BIN")


@pytest.mark.skipif(not FAULTS_BIN, reason="needs a binary with the feature faults, in POSTHASTE_FAULTS_BIN")
@pytest.mark.parametrize("name", ["schema-1", "schema-2"])
@pytest.mark.parametrize("point", ["migrate.half_applied", "migrate.applied"])
def test_a_migration_that_dies_half_way_leaves_the_old_schema(tmp_path, receivers, name, point):
    kept = Kept(name, tmp_path / "data", receivers)
    schema = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
    before = kept.all(schema)
    command = [FAULTS_BIN, "token", "list", "--data-dir", str(kept.database.parent)]
    env = {"POSTHASTE_MAIN_SECRET": MAIN_SECRET}
    fault = {"POSTHASTE_FAULT": f"{point}=abort"}
    died = subprocess.run(command, env=env | fault, capture_output=True, text=True, timeout=20)
    assert died.returncode == -signal.SIGABRT, died
    assert kept.all(schema) == before
    assert kept.all("SELECT max(number) FROM migration") == [(kept.facts["schema"],)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert kept.all("SELECT max(number) FROM migration") == [(6,)]
