"""`apply` and `export` against a real server: what files say is there, nothing else is touched, and nothing secret leaves."""

import uuid

import pytest
from svix import api

from cli import BULK_PARTLY_FAILED, OK, USAGE, Cli

FILE = """
[[event-type]]
name = "invoice.paid"
description = "Somebody paid"
groupName = "money"

[event-type.schemas.1]
type = "object"
properties = { amount = { type = "integer" } }

[[app]]
uid = "acme"
name = "Acme"
rateLimit = 10
metadata = { plan = "gold", "with space" = "x" }

[[app.endpoint]]
uid = "main"
url = "https://hooks.example.com/acme"
eventTypes = ["invoice.paid"]
secret_env = "ACME_SECRET"

[[app.endpoint]]
uid = "second"
url = "https://hooks.example.com/second"
disabled = true

[[source]]
uid = "hub"
name = "Hub"
type = "github"
secret_env = "HUB_SECRET"

[[source.endpoint]]
uid = "ci"
url = "https://ci.example.com/"

[[source]]
uid = "nightly"
name = "Nightly"
type = "cron"
config = { schedule = "0 3 * * *", contentType = "application/json", payload = "{}" }
"""
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRETS = {"ACME_SECRET": SECRET, "HUB_SECRET": "a very quiet secret"}


@pytest.fixture
def world(posthaste, tmp_path):
    token = posthaste.new_token(f"e{uuid.uuid4().hex[:12]}")
    cli = Cli(posthaste, tmp_path, token)
    cli.sdk = api.Svix(token, api.SvixOptions(server_url=posthaste.url))
    cli.file = tmp_path / "posthaste.toml"
    cli.file.write_text(FILE)
    return cli


def applies(world, *more):
    """The lines of the plan."""
    return world.does("apply", "-f", world.file, *more, **SECRETS).splitlines()


ALL = ["+ event-type invoice.paid", "+ app acme", "+ endpoint acme/main", "+ endpoint acme/second", "+ source hub",
       "+ endpoint hub/ci", "+ source nightly"]


def test_what_a_file_says_is_there_and_a_second_time_nothing_changes(world):
    assert applies(world, "--dry-run") == ALL
    assert world.rows("app", "list") == world.rows("event-type", "list") == world.rows("source", "list") == []
    assert applies(world) == ALL
    app = world.sdk.application.get("acme")
    assert (app.name, app.rate_limit, app.metadata["plan"]) == ("Acme", 10, "gold")
    main = world.sdk.endpoint.get("acme", "main")
    assert (main.url, main.filter_types) == ("https://hooks.example.com/acme", ["invoice.paid"])
    assert world.sdk.endpoint.get_secret("acme", "main").key == SECRET
    assert world.sdk.endpoint.get("acme", "second").disabled
    assert world.sdk.event_type.get("invoice.paid").schemas["1"]["properties"] == {"amount": {"type": "integer"}}
    assert world.json("source", "get", "hub")["type"] == "github"
    assert [row[1] for row in world.rows("source", "endpoints", "hub")] == ["ci"]
    assert applies(world) == applies(world, "--prune") == []


def test_only_what_differs_is_changed(world):
    applies(world)
    text = FILE.replace("rateLimit = 10\n", "").replace('/acme"', '/other"').replace('plan = "gold", ', "")
    world.file.write_text(text)
    assert applies(world) == ["~ app acme  rateLimit, metadata", "~ endpoint acme/main  url"]
    app = world.sdk.application.get("acme")
    assert app.rate_limit is None and "plan" not in app.metadata
    assert world.sdk.endpoint.get_secret("acme", "main").key == SECRET
    assert applies(world) == []


def test_what_is_exported_changes_nothing_and_holds_no_secret(world):
    applies(world)
    world.does("app", "create", "name=By hand", "uid=hand", "metadata.a=b")
    world.does("endpoint", "create", "--app", "hand", "url=https://x.example.com/", "uid=e", "headers.authorization=quiet too")
    world.does("app", "create", "name=Nameless")
    done = world.run("export")
    assert done.returncode == OK and b"has no uid: app app_" in done.stderr
    text = done.stdout.decode()
    for secret in (SECRET, *SECRETS.values(), "quiet too", "/in/", "made-by"):
        assert secret not in text, text
    world.file.write_text(text)
    assert world.does("apply", "-f", world.file) == ""
    assert world.does("apply", "-f", world.file, "--prune") == ""
    # An environment that has nothing gets all of it, but for secrets that must be known.
    assert world.run("export").stdout.decode() == text


def test_pruning_deletes_what_an_apply_made_and_nothing_else(world):
    applies(world)
    world.does("app", "create", "name=By hand", "uid=hand")
    world.does("endpoint", "create", "--app", "acme", "url=https://x.example.com/", "uid=hand")
    parts = FILE.split("[[source]]")
    world.file.write_text(parts[0].split("[[app.endpoint]]\nuid = \"second\"")[0])
    assert applies(world) == []
    gone = ["- endpoint acme/second", "- source hub", "- source nightly"]
    assert applies(world, "--prune", "--dry-run") == gone
    assert applies(world, "--prune") == gone
    assert world.rows("source", "list") == []
    assert [row[1] for row in world.rows("endpoint", "list", "--app", "acme")] == ["main", "hand"]
    assert [row[1] for row in world.rows("app", "list")] == ["acme", "hand"]


def test_a_bad_file_is_refused_whole_with_its_line(world):
    for text, line, said in [
        (FILE + '\n[[app]]\nuid = "b"\nname = "B"\ncolour = "red"\n', FILE.count("\n") + 5, 'app has no "colour"'),
        (FILE + '\n[[app]]\nuid = "acme"\nname = "B"\n', FILE.count("\n") + 2, 'app "acme" is there already'),
        (FILE.replace("secret_env", "secret"), 21, "secrets do not stand in files"),
        (FILE.replace('name = "Acme"\n', ""), 11, "this app has no name"),
        ("[[app", 1, ""),
    ]:
        world.file.write_text(text)
        complaint = world.fails(USAGE, "apply", "-f", world.file, **SECRETS)
        assert f"posthaste.toml line {line} cannot be used" in complaint and said in complaint, complaint
    world.file.write_text(FILE)
    complaint = world.fails(USAGE, "apply", "-f", world.file)
    assert "the environment has no ACME_SECRET" in complaint and "line 17" in complaint
    assert world.rows("app", "list") == []


def test_a_directory_is_read_in_the_order_of_its_names(world, tmp_path):
    there = tmp_path / "posthaste.d"
    there.mkdir()
    assert "no *.toml" in world.fails(USAGE, "apply", "-f", there)
    (there / "b.toml").write_text('[[app]]\nuid = "b"\nname = "B"\n')
    (there / "a.toml").write_text('[[app]]\nuid = "a"\nname = "A"\n')
    (there / "a.txt").write_text("nothing")
    assert world.does("apply", "-f", there).splitlines() == ["+ app a", "+ app b"]


def test_what_fails_in_the_middle_is_told_and_goes_on_from_there(world):
    world.file.write_text('[[app]]\nuid = "a"\nname = "A"\n\n[[app.endpoint]]\nuid = "e"\nurl = "nowhere"\n')
    done = world.run("apply", "-f", world.file)
    assert done.returncode == BULK_PARTLY_FAILED
    assert b"1 of 2 are done, and then: + endpoint a/e" in done.stderr
    world.file.write_text(world.file.read_text().replace("nowhere", "https://a.example.com/"))
    assert world.does("apply", "-f", world.file).splitlines() == ["+ endpoint a/e"]
