"""Every noun from the command line against a real server; what it made is looked at with the official SDK."""

import json
import os
import pty
import uuid

import pytest
from svix import api

from cli import FORBIDDEN, NOT_FOUND, OK, REJECTED, UNREACHABLE, USAGE, Cli
from conftest import wait_for_attempts


@pytest.fixture
def world(posthaste, tmp_path):
    """An environment of its own: the command line, and the SDK."""
    token = posthaste.new_token(f"e{uuid.uuid4().hex[:12]}")
    cli = Cli(posthaste, tmp_path, token)
    cli.sdk = api.Svix(token, api.SvixOptions(server_url=posthaste.url))
    return cli


def test_an_app_is_made_shown_changed_listed_and_deleted(world):
    made = world.json("app", "create", "name=Acme", "uid=acme", "metadata.plan=gold")
    app = world.sdk.application.get("acme")
    assert (app.id, app.name, app.metadata) == (made["id"], "Acme", {"plan": "gold"})
    assert world.json("app", "get", "acme") == world.json("app", "get", made["id"]) == made
    assert world.json("app", "update", "acme", "name=Acme Inc", "rateLimit:=10")["name"] == "Acme Inc"
    assert world.sdk.application.get("acme").metadata == {"plan": "gold"}
    assert world.rows("app", "ls")[0][:3] == [made["id"], "acme", "Acme Inc"]
    assert world.json("app", "create", "name=Acme", "uid=acme", "--if-absent")["id"] == made["id"]
    assert "409" in world.fails(REJECTED, "app", "create", "name=Acme", "uid=acme")
    assert world.does("app", "rm", "acme", "--yes") == ""
    assert "acme" in world.fails(NOT_FOUND, "app", "get", "acme")


def test_an_endpoint_is_made_and_all_that_can_be_done_with_it_is_done(world, receiver):
    world.does("app", "create", "name=Acme", "uid=acme")
    made = world.json("endpoint", "create", "--app", "acme", f"url={receiver.url}", "uid=main", 'eventTypes:=["a.b"]')
    assert world.sdk.endpoint.get("acme", "main").filter_types == ["a.b"]
    # Its id says whose it is; a uid does not.
    assert world.json("endpoint", "get", made["id"]) == world.json("endpoint", "get", "main", "--app", "acme") == made
    assert "--app APP" in world.fails(USAGE, "endpoint", "get", "main")
    assert world.json("endpoint", "update", made["id"], "description=x", "eventTypes:=null")["description"] == "x"
    secret = world.does("endpoint", "secret", made["id"]).strip()
    assert secret == world.sdk.endpoint.get_secret("acme", "main").key
    rotated = world.does("endpoint", "rotate-secret", made["id"]).strip()
    assert rotated.startswith("whsec_") and rotated == world.does("endpoint", "secret", made["id"]).strip() != secret
    world.does("event-type", "create", "name=invoice.paid", "description=Paid")
    sent = world.json("endpoint", "test", made["id"], "--type", "invoice.paid")
    receiver.got(1)
    assert sent["eventType"] == "invoice.paid"
    stats = world.json("endpoint", "stats", made["id"], "--since", "1h")
    assert set(stats) == {"success", "pending", "sending", "fail", "canceled"}
    job = world.json("endpoint", "recover", made["id"], "--since", "1h")
    assert job["task"] == "endpoint.recover" and job["id"].startswith("qtask_")
    assert "since" in world.fails(USAGE, "endpoint", "recover", made["id"])
    assert world.json("endpoint", "headers", made["id"]) == {"headers": {}, "sensitive": []}
    assert [row[0] for row in world.rows("endpoint", "list", "--app", "acme")] == [made["id"]]
    world.does("endpoint", "delete", made["id"], "-y")
    assert world.rows("endpoint", "list", "--app", "acme") == []


def test_event_types_come_from_items_and_from_files(world, tmp_path):
    file = tmp_path / "type.toml"
    file.write_text('name = "invoice.paid"\ndescription = "from a file"\n')
    world.does("event-type", "create", "-f", file, "groupName=money")
    made = world.sdk.event_type.get("invoice.paid")
    assert (made.description, made.group_name) == ("from a file", "money")
    body = json.dumps({"name": "invoice.sent", "description": "from standard input"}).encode()
    world.does("event-type", "create", "-", stdin=body)
    assert [row[0] for row in world.rows("event-type", "list")] == ["invoice.paid", "invoice.sent"]
    world.does("event-type", "delete", "invoice.sent", "--yes")
    assert [row[0] for row in world.rows("event-type", "list")] == ["invoice.paid"]
    assert len(world.rows("event-type", "list", "--archived")) == 2
    assert "is not JSON" in world.fails(USAGE, "event-type", "create", "-", stdin=b"{")
    assert "nothing is said" in world.fails(USAGE, "event-type", "update", "invoice.paid")


def test_a_message_is_sent_once_and_found_without_its_app(world, receiver):
    app = world.json("app", "create", "name=Acme", "uid=acme")
    endpoint = world.json("endpoint", "create", "--app", "acme", f"url={receiver.url}", "uid=main")
    send = ("message", "create", "--app", "acme", "--type", "invoice.paid", "invoice.amount:=42", "invoice.to=a@b.example",
            "--tag", "x", "--tag", "y", "--event-id", "evt-1", "--idempotency-key", "k-1")
    sent = world.json(*send)
    assert world.json(*send)["id"] == sent["id"]
    assert json.loads(receiver.got(1)[0][2]) == {"invoice": {"amount": 42, "to": "a@b.example"}}
    seen = world.sdk.message.get("acme", "evt-1")
    assert (seen.id, seen.tags) == (sent["id"], ["x", "y"])
    assert world.json("message", "get", sent["id"])["payload"] == sent["payload"]
    attempts = wait_for_attempts(world.sdk, type("App", (), app), type("Message", (), sent), 1)
    (attempt,) = world.rows("attempt", "list", "--message", sent["id"])
    assert attempt[:5] == [attempts[0].id, sent["id"], endpoint["id"], "success", "200"]
    assert world.rows("attempt", "list", "--endpoint", endpoint["id"], "--status", "success") == [attempt]
    assert world.rows("attempt", "list", "--endpoint", "main", "--app", "acme", "--status", "failed") == []
    assert world.json("attempt", "get", attempt[0])["response"] == "ok"
    assert "--message" in world.fails(USAGE, "attempt", "list")
    world.does("message", "delete", sent["id"], "--yes")
    assert world.json("message", "get", sent["id"])["payload"] == {"expired": True}


def test_lists_are_cut_at_their_limit_and_followed_to_the_end(world):
    world.does("app", "create", "name=Acme", "uid=acme")
    for number in range(7):
        world.sdk.message.create("acme", api.MessageIn(event_type=f"n.{number % 2}", payload={"n": number}))
    done = world.run("message", "list", "--app", "acme", "--limit", "3")
    assert len(done.stdout.splitlines()) == 3 and b"there are more: --all" in done.stderr
    done = world.run("message", "list", "--app", "acme", "--all", "-o", "jsonl")
    assert [json.loads(line)["payload"]["n"] for line in done.stdout.splitlines()] == [6, 5, 4, 3, 2, 1, 0]
    assert len(world.json("message", "list", "--app", "acme", "--all")) == 7
    assert world.json("message", "list", "--app", "acme", "--until", "1h") == []
    assert len(world.json("message", "list", "--app", "acme", "--since", "1h", "--type", "n.1")) == 3
    assert world.fails(USAGE, "message", "list", "--app", "acme", "--since", "soon").startswith("posthaste: --since")
    table = world.does("message", "list", "--app", "acme", "-o", "table").splitlines()
    assert table[0].split() == ["ID", "TYPE", "EVENT", "ID", "TAGS", "ACCEPTED"] and table[1].startswith("msg_…")
    assert len({line.index("n.") for line in table[1:]}) == 1


def test_a_list_longer_than_a_page_is_walked_by_its_iterators(world):
    names = [f"t.{number:03}" for number in range(253)]
    for name in names:
        world.sdk.event_type.create(api.EventTypeIn(name=name, description=""))
    assert [row[0] for row in world.rows("event-type", "list", "--all")] == names
    assert len(world.rows("event-type", "list", "--limit", "252")) == 252


def test_a_source_is_made_its_endpoints_are_found_and_its_address_changes(world, receiver):
    made = world.json("source", "create", "name=Hub", "uid=hub", "type=github", "config.secret=hush")
    assert made["type"] == "github" and "/in/" in made["ingestUrl"]
    assert [row[1:4] for row in world.rows("source", "list")] == [["hub", "Hub", "github"]]
    endpoint = world.json("endpoint", "create", "--source", "hub", f"url={receiver.url}")
    assert [row[0] for row in world.rows("source", "endpoints", "hub")] == [endpoint["id"]]
    assert world.json("endpoint", "get", endpoint["id"])["url"] == receiver.url
    assert world.json("endpoint", "update", endpoint["id"], "disabled:=true")["disabled"] is True
    assert world.json("source", "update", "hub", "paused:=true")["paused"] is True
    moved = world.does("source", "rotate-token", "hub").strip()
    assert "/in/" in moved and moved != made["ingestUrl"]
    assert world.rows("source", "log", "hub") == []
    assert world.rows("message", "list", "--source", "hub") == []
    assert world.does("source", "portal", "hub").startswith("http")
    world.does("source", "delete", "hub", "--yes")
    assert world.rows("source", "list") == []


def test_deleting_asks_and_without_a_terminal_says_how_not_to_be_asked(world):
    world.does("app", "create", "name=Acme", "uid=acme")
    assert "--yes" in world.fails(USAGE, "app", "delete", "acme")
    for answer, code in [(b"no\n", USAGE), (b"yes\n", OK)]:
        ours, theirs = pty.openpty()
        process = world.start_on(theirs, "app", "delete", "acme")
        os.write(ours, answer)
        assert process.wait(20) == code
        os.close(ours)
        os.close(theirs)
    assert world.rows("app", "list") == []


def test_refusals_are_told_apart_by_exit_code_and_say_what_to_do(world, posthaste, tmp_path):
    world.does("app", "create", "name=Acme", "uid=acme")
    said = world.fails(REJECTED, "endpoint", "create", "--app", "acme", "url=nowhere", "colour=red")
    what, why, then = said.splitlines()
    assert what.startswith("posthaste: POST /api/v1/app/acme/endpoint was answered 422")
    assert "url" in why and then.strip().startswith("next: ")
    assert "--token" in Cli(posthaste, tmp_path, "phk_wrong").fails(FORBIDDEN, "app", "list")
    assert "posthaste token create" in world.fails(FORBIDDEN, "app", "list", POSTHASTE_TOKEN="")
    assert "--server URL" in world.fails(UNREACHABLE, "app", "list", POSTHASTE_SERVER="http://127.0.0.1:1")
    assert "is not there" in world.fails(NOT_FOUND, "message", "get", "msg_2mXU5QaBcDeFgHiJkLmNoPqRsTu")
    assert "did you mean" in world.fails(USAGE, "apps").lower() or "similar" in world.fails(USAGE, "apps")
    # A token of one app may not look around.
    portal = world.sdk.authentication.app_portal_access("acme", api.AppPortalAccessIn()).token
    assert "more rights" in Cli(posthaste, tmp_path, portal).fails(FORBIDDEN, "app", "list")


def test_who_has_read_enough_ends_the_list_without_a_complaint(world):
    world.does("app", "create", "name=Acme", "uid=acme")
    for number in range(30):
        world.sdk.message.create("acme", api.MessageIn(event_type="a.b", payload={"n": "x" * 10_000}))
    process = world.start("message", "list", "--app", "acme", "--all", "-o", "jsonl")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == OK
    assert process.stderr.read() == b""


def read_all(terminal):
    """What was printed on a terminal, until whoever held it is gone."""
    said = b""
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:
            return said.decode()
        if not part:
            return said.decode()
        said += part


def on_a_terminal(world, *arguments, **env):
    ours, theirs = pty.openpty()
    process = world.start_on(theirs, *arguments, **env)
    os.close(theirs)
    said = read_all(ours)
    os.close(ours)
    return process.wait(20), said.replace("\r\n", "\n")


def test_on_a_terminal_there_are_tables_and_colours_unless_they_are_unwanted(world, receiver):
    receiver.answers_with(500, 500, 500)
    app = world.sdk.application.create(api.ApplicationIn(name="Acme", uid="acme"))
    world.sdk.endpoint.create("acme", api.EndpointIn(url=receiver.url))
    message = world.sdk.message.create("acme", api.MessageIn(event_type="a.b", payload={}))
    wait_for_attempts(world.sdk, app, message, 3)
    code, said = on_a_terminal(world, "app", "list")
    assert code == OK and said.splitlines()[0].split() == ["ID", "UID", "NAME", "CREATED"] and "\t" not in said
    # Elsewhere it is plain, with whole ids.
    assert world.rows("app", "list")[0][0] == app.id not in said
    red = "\x1b[31m500"
    tail = ("tail", "--no-follow")
    assert red not in on_a_terminal(world, *tail, TERM="xterm")[1]
    assert red in on_a_terminal(world, *tail, TERM="xterm", NO_COLOR="")[1]
    assert red not in on_a_terminal(world, *tail, TERM="dumb", NO_COLOR="")[1]
    assert "\x1b" not in world.does(*tail, "-o", "table", NO_COLOR="", TERM="xterm")
