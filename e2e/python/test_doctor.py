"""The doctor: says what is wrong and how to mend it, beside a running server and without one, and changes nothing."""

import json
import os
import shutil
import sqlite3
import subprocess
import urllib.parse

import pytest
from svix import api

from conftest import BINARY, DEADLINE_S, Posthaste, embedded_only


pytestmark = embedded_only("the doctor looks at the embedded store, and says so where there is a database")


def doctor(data_dir, *more, **settings):
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")} | settings
    command = [BINARY, "doctor", "--data-dir", str(data_dir), *more]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S)


def findings(done):
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["ok"] == (done.returncode == 0)
    return {finding["name"]: finding for finding in said["findings"]}


@pytest.fixture
def server(tmp_path):
    server = Posthaste(tmp_path / "data")
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture
def listens(server):
    return ["--listen", urllib.parse.urlsplit(server.url).netloc]


def everything_in(directory):
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in directory.iterdir()}


def test_beside_a_running_server_all_is_well(server, listens):
    done = doctor(server.data_dir, "--json", *listens)
    assert done.returncode == 0, done.stdout
    said = findings(done)
    assert {name for name, finding in said.items() if finding["state"] == "error"} == set()
    assert said["server"]["says"] == f"runs on this store, and is ready at {server.url}"
    assert "main-secret fits the store" in said["main secret"]["says"]
    assert said["integrity"]["state"] == "ok" and said["schema"]["state"] == "ok"
    assert said["backups"]["state"] == "warning" and "posthaste backup FILE" in said["backups"]["mend"]


def test_without_a_server_it_looks_too_and_changes_not_one_byte(server):
    server.stop()
    before = everything_in(server.data_dir)
    done = doctor(server.data_dir, "--json", "--deep")
    assert done.returncode == 0, done.stdout
    assert findings(done)["server"]["says"] == "none runs on this store now"
    assert everything_in(server.data_dir) == before


def test_a_store_that_was_left_by_a_kill_is_read_with_what_is_in_its_wal(server):
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    app = client.application.create(api.ApplicationIn(name="A"))
    client.message.create(app.id, api.MessageIn(event_type="a.b", payload={}))
    server.kill()
    assert "1 message" in findings(doctor(server.data_dir, "--json"))["integrity"]["says"]
    server.start()


def test_lines_line_up_and_have_no_colour_where_there_is_no_terminal(server):
    done = doctor(server.data_dir)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    lines = [line for line in done.stdout.splitlines() if line[2:3] in set("✓–!✗")]
    assert len(lines) >= 12
    assert {line[3] for line in lines} == {" "}
    widths = {len(line) - len(line[4:].split("  ", 1)[1].lstrip()) for line in lines}
    assert len(widths) == 1, done.stdout


def test_where_there_is_no_store_it_says_so_and_makes_none(tmp_path):
    done = doctor(tmp_path / "none")
    assert done.returncode == 1
    assert "✗ data directory" in done.stdout and "name the right one with --data-dir" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_another_main_secret_or_none_is_wrong(server):
    server.stop()
    said = findings(doctor(server.data_dir, "--json", POSTHASTE_MAIN_SECRET="another"))
    assert said["main secret"]["state"] == "error"
    assert "not the one that this store was written with" in said["main secret"]["says"]
    (server.data_dir / "main-secret").rename(server.data_dir / "moved")
    assert "there is none" in findings(doctor(server.data_dir, "--json"))["main secret"]["says"]
    assert not (server.data_dir / "main-secret").exists()
    (server.data_dir / "moved").rename(server.data_dir / "main-secret")


def test_a_damaged_store_and_a_newer_one_are_wrong(server, tmp_path):
    server.stop()
    damaged, newer = tmp_path / "damaged", tmp_path / "newer"
    shutil.copytree(server.data_dir, damaged)
    with open(damaged / "posthaste.db", "r+b") as store:
        store.seek(3 * 8192)
        store.write(b"\xff" * 8192)
    said = findings(doctor(damaged, "--json"))
    assert said["integrity"]["state"] == "error" and "posthaste restore" in said["integrity"]["mend"]
    shutil.copytree(server.data_dir, newer)
    with sqlite3.connect(newer / "posthaste.db") as store:
        store.execute("INSERT INTO migration VALUES (99, 'x')")
    said = findings(doctor(newer, "--json"))
    assert said["schema"]["state"] == "error" and "use a newer posthaste" in said["schema"]["says"]


def test_what_others_may_read_is_said_with_the_command_that_mends_it(server):
    os.chmod(server.data_dir, 0o755)
    os.chmod(server.data_dir / "main-secret", 0o644)
    said = findings(doctor(server.data_dir, "--json"))
    assert said["data directory"]["mend"] == f"chmod 700 {server.data_dir}"
    assert said["secrets"]["state"] == "error" and "chmod 600" in said["secrets"]["mend"]


def test_what_does_not_get_through_is_said(server, receiver):
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    app = client.application.create(api.ApplicationIn(name="A"))
    client.endpoint.create(app.id, api.EndpointIn(url=receiver.url))
    receiver.answers_with(500, 500, 500)
    client.message.create(app.id, api.MessageIn(event_type="a.b", payload={}))
    receiver.got(3)
    server.stop()
    said = findings(doctor(server.data_dir, "--json"))
    assert "1 endpoint; 1 failing" in said["endpoints"]["says"]
    assert said["dead letters"]["says"].startswith("1 of the last day's messages")


def test_a_url_is_called_as_a_delivery_would_call_it(server, receiver):
    done = doctor(server.data_dir, "--json", "--url", receiver.url, POSTHASTE_ALLOW_TARGETS="127.0.0.0/8")
    said = findings(done)
    assert said["address"]["state"] == "ok" and "127.0.0.1:" in said["connection"]["says"]
    # The receiver knows no HEAD: that it answers is what counts.
    assert said["answer"]["says"].startswith("501 to HEAD in ")


@pytest.mark.parametrize(
    ("url", "why", "mend"),
    [
        ("http://127.0.0.1:9999/", "127.0.0.1 is this machine itself, not public", "add 127.0.0.1, its network"),
        ("http://10.1.2.3/", "10.1.2.3 is of a private network, not public", "POSTHASTE_ALLOW_TARGETS"),
        ("http://169.254.169.254/", "where clouds give out credentials", "exactly 169.254.169.254"),
        ("https://db.internal/", "db.internal is a private name", "add db.internal to POSTHASTE_ALLOW_TARGETS"),
        ("https://hooks.example.net/", "hooks.example.net is this server's own name", "would loop"),
        ("http://127.0.0.1:8071/", "127.0.0.1 is where this server listens", "would loop"),
        ("ftp://example.com/", "must begin with https:// or http://", "mend the URL"),
    ],
)
def test_a_url_that_is_refused_is_explained(server, url, why, mend):
    done = doctor(server.data_dir, "--json", "--url", url, POSTHASTE_PUBLIC_URL="https://hooks.example.net")
    said = findings(done)["address"]
    assert done.returncode == 1 and said["state"] == "error"
    assert why in said["says"] and mend in said["mend"]


def test_a_receiver_that_does_not_listen_is_said_to_be_down(server, receiver):
    receiver.close()
    receiver.server.server_close()
    said = findings(doctor(server.data_dir, "--json", "--url", receiver.url, POSTHASTE_ALLOW_TARGETS="127.0.0.1"))
    assert "could not connect" in said["connection"]["says"] and "is the receiver up?" in said["connection"]["mend"]
