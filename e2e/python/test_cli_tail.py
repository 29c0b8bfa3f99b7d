"""`tail` against a real server: what happens is told once, in order, and whatever happens to the server."""

import json
import threading
import uuid

import pytest
from svix import api

from cli import OK, Cli
from conftest import Posthaste, embedded_only, wait_for_attempts


@pytest.fixture
def world(posthaste, tmp_path):
    token = posthaste.new_token(f"e{uuid.uuid4().hex[:12]}")
    cli = Cli(posthaste, tmp_path, token)
    cli.sdk = api.Svix(token, api.SvixOptions(server_url=posthaste.url))
    cli.app = cli.sdk.application.create(api.ApplicationIn(name="Acme", uid="acme"))
    return cli


def endpoint(world, url, **more):
    return world.sdk.endpoint.create("acme", api.EndpointIn(url=url, **more))


def send(world, kind="invoice.paid", **payload):
    return world.sdk.message.create("acme", api.MessageIn(event_type=kind, payload=payload))


class Tail:
    """A tail that is running: its lines as they come."""

    def __init__(self, world, *arguments):
        self.process = world.start("tail", "-o", "jsonl", *arguments)
        assert json.loads(self.process.stdout.readline()) == {"event": "ready"}

    def tells(self, count):
        return [json.loads(self.process.stdout.readline()) for _ in range(count)]

    def ends(self):
        self.process.terminate()
        out, said = self.process.communicate(timeout=20)
        assert self.process.returncode == OK
        return out, said.decode()


def test_what_happens_is_told_once_and_in_order(world, receiver):
    endpoint(world, receiver.url)
    before = send(world, "a.b", n=0)
    wait_for_attempts(world.sdk, world.app, before, 1)
    tail = Tail(world)
    told = tail.tells(2)
    assert [(line["event"], line["at"] != "") for line in told] == [("message", True), ("attempt", True)]
    sent = [send(world, "a.b", n=number).id for number in range(40)]
    told = tail.tells(80)
    assert sorted(line["message"]["id"] for line in told if line["event"] == "message") == sorted(sent)
    assert sorted(line["attempt"]["msgId"] for line in told if line["event"] == "attempt") == sorted(sent)
    out, said = tail.ends()
    assert out == b"" and "41 messages, 41 attempts, 0 failed" in said


def test_an_app_that_is_made_meanwhile_is_followed_too(world):
    tail = Tail(world)
    other = world.sdk.application.create(api.ApplicationIn(name="Other", uid="other"))
    message = world.sdk.message.create(other.id, api.MessageIn(event_type="a.b", payload={}))
    (line,) = tail.tells(1)
    assert (line["message"]["id"], line["name"]) == (message.id, "other")
    tail.ends()


def test_only_what_is_asked_for_is_told(world, receiver):
    receiver.answers_with(500, 500, 500)
    made = endpoint(world, receiver.url)
    bad = send(world, "order.lost", n=0)
    wait_for_attempts(world.sdk, world.app, bad, 3)
    good = send(world, "invoice.paid", n=1)
    wait_for_attempts(world.sdk, world.app, good, 1)
    once = ("tail", "--no-follow", "--since", "1h")
    assert len(world.rows(*once)) == 6
    failed = world.rows(*once, "--status", "failed")
    assert [row[1] for row in failed] == ["attempt"] * 3 and {row[3] for row in failed} == {bad.id}
    assert {row[5] for row in failed} == {"500"} and {row[8] for row in failed} == {"ok"}
    assert [row[3] for row in world.rows(*once, "--type", "invoice.*")] == [good.id, good.id]
    assert [row[1] for row in world.rows(*once, "--endpoint", made.id)] == ["attempt"] * 4
    assert [row[2] for row in world.rows("tail", "--no-follow", "--app", "acme", "-n", "1") if row[1] == "message"] == [good.id]
    assert {row[1] for row in world.rows("tail", "--no-follow", "-n", "0")} <= {"attempt"}
    people = world.does(*once, "-o", "table")
    assert f"← {bad.id}  500" in people and "posthaste show atmpt_" in people and f"→ {good.id}  invoice.paid" in people


def test_more_than_a_page_is_told_without_a_gap(world):
    def some(count):
        for number in range(count):
            send(world, "a.b", n=number)

    threads = [threading.Thread(target=some, args=(90,)) for _ in range(3)]
    tail = Tail(world, "-n", "0")
    for thread in threads:
        thread.start()
    told = tail.tells(270)
    for thread in threads:
        thread.join()
    assert len({line["message"]["id"] for line in told}) == 270
    out, said = tail.ends()
    assert out == b"" and "270 messages" in said
    assert len(world.rows("tail", "--no-follow", "--since", "1h")) == 270


def test_more_apps_than_are_followed_are_said(world):
    for number in range(100):
        world.sdk.application.create(api.ApplicationIn(name=f"App {number}"))
    done = world.run("tail", "--no-follow")
    assert done.returncode == OK and b"the first 100 sources and apps" in done.stderr
    assert b"the first 100" not in world.run("tail", "--no-follow", "--app", "acme").stderr


@embedded_only("its one server is stopped and started again at the same port")
def test_a_tail_outlives_its_server(tmp_path):
    server = Posthaste(tmp_path / "data")
    port = server.url.rsplit(":", 1)[1]
    world = Cli(server, tmp_path)
    sdk = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    sdk.application.create(api.ApplicationIn(name="Acme", uid="acme"))
    tail = Tail(world)
    sdk.message.create("acme", api.MessageIn(event_type="a.b", payload={"n": 1}))
    tail.tells(1)
    server.stop()
    line = tail.process.stderr.readline()
    while b"reconnecting" not in line:
        line = tail.process.stderr.readline()
    server.env["POSTHASTE_LISTEN"] = f"127.0.0.1:{port}"
    server.start()
    sdk.message.create("acme", api.MessageIn(event_type="a.b", payload={"n": 2}))
    (line,) = tail.tells(1)
    assert line["event"] == "message"
    tail.ends()
    server.stop()
