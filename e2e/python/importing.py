"""The vocabulary of the import tests: `posthaste import` from an embedded store to a database, and a server on it."""

import hashlib
import json
import os
import pathlib
import subprocess

from conftest import BINARY, DEADLINE_S, Posthaste

IMPORT_WITHIN_S = 120
TABLES = {
    "environment", "event_type", "app", "endpoint", "source", "door", "token", "message", "event_key", "delivery",
    "attempt", "idempotency", "received", "refusal", "job", "replay", "rollup", "choice",
}


class Import:
    """One embedded store, and the database that it goes to."""

    def __init__(self, database, url, secret, binary=BINARY):
        self.database, self.url, self.secret, self.binary = pathlib.Path(database), url, secret, binary
        self.env = dict(os.environ) | {"POSTHASTE_MAIN_SECRET": secret, "POSTHASTE_DATABASE_URL": url, "POSTHASTE_LOG": "warn"}

    def command(self, *options):
        return [self.binary, "import", "--from", f"sqlite:{self.database}", *options]

    def run(self, *options, fault=None):
        env = self.env | ({"POSTHASTE_FAULT": fault} if fault else {})
        return subprocess.run(self.command(*options), env=env, capture_output=True, text=True, timeout=IMPORT_WITHIN_S)

    def passes(self, *options):
        """Runs it to its end, and returns rows and digest of each table."""
        done = self.run("--json", *options)
        assert done.returncode == 0, done.stderr
        tables = {row["table"]: row for row in json.loads(done.stdout)["tables"]}
        assert tables.keys() == TABLES
        return tables

    def refused(self, *options, code=2):
        done = self.run(*options)
        assert done.returncode == code, (done.returncode, done.stderr)
        assert done.stdout == "" and len(done.stderr.splitlines()) == 1, done.stderr
        return done.stderr

    def killed_after(self, lines):
        """Sends SIGKILL once it has said so many lines. Whether it was still there."""
        process = subprocess.Popen(self.command(), env=self.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for _ in range(lines):
            process.stderr.readline()
        process.kill()
        process.stderr.close()
        return process.wait(IMPORT_WITHIN_S) < 0

    def serve(self, data_dir, token, **settings):
        """A server on the database, whose tokens are those of the source."""
        data_dir = pathlib.Path(data_dir)
        data_dir.mkdir(mode=0o700, exist_ok=True)
        (data_dir / "admin-token").write_text(token)
        ours = {"POSTHASTE_MAIN_SECRET": self.secret, "POSTHASTE_DATABASE_URL": self.url}
        return Posthaste(data_dir, self.binary, **settings | ours)

    def cannot_serve(self, data_dir):
        """What a node says that is refused."""
        command = [self.binary, "serve", "--data-dir", str(data_dir)]
        env = self.env | {"POSTHASTE_LISTEN": "127.0.0.1:0"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == 2, done.stderr
        return done.stderr

    def source_digest(self):
        """Of the database and its log: what an import must leave as it was."""
        files = [self.database, self.database.with_name(self.database.name + "-wal")]
        return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.exists() and file.stat().st_size]


def answers(tables):
    """What two imports must agree on."""
    return {name: (row["rows"], row["digest"]) for name, row in tables.items()}
