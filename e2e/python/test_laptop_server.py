"""`trigger --source`, `send --app`, `verify MESSAGE_ID` and `sign --curl`: laptop commands against a running server."""

import json
import shlex
import subprocess
import urllib.parse
import uuid

import pytest

from conftest import DEADLINE_S
from inbound import Source, call, made
from test_bins import FORBIDDEN, NOT_FOUND, OK, REJECTED, USAGE, Cli

NOT_VERIFIED, RECEIVER_FAILED = 7, 9


@pytest.fixture
def cli(posthaste, tmp_path):
    cli = Cli(posthaste, tmp_path)
    yield cli
    cli.close()


def named(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def kept(source):
    return call(source.posthaste, "GET", f"{source.path}/request").json()["data"]


def reachable(source):
    """Whether the door is where the server says it is: behind a balancer it is elsewhere."""
    return source.ingest_url.startswith(source.posthaste.url)


def test_an_event_is_triggered_at_a_source_with_its_own_secret(posthaste, cli):
    source = Source(posthaste, "stripe", {"secret": "whsec_of_mine"}, uid=named("stripe"))
    if not reachable(source):
        pytest.skip("the door is at another address than the balancer's")
    cli.does("trigger", "stripe.charge.succeeded", "--source", source.id, "--secret", "whsec_of_mine")
    assert [request["eventType"] for request in kept(source)] == ["charge.succeeded"]
    cli.fails(RECEIVER_FAILED, "trigger", "stripe", "--source", source.id, "--secret", "whsec_of_another")
    assert "never shows" in cli.fails(USAGE, "trigger", "stripe", "--source", source.id)
    assert "takes no events of Slack" in cli.fails(REJECTED, "trigger", "slack", "--source", source.id, "--secret", "x")
    cli.fails(NOT_FOUND, "trigger", "stripe", "--source", "nothing", "--secret", "x")


def test_a_request_that_is_kept_is_verified_by_its_id(posthaste, cli):
    source = Source(posthaste, "github", {"secret": "hush"}, uid=named("github"))
    curl = cli.does("trigger", "github.push", "--secret", "hush", "--curl")
    words = shlex.split(curl.replace("\\\n", ""))
    headers = [words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H"]
    body = words[words.index("--data-raw") + 1].encode()
    assert source.knock(body, headers).status == 200
    message = kept(source)[0]["id"]
    told = json.loads(cli.does("verify", message, "--source", source.id, "--secret", "hush", "--json"))
    assert (told["valid"], told["provider"], told["eventType"]) == (True, "github", "push")
    code, out, _ = cli.run("verify", message, "--source", source.id, "--secret", "another")
    assert code == NOT_VERIFIED and "invalid" in out
    cli.fails(NOT_FOUND, "verify", message[:-1] + ("0" if message[-1] != "0" else "1"), "--source", source.id, "--secret", "hush")


def test_a_credential_that_the_server_hides_is_named(posthaste, cli):
    source = Source(posthaste, "gitlab", {"secret": "hush"})
    assert source.knock(b'{"object_kind":"push"}', {"X-Gitlab-Token": "hush", "X-Gitlab-Event": "Push Hook"}).status == 200
    message = kept(source)[0]["id"]
    code, _, err = cli.run("verify", message, "--source", source.id, "--secret", "hush")
    assert code == NOT_VERIFIED and "the server hides the header x-gitlab-token" in err
    cli.does("verify", message, "--source", source.id, "--secret", "hush", "--header", "X-Gitlab-Token: hush")


def test_a_message_of_an_app_is_sent_and_its_attempts_are_shown(posthaste, cli, receiver):
    app = named("app")
    made(posthaste, "/api/v1/app", {"name": "A", "uid": app})
    code, out, err = cli.run("send", "--app", app, "--type", "user.created", "email=a@b.co", "n:=1", "--wait")
    assert code == OK and out.startswith("msg_") and "no endpoint" in err
    made(posthaste, f"/api/v1/app/{app}/endpoint", {"url": receiver.url})
    code, out, err = cli.run("send", "--app", app, "--type", "user.created", "email=a@b.co", "n:=1", "--wait")
    assert code == OK and f"← 200  {receiver.url}" in err, err
    assert json.loads(receiver.got(1)[0][2]) == {"email": "a@b.co", "n": 1}
    receiver.answers_with(500, 500, 500)
    code, out, err = cli.run("send", "--app", app, "--type", "user.created", "--wait")
    assert code == RECEIVER_FAILED and f"← 500  {receiver.url}" in err, err
    # Without a terminal nobody waits, unless asked to.
    assert cli.run("send", "--app", app, "--type", "user.created")[2] == ""
    cli.fails(USAGE, "send", "--app", app, "a=1")
    cli.fails(USAGE, "send", "--app", app, "--type", "a.b", "X-A:1")
    cli.fails(NOT_FOUND, "send", "--app", "nothing", "--type", "a.b")
    cli.fails(FORBIDDEN, "send", "--app", app, "--type", "a.b", POSTHASTE_TOKEN="phk_nobody")


def test_a_curl_command_sends_what_was_signed(posthaste, cli, tmp_path, receiver):
    (tmp_path / "body.json").write_text('{"it\'s": "ü"}')
    curl = cli.does("sign", "body.json", "--provider", "github", "--secret", "hush", "--curl", receiver.url)
    subprocess.run(["sh", "-c", curl], check=True, capture_output=True, timeout=DEADLINE_S)
    path, headers, body = receiver.got(1)[0]
    assert (path, body) == (urllib.parse.urlsplit(receiver.url).path, '{"it\'s": "ü"}'.encode())
    headers = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    cli.does("verify", "body.json", "--provider", "github", "--secret", "hush", *headers)
