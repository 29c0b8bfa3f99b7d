"""The vocabulary of the end-to-end tests: a running Posthaste, a receiver, and an SDK that talks to both."""

import atexit
import http.server
import os
import pathlib
import sqlite3
import subprocess
import threading

import pytest
from svix import api

import two_nodes

# What a running Posthaste is: one server on the embedded store (sqlite), two nodes on PostgreSQL (postgres), or the same
# with PgBouncer between (pooled).
STORE = os.environ.get("POSTHASTE_TEST_STORE", "sqlite")
REAL_BINARY = os.environ.get("POSTHASTE_BIN", "target/debug/posthaste")
BINARY = REAL_BINARY
DEADLINE_S = 20

if STORE != "sqlite":
    from cluster import SessionCluster

    session = SessionCluster(REAL_BINARY, STORE)
    atexit.register(session.close)
    os.environ.update({name: value for name, value in session.environment.items() if name != "POSTHASTE_BIN"})
    BINARY = session.environment["POSTHASTE_BIN"]

# Among how many what is limited by each node for itself is divided.
NODES = 1 if STORE == "sqlite" else two_nodes.NODES


def embedded_only(reason):
    """For what is about one process and its file."""
    return pytest.mark.skipif(STORE != "sqlite", reason=reason)


class Receiver:
    """A customer's server: remembers what came, and answers as it was told."""

    def __init__(self):
        self.requests = []
        self.answers = []
        self.changed = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers["content-length"] or 0))
                with receiver.changed:
                    receiver.requests.append(receiver.remember(self, body))
                    status = receiver.answers.pop(0) if receiver.answers else 200
                    receiver.changed.notify_all()
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_DELETE = do_GET = do_PATCH = do_POST = do_PUT = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # A sender that was killed in the middle of a request is nothing to report.
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    def remember(self, request, body):
        return request.path, dict(request.headers.items()), body

    def answers_with(self, *statuses):
        with self.changed:
            self.answers.extend(statuses)

    def got(self, count):
        """Waits until so many requests came, and returns them, each as (path, headers, body)."""
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.requests) >= count, DEADLINE_S)
            assert came, f"{len(self.requests)} of {count} requests came within {DEADLINE_S} s"
            return list(self.requests)

    def close(self):
        self.server.shutdown()


class Handled:
    """What a handler got."""

    def __init__(self, request, body):
        self.method, (self.path, _, self.query) = request.command, request.path.partition("?")
        self.fields, self.body = request.headers.items(), body
        # The first of each name.
        self.headers = {name.lower(): value for name, value in reversed(self.fields)}

    def all(self, name):
        return [value for known, value in self.fields if known.lower() == name]


class Handler(Receiver):
    """The server that a source's requests end at."""

    def remember(self, request, body):
        return Handled(request, body)


class Posthaste:
    """A running server on a store of its own."""

    def __init__(self, data_dir, binary=BINARY, **settings):
        self.data_dir, self.binary = pathlib.Path(data_dir), binary
        self.env = dict(os.environ)
        defaults = {
            "POSTHASTE_LISTEN": "127.0.0.1:0",
            "POSTHASTE_ALLOW_TARGETS": "127.0.0.0/8",
            "POSTHASTE_RETRY_SCHEDULE": "1ms,1ms",
            "POSTHASTE_LOG": "warn",
        }
        self.env.update(defaults | settings)
        self.start()

    def start(self):
        command = [self.binary, "serve", "--data-dir", str(self.data_dir)]
        self.process = subprocess.Popen(command, env=self.env, stderr=subprocess.PIPE, text=True)
        self.said = []
        for line in self.process.stderr:
            self.said.append(line)
            if "listening on " in line:
                self.url = line.split("listening on ")[1].strip()
                break
        else:
            raise AssertionError("the server did not start: " + "".join(self.said))
        threading.Thread(target=self._drain, daemon=True).start()
        self.token = (self.data_dir / "admin-token").read_text().strip()

    def _drain(self):
        for line in self.process.stderr:
            self.said.append(line)

    def run(self, *arguments):
        """Runs a command on the same data directory and returns what it printed."""
        command = [self.binary, *arguments, "--data-dir", str(self.data_dir)]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def new_token(self, environment="default"):
        return self.run("token", "create", "--env", environment).strip()

    def tables(self, *apart):
        """What every table holds, but for some of them."""
        if STORE != "sqlite":
            # Each node says that it lives, whatever it is asked; what it owns and what it counted are its own as well.
            return two_nodes.tables(self.data_dir, "node", "owner", "tally", *apart)
        with sqlite3.connect(f"file:{self.data_dir}/posthaste.db?mode=ro", uri=True) as db:
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            tables = [name for name in tables if name not in apart and not name.startswith("sqlite_")]
            return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in tables}

    def files(self):
        """Every file in which it keeps something."""
        places = [self.data_dir] if STORE == "sqlite" else [self.data_dir, *two_nodes.places(self.data_dir)]
        return sorted(path for place in places for path in place.rglob("*") if path.is_file())

    def stop(self):
        self.process.terminate()
        assert self.process.wait(DEADLINE_S) == 0

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)


def wait_for_attempts(client, app, message, count):
    """Attempts are recorded a moment after the receiver answered: asks until they are there."""
    for _ in range(2000):
        options = api.MessageAttemptListByMsgOptions(with_content=True)
        attempts = client.message_attempt.list_by_msg(app.id, message.id, options).data
        if len(attempts) >= count:
            return attempts
    raise AssertionError(f"{len(attempts)} of {count} attempts were recorded")


@pytest.fixture(scope="session")
def posthaste(tmp_path_factory):
    server = Posthaste(tmp_path_factory.mktemp("posthaste"), POSTHASTE_JWT_SECRET="a secret of svix-server, long enough")
    yield server
    server.stop()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def handler():
    handler = Handler()
    yield handler
    handler.close()
