"""Help, tables and complaints, letter by letter: a change of them is a change that users see. What differs from run to run
is masked. With POSTHASTE_SNAPSHOTS=write the files are written anew."""

import os
import pathlib
import subprocess
import uuid

import pytest
from svix import api

from cli import Cli, masked
from conftest import BINARY, embedded_only, wait_for_attempts

pytestmark = embedded_only("what is printed knows no store, so once is enough")

SNAPSHOTS = pathlib.Path(__file__).parent.parent.parent / "crates" / "posthaste" / "tests" / "snapshots"


def agreed(name, said):
    file = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("POSTHASTE_SNAPSHOTS") == "write":
        file.write_text(said)
    assert said == file.read_text(), f"{file} says something else"


@pytest.mark.parametrize("command", [
    "", "app", "endpoint", "message create", "attempt list", "source log", "endpoint delete", "show", "tail", "replay", "apply", "export",
    "config profile", "completion", "man", "exit-codes",
])
def test_help_is_what_was_agreed(command, tmp_path):
    cli = Cli(None, tmp_path)
    said = cli.does("help", *command.split(), COLUMNS="100") if command else cli.does("--help", COLUMNS="100")
    agreed(f"help-{command.replace(' ', '-') or 'posthaste'}", said)


@pytest.fixture
def world(posthaste, tmp_path, receiver):
    token = posthaste.new_token(f"e{uuid.uuid4().hex[:12]}")
    cli = Cli(posthaste, tmp_path, token)
    cli.sdk = api.Svix(token, api.SvixOptions(server_url=posthaste.url))
    app = cli.sdk.application.create(api.ApplicationIn(name="Acme Inc", uid="acme"))
    cli.sdk.event_type.create(api.EventTypeIn(name="invoice.paid", description="Somebody paid"))
    receiver.answers_with(500)
    cli.endpoint = cli.sdk.endpoint.create("acme", api.EndpointIn(url=receiver.url, uid="main"))
    cli.message = cli.sdk.message.create("acme", api.MessageIn(event_type="invoice.paid", payload={"amount": 42}))
    wait_for_attempts(cli.sdk, app, cli.message, 2)
    return cli


def test_tables_and_pages_are_what_was_agreed(world):
    for name, command in [
        ("app-list", "app list"), ("event-type-list", "event-type list"), ("endpoint-list", "endpoint list --app acme"),
        ("message-list", "message list --app acme"), ("attempt-list", f"attempt list --message {world.message.id}"),
        ("app-get", "app get acme"), ("show-message", f"show {world.message.id}"), ("tail", "tail --no-follow"),
    ]:
        agreed(f"table-{name}", masked(world.does(*command.split(), "-o", "table")))


def test_complaints_are_what_was_agreed(world):
    said = []
    for command in [
        "apps", "app", "app delete acme", "endpoint get main", "endpoint list", "app get nobody", "show msg_2mXU5QaBcDeFgHiJkLmNoPqRsTu",
        "endpoint create --app acme url=x", "app create", "app update acme", "message list --app acme --since soon",
        "app list --token wrong", "app list --server http://127.0.0.1:1", "app list --profile nobody", "app create name",
        "attempt list", "apply -f nowhere.toml", "completion tcsh",
    ]:
        done = world.run(*command.split())
        assert done.returncode != 0 and done.stdout == b"", command
        said.append(f"$ posthaste {command}\n{masked(done.stderr.decode())}exit {done.returncode}\n")
    agreed("complaints", "\n".join(said))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "elvish", "powershell"])
def test_completions_know_every_command(shell, tmp_path):
    script = Cli(None, tmp_path).does("completion", shell)
    for word in ("rotate-secret", "idempotency-key", "no-follow", "dry-run", "healthcheck"):
        assert word in script, word
    if shell == "bash":
        (tmp_path / "posthaste.bash").write_text(script)
        asked = f'source {tmp_path}/posthaste.bash; COMP_WORDS=(posthaste endp); COMP_CWORD=1; _posthaste posthaste endp; echo "${{COMPREPLY[@]}}"'
        assert subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=20).stdout.split() == ["endpoint"]


def test_man_pages_are_written_for_every_command(tmp_path):
    cli = Cli(None, tmp_path)
    page = cli.does("man")
    assert ".TH posthaste 1" in page and "EXIT STATUS" in page and "POSTHASTE_PROFILE" in page
    cli.does("man", tmp_path / "pages")
    pages = {path.name for path in (tmp_path / "pages").iterdir()}
    assert {"posthaste.1", "posthaste-show.1", "posthaste-endpoint-rotate-secret.1", "posthaste-serve.1"} <= pages
    assert (tmp_path / "pages" / "posthaste.1").read_text() == page


def test_what_was_meant_is_said_where_complaints_are(tmp_path):
    done = Cli(None, tmp_path).run("tial")
    assert done.returncode == 2 and done.stdout == b"" and b"'tail'" in done.stderr, BINARY
