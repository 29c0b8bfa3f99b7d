"""`show` against a real server: what is shown of an id, in every form."""

import base64
import http.client
import json
import subprocess
import urllib.parse
import uuid

import pytest
import standardwebhooks
from svix import api

from cli import NOT_FOUND, NOT_VERIFIED, OK, USAGE, Cli
from conftest import wait_for_attempts


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


def knock(url, body, method="POST", **headers):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request(method, f"{parts.path}?{parts.query}", body, headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status < 300, answer.status


def test_anything_is_shown_by_its_id_alone(world, receiver):
    made = endpoint(world, receiver.url)
    message = send(world, n=1)
    (attempt,) = wait_for_attempts(world.sdk, world.app, message, 1)
    source = world.json("source", "create", "name=Hub", "uid=hub", "type=github", "config.secret=hush")
    job = world.json("endpoint", "recover", made.id, "--since", "1h")
    for id in (world.app.id, made.id, source["id"], job["id"]):
        assert world.json("show", id)["id"] == id
    story = world.json("show", message.id)
    assert story["message"]["payload"] == {"n": 1} and story["appId"] == world.app.id
    assert [row["id"] for row in story["attempts"]] == [attempt.id]
    assert [row["id"] for row in story["endpoints"]] == [made.id]
    shown = world.json("show", attempt.id)
    assert shown["id"] == attempt.id and shown["msg"]["id"] == message.id
    text = world.does("show", message.id)
    for word in (message.id, attempt.id, made.id, receiver.url, "invoice.paid", '"n": 1', "200"):
        assert word in text, (word, text)
    assert "is not there" in world.fails(NOT_FOUND, "show", "msg_2mXU5QaBcDeFgHiJkLmNoPqRsTu")
    assert "is not there" in world.fails(NOT_FOUND, "show", "acme")
    assert "no request" in world.fails(USAGE, "show", world.app.id, "--curl")


def test_what_another_environment_has_is_not_there(world, posthaste, tmp_path):
    message = send(world, n=1)
    stranger = Cli(posthaste, tmp_path, posthaste.new_token(f"e{uuid.uuid4().hex[:12]}"))
    for id in (message.id, world.app.id):
        stranger.fails(NOT_FOUND, "show", id)


def test_what_an_endpoint_was_sent_is_sent_again_and_believed(world, receiver):
    made = endpoint(world, receiver.url)
    world.does("message", "create", "--app", "acme", "--type", "a.b", "-", stdin=b'{"n": 1.50,  "s": "it\'s \\u00e9"}')
    (message,) = world.sdk.message.list("acme").data
    body = receiver.got(1)[0][2]
    assert world.run("show", message.id, "--body").stdout == body
    secret = world.sdk.endpoint.get_secret("acme", made.id).key
    raw = world.run("show", message.id, "--raw")
    assert b"signed anew" in raw.stderr
    verify = ("verify", "-", "--provider", "standard-webhooks", "--secret", secret)
    for form in ("--raw", "--har", "--curl"):
        assert world.run(*verify, stdin=world.run("show", message.id, form).stdout).returncode == OK, form
    wrong = "whsec_" + base64.b64encode(b"x" * 24).decode()
    assert world.run(*verify[:-1], wrong, stdin=raw.stdout).returncode == NOT_VERIFIED
    # A shell runs what --curl prints.
    subprocess.run(["bash", "-c", world.does("show", message.id, "--curl").replace("curl ", "curl -sS ", 1)], check=True, timeout=20)
    path, headers, again = receiver.got(2)[1]
    assert again == body
    standardwebhooks.Webhook(secret).verify(again, {name.lower(): value for name, value in headers.items()})


def test_an_answer_is_shown_and_a_har_has_all_of_them(world, receiver):
    receiver.answers_with(500, 503)
    endpoint(world, receiver.url)
    message = send(world, n=1)
    attempts = wait_for_attempts(world.sdk, world.app, message, 3)
    assert world.does("show", message.id, "--response").splitlines() == ["200", "ok"]
    first = min(attempts, key=lambda attempt: attempt.timestamp)
    assert world.does("show", first.id, "--response").splitlines()[0] == "500"
    har = json.loads(world.does("show", message.id, "--har"))
    assert [entry["response"]["status"] for entry in har["log"]["entries"]] == [500, 503, 200]


@pytest.mark.parametrize("body", [b'{"a": 1}', b"a=b&c=%2F", b"\xff\xfe\x00binary", b""])
def test_what_came_in_by_a_source_is_had_back_byte_for_byte(world, handler, body):
    source = world.json("source", "create", "name=Any", "uid=any", "type=generic-webhook", 'methods:=["PUT"]')
    world.json("endpoint", "create", "--source", "any", f"url={handler.url}")
    knock(source["ingestUrl"] + "?a=%2F&token=hush", body, "PUT", **{"X-Many": "1", "X-Api-Key": "quiet"})
    (sent,) = handler.got(1)
    (message,) = world.json("message", "list", "--source", "any")
    assert world.run("show", message["id"], "--body").stdout == body
    har = json.loads(world.does("show", message["id"], "--har"))["log"]["entries"][0]["request"]
    assert (har["method"], har["url"]) == ("PUT", source["ingestUrl"] + "?a=%2F&token=(hidden)")
    said = world.run("show", message["id"], "--headers")
    assert b"x-many: 1" in said.stdout.lower() and b"quiet" not in said.stdout + said.stderr
    assert b"no credentials" in said.stderr
    text = world.does("show", message["id"])
    assert "came in as\n  PUT ?a=%2F&token=(hidden)\n" in text and source["id"] in text
    assert sent.body == body


def test_a_request_of_a_provider_is_verified_out_of_a_har(world, handler):
    source = world.json("source", "create", "name=Hub", "uid=hub", "type=github", "config.secret=hush")
    world.json("endpoint", "create", "--source", "hub", f"url={handler.url}")
    world.does("trigger", "github.push", "--to", source["ingestUrl"], "--secret", "hush")
    handler.got(1)
    (message,) = world.json("message", "list", "--source", "hub")
    for form in ("--har", "--raw", "--curl"):
        captured = world.run("show", message["id"], form).stdout
        assert world.run("verify", "-", "--provider", "github", "--secret", "hush", stdin=captured).returncode == OK, form
        assert world.run("verify", "-", "--provider", "github", "--secret", "loud", stdin=captured).returncode == NOT_VERIFIED


def test_a_refused_request_is_shown(world):
    source = world.json("source", "create", "name=Hub", "uid=hub", "type=github", "config.secret=hush")
    world.run("trigger", "github.push", "--to", source["ingestUrl"], "--secret", "loud")
    for _ in range(2000):
        rows = world.rows("source", "log", "hub")
        if rows:
            break
    assert world.json("show", rows[0][0])["id"] == rows[0][0]
