"""Backup and restore: what was acked before a backup began is in it, and what is no backup is never put in place."""

import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
import urllib.parse

import pytest
from svix import api

from conftest import BINARY, DEADLINE_S, Posthaste, Receiver, embedded_only

pytestmark = embedded_only("backup and restore are for the embedded store; for a database they name PostgreSQL's own programs")
CLIENTS = 8
# Acked before a backup may begin, and again while it runs.
SOME = 300
SECRET = "a main secret of the tests"


def run(*arguments, settings=None, **options):
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")}
    env |= {"POSTHASTE_MAIN_SECRET": SECRET} if settings is None else settings
    command = [BINARY, *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S, **options)


def backup(server, file, *more, **options):
    return run("backup", file, "--data-dir", server.data_dir, *more, **options)


def restore(file, data_dir, *more, **options):
    return run("restore", file, "--data-dir", data_dir, *more, **options)


class Down(list):
    """Answers without end, all of them 503."""

    def pop(self, _):
        return 503

    def __bool__(self):
        return True


class Customer(Receiver):
    """Knows which messages came."""

    def __init__(self, down=False):
        super().__init__()
        self.answers = Down() if down else []
        self.seen = set()

    def remember(self, request, body):
        if not self.answers:
            self.seen.add(request.headers["webhook-id"])

    def heal(self):
        with self.changed:
            self.answers = []

    def saw(self, ids):
        with self.changed:
            return self.changed.wait_for(lambda: ids <= self.seen, DEADLINE_S)


class Load:
    """Clients that send messages until they are told to stop, and remember what was acked."""

    def __init__(self, server, app):
        self.address = urllib.parse.urlsplit(server.url).netloc
        self.path, self.token = f"/api/v1/app/{app.id}/msg", server.token
        self.acked, self.odd, self.changed, self.stopped = [], [], threading.Condition(), False
        self.clients = [threading.Thread(target=self.send, daemon=True) for _ in range(CLIENTS)]
        for client in self.clients:
            client.start()

    def send(self):
        connection = http.client.HTTPConnection(self.address, timeout=DEADLINE_S)
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        body = json.dumps({"eventType": "a.b", "payload": {"x": "y" * 512}})
        while not self.stopped:
            try:
                connection.request("POST", self.path, body, headers)
                answer = connection.getresponse()
                sent = json.loads(answer.read())
            except (OSError, http.client.HTTPException):
                return
            with self.changed:
                if answer.status == 202:
                    self.acked.append(sent["id"])
                else:
                    self.odd.append((answer.status, sent))
                self.changed.notify_all()

    def got(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.acked) >= count, DEADLINE_S)
            return set(self.acked)

    def stop(self):
        self.stopped = True
        for client in self.clients:
            client.join(DEADLINE_S)


@pytest.fixture
def server(tmp_path):
    # Long enough a schedule that nothing is given up while the test looks.
    settings = {"POSTHASTE_RETRY_SCHEDULE": ",".join(["500ms"] * 200), "POSTHASTE_MAIN_SECRET": SECRET}
    server = Posthaste(tmp_path / "data", **settings)
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture
def sound(server, tmp_path):
    """A backup of a store that holds something."""
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    app = client.application.create(api.ApplicationIn(name="A", uid="a"))
    client.message.create(app.id, api.MessageIn(event_type="a.b", payload={"n": 1}))
    file = tmp_path / "sound.backup"
    done = backup(server, file)
    assert done.returncode == 0, done.stderr
    return file


def store_from(file, tmp_path, old):
    """A server on what a backup held, in a directory that held nothing before."""
    data_dir = tmp_path / "restored"
    done = restore(file, data_dir)
    assert done.returncode == 0, done.stderr
    shutil.copy(old.data_dir / "admin-token", data_dir)
    return Posthaste(data_dir, POSTHASTE_MAIN_SECRET=SECRET, POSTHASTE_RETRY_SCHEDULE="500ms,500ms"), done


def beside(file):
    return sorted(path.name for path in file.parent.iterdir() if path.name.startswith(file.name) and path != file)


@pytest.mark.parametrize("command", [["backup", "a.backup"], ["restore", "a.backup"], ["doctor"]])
def test_what_knows_the_embedded_store_only_says_so_where_there_is_a_database(command, tmp_path):
    env = os.environ | {"POSTHASTE_DATABASE_URL": "postgres://127.0.0.1:1/none", "POSTHASTE_MAIN_SECRET": "secret"}
    done = subprocess.run([BINARY, *command], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 2 and "is for the embedded store" in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_backup_under_load_holds_everything_acked_before_it_and_that_goes_out_again(server, tmp_path):
    well, ill = Customer(), Customer(down=True)
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    app = client.application.create(api.ApplicationIn(name="A"))
    endpoints = {client.endpoint.create(app.id, api.EndpointIn(url=one.url)).id for one in (well, ill)}
    once = api.MessageCreateOptions(idempotency_key="only-once")
    first = client.message.create(app.id, api.MessageIn(event_type="a.b", payload={"n": 1}), once)
    load = Load(server, app)
    before = load.got(SOME) | {first.id}
    file = tmp_path / "under-load.backup"
    done = backup(server, file)
    assert done.returncode == 0, done.stderr
    after = load.got(len(load.acked) + SOME)
    load.stop()
    assert load.odd == [], "a backup must not disturb those who send"
    server.kill()
    # From here on only the backup is left.
    well.seen.clear()
    ill.heal()
    restored, said = store_from(file, tmp_path, server)
    client = api.Svix(restored.token, api.SvixOptions(server_url=restored.url))
    assert ill.saw(before), f"{len(before - ill.seen)} messages did not go out"
    assert not well.seen & before or well.seen <= after, "at most repeated"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as store:
        held = {row[0] for row in store.execute("SELECT hex(message) FROM delivery GROUP BY message HAVING count(*) = 2")}
        assert len(held) == store.execute("SELECT count(*) FROM message").fetchone()[0] >= len(before)
    for message in sorted(before)[:50]:
        owed = client.message_attempt.list_attempted_destinations(app.id, message).data
        assert {destination.id for destination in owed} == endpoints
    again = client.message.create(app.id, api.MessageIn(event_type="a.b", payload={"n": 1}), once)
    assert again.id == first.id, "the idempotency window came with the backup"
    assert "still owed" in said.stderr
    restored.stop()
    well.close()
    ill.close()


def test_a_backup_is_for_its_owner_only_and_says_what_is_in_it_and_what_is_not(server, sound):
    assert stat.S_IMODE(sound.stat().st_mode) == 0o600
    assert beside(sound) == []
    done = backup(server, sound, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert re.search(r"size +[0-9.]+ KiB, in ", done.stderr)
    assert re.search(r"1 app, 0 endpoints, 1 message, the newest of 20", done.stderr)
    assert "The main secret is not in it: keep POSTHASTE_MAIN_SECRET too" in done.stderr
    assert SECRET.encode() not in sound.read_bytes() and SECRET not in done.stderr
    assert str(sound) in (server.data_dir / "last-backup").read_text()


def test_a_backup_replaces_nothing_unless_it_is_told_to(server, sound):
    was = sound.read_bytes()
    done = backup(server, sound)
    assert done.returncode == 2
    assert "is there already: choose another name, or say --overwrite" in done.stderr
    assert sound.read_bytes() == was


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (lambda data, tmp: data / "posthaste.db", "is the store itself"),
        (lambda data, tmp: tmp, "is a directory: name a file in it"),
        (lambda data, tmp: tmp / "missing" / "file", "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_meant_is_refused(server, tmp_path, place, why):
    done = backup(server, place(server.data_dir, tmp_path), "--overwrite")
    assert done.returncode == 2
    assert why in done.stderr and len(done.stderr.splitlines()) == 1


def test_where_there_is_no_store_there_is_nothing_to_back_up_and_none_is_made(tmp_path):
    done = run("backup", tmp_path / "file", "--data-dir", tmp_path / "empty")
    assert done.returncode == 2
    assert "there is no store in" in done.stderr
    assert list(tmp_path.iterdir()) == []


def full_at(bytes_max):
    """The disk is full once a file has so many bytes. Python lets its children be killed by it otherwise."""

    def before():
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    return {"preexec_fn": before, "restore_signals": False}


def test_a_disk_that_fills_up_in_the_middle_leaves_nothing_behind(server, sound, tmp_path):
    file = tmp_path / "too-large.backup"
    done = backup(server, file, **full_at(64 * 1024))
    assert done.returncode == 1
    assert "no backup was made, and nothing is left of it" in done.stderr and "cannot be written" in done.stderr
    assert not file.exists() and beside(file) == []
    was = sound.read_bytes()
    done = backup(server, sound, "--overwrite", **full_at(64 * 1024))
    assert done.returncode == 1
    assert sound.read_bytes() == was and beside(sound) == []
    done = restore(sound, tmp_path / "small", **full_at(64 * 1024))
    assert done.returncode == 1
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["posthaste.db.lock"]


def test_what_a_killed_backup_left_is_cleared_away_by_the_next_one(server, tmp_path):
    file = tmp_path / "next.backup"
    (tmp_path / "next.backup.partial").write_text("half of it")
    assert backup(server, file).returncode == 0
    assert beside(file) == []


def test_nothing_is_restored_beside_a_running_server(server, sound):
    done = restore(sound, server.data_dir, "--replace")
    assert done.returncode == 2
    assert "another posthaste is serving from" in done.stderr


def test_a_store_is_replaced_only_if_that_is_said_and_is_kept_then(server, sound):
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    later = client.message.create("a", api.MessageIn(event_type="a.b", payload={"n": 2}))
    server.kill()
    done = restore(sound, server.data_dir)
    assert done.returncode == 2
    assert "say --replace to put it aside" in done.stderr
    done = restore(sound, server.data_dir, "--replace")
    assert done.returncode == 0, done.stderr
    [aside] = server.data_dir.glob("replaced-*")
    with sqlite3.connect(aside / "posthaste.db") as old:
        assert old.execute("SELECT count(*) FROM message").fetchone() == (2,), "with what was in its WAL"
    server.start()
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    assert later.id not in {message.id for message in client.message.list("a").data}


def damaged(file):
    with open(file, "r+b") as store:
        store.seek(3 * 8192)
        store.write(b"\xff" * 8192)


def newer(file):
    with sqlite3.connect(file) as store:
        store.execute("INSERT INTO migration VALUES (99, 'x')")


def somebody_elses(file):
    file.unlink()
    with sqlite3.connect(file) as store:
        store.execute("CREATE TABLE t (a)")


@pytest.mark.parametrize(
    ("spoil", "code", "why"),
    [
        (lambda file: file.write_text("not a store at all, but some text\n" * 100), 2, "is not a store of posthaste's"),
        (somebody_elses, 2, "is not a store of posthaste's"),
        (damaged, 1, "is damaged"),
        (newer, 2, "use a newer posthaste"),
        (lambda file: file.unlink(), 2, "is no file: name one that"),
        (lambda file: pathlib.Path(f"{file}-wal").write_text("x"), 2, "part of a store that was in use"),
    ],
)
def test_what_is_no_sound_backup_is_refused_in_one_sentence_and_the_store_stays(server, sound, spoil, code, why):
    server.stop()
    was = (server.data_dir / "posthaste.db").read_bytes()
    spoil(sound)
    done = restore(sound, server.data_dir, "--replace")
    assert done.returncode == code
    assert why in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert (server.data_dir / "posthaste.db").read_bytes() == was
    assert not list(server.data_dir.glob("*.partial*")) and not list(server.data_dir.glob("replaced-*"))


def test_a_main_secret_that_does_not_fit_or_is_missing_is_said_before_anything_is_done(sound, tmp_path):
    done = restore(sound, tmp_path / "new", settings={"POSTHASTE_MAIN_SECRET": "another"})
    assert done.returncode == 2
    assert "cannot be used with this main secret" in done.stderr
    done = restore(sound, tmp_path / "new", settings={})
    assert done.returncode == 2
    assert "there is no main secret to open" in done.stderr and "main-secret, or set POSTHASTE_MAIN_SECRET" in done.stderr
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["posthaste.db.lock"]
