"""The command line against a running server, as a person or a script uses it."""

import json
import os
import re
import subprocess

from conftest import DEADLINE_S, REAL_BINARY

OK, FAILURE, USAGE, FORBIDDEN, NOT_FOUND, REJECTED, UNREACHABLE, NOT_VERIFIED = 0, 1, 2, 3, 4, 5, 6, 7
BULK_PARTLY_FAILED, RECEIVER_FAILED = 8, 9


class Cli:
    """Commands that ask one server."""

    def __init__(self, server, home, token=None):
        env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")}
        settings = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "NO_COLOR": "1"}
        if server:
            settings |= {"POSTHASTE_SERVER": server.url, "POSTHASTE_TOKEN": token or server.token}
        self.env, self.home = env | settings, home

    def run(self, *arguments, stdin=b"", **env):
        """Whatever comes of it."""
        command = [os.path.abspath(REAL_BINARY), *map(str, arguments)]
        return subprocess.run(command, env=self.env | env, input=stdin, capture_output=True, timeout=DEADLINE_S, cwd=self.home)

    def start(self, *arguments, **env):
        command = [os.path.abspath(REAL_BINARY), *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.env | env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, cwd=self.home)

    def start_on(self, terminal, *arguments, **env):
        """Starts it on a terminal."""
        command = [os.path.abspath(REAL_BINARY), *map(str, arguments)]
        ends = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
        return subprocess.Popen(command, env=self.env | env, **ends, cwd=self.home)

    def does(self, *arguments, **more):
        """What it prints; it has to go well."""
        done = self.run(*arguments, **more)
        assert done.returncode == OK, (arguments, done.stdout, done.stderr.decode())
        return done.stdout.decode()

    def json(self, *arguments, **more):
        return json.loads(self.does(*arguments, "--json", **more))

    def rows(self, *arguments):
        """Lines of plain output, as lists of cells."""
        return [line.split("\t") for line in self.does(*arguments).splitlines()]

    def fails(self, code, *arguments, **more):
        """What it complains of: three lines, or clap's own words. Nothing stands on standard output."""
        done = self.run(*arguments, **more)
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr.decode())
        assert done.stdout == b"", done.stdout
        return done.stderr.decode()


def masked(text):
    """Without what differs from run to run: ids, times, ports, secrets and figures of time."""
    for pattern, mask in [
        (r"\b(app|ep|msg|atmpt|src|qtask|log|tok|org)_[0-9A-Za-z]{27}\b", r"\1_ID"),
        (r"\b(app|ep|msg|atmpt|src|qtask|log|tok)_…[0-9A-Za-z]{8}\b", r"\1_…ID"),
        (r"\b(whsec|phk)_[0-9A-Za-z+/=_]+", r"\1_SECRET"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "INSTANT"),
        (r"\b\d\d-\d\d \d\d:\d\d:\d\d\b", "INSTANT"),
        (r"\b\d\d:\d\d:\d\d\.\d{3}\b", "TIME"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"/in/[0-9A-Za-z]+", "/in/DOOR"),
        (r":\d{5}/", ":PORT/"),
        (r" +\d+ ms\b", " N ms"),
        (r"CODE  MS +AT", "CODE  MS  AT"),
        (r"(\d{3})  +\d+ +INSTANT", r"\1  N  INSTANT"),
    ]:
        text = re.sub(pattern, mask, text)
    return text
