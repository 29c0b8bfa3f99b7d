"""Bins, as whoever tests that webhooks were sent uses them: by the command line, against a running server."""

import json
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import urllib.parse
import uuid

import pytest

from conftest import DEADLINE_S, NODES, REAL_BINARY, embedded_only
from inbound import ask, call, made

OK, FAILURE, USAGE, FORBIDDEN, NOT_FOUND, REJECTED, UNREACHABLE = 0, 1, 2, 3, 4, 5, 6


class Cli:
    """Commands that ask one server, without a terminal."""

    def __init__(self, posthaste, home):
        env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")}
        self.env = env | {"POSTHASTE_SERVER": posthaste.url, "POSTHASTE_TOKEN": posthaste.token}
        self.home = home
        self.started = []

    def run(self, *arguments, **env):
        command = [os.path.abspath(REAL_BINARY), *map(str, arguments)]
        done = subprocess.run(command, env=self.env | env, capture_output=True, text=True, timeout=DEADLINE_S, cwd=self.home)
        return done.returncode, done.stdout, done.stderr

    def does(self, *arguments, **env):
        code, out, err = self.run(*arguments, **env)
        assert code == OK, (arguments, out, err)
        return out

    def fails(self, wanted, *arguments, **env):
        code, out, err = self.run(*arguments, **env)
        assert code == wanted, (arguments, code, out, err)
        return err

    def start(self, *arguments):
        self.started.append(Running(self, arguments))
        return self.started[-1]

    def close(self):
        for running in self.started:
            running.process.kill()
            running.process.wait(DEADLINE_S)


class Running:
    """A command that goes on, and what it says line by line."""

    def __init__(self, cli, arguments):
        command = [os.path.abspath(REAL_BINARY), *map(str, arguments)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=cli.env, stdout=pipe, stderr=pipe, text=True, cwd=cli.home)
        self.lines, self.errors = queue.Queue(), queue.Queue()
        for stream, lines in [(self.process.stdout, self.lines), (self.process.stderr, self.errors)]:
            threading.Thread(target=self.drain, args=(stream, lines), daemon=True).start()

    @staticmethod
    def drain(stream, lines):
        for line in stream:
            lines.put(line.rstrip("\n"))

    def line(self):
        return self.lines.get(timeout=DEADLINE_S)

    def stop(self):
        """Ctrl-C; returns what it said at last."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(DEADLINE_S) == OK
        said = []
        while not said or "came" not in said[-1]:
            said.append(self.errors.get(timeout=DEADLINE_S))
        return said


class Bin:
    """A bin of a name of its own."""

    def __init__(self, posthaste, cli, *flags):
        self.posthaste, self.cli, self.name = posthaste, cli, f"bin-{uuid.uuid4().hex[:12]}"
        self.ingest_url = self.set(*flags)

    def set(self, *flags):
        return self.cli.does("bin", self.name, "--no-follow", *flags).splitlines()[0]

    @property
    def url(self):
        return self.posthaste.url + urllib.parse.urlsplit(self.ingest_url).path

    def knock(self, body=b"{}", headers=(), method="POST", query=""):
        return ask(self.url + (f"?{query}" if query else ""), method, headers, body)

    def asserts(self, *flags, within="20s"):
        return self.cli.run("bin", "assert", self.name, "--within", within, *flags)


@pytest.fixture
def cli(posthaste, tmp_path):
    cli = Cli(posthaste, tmp_path)
    yield cli
    cli.close()


@pytest.fixture
def bin(posthaste, cli):
    return Bin(posthaste, cli)


def test_a_bin_is_made_once_and_its_url_stays(bin, cli):
    assert re.fullmatch(r"http://\S+/in/[0-9A-Za-z]{32}", bin.ingest_url)
    assert bin.set() == bin.ingest_url and bin.set("--status", "202") == bin.ingest_url
    rows = [line.split("\t") for line in cli.does("bin", "list").splitlines()]
    assert [bin.name, bin.ingest_url, "202"] in rows


@embedded_only("each node walks its own sequence")
def test_it_answers_as_it_was_told_to(bin, tmp_path):
    (tmp_path / "answer.json").write_text('{"ok":true}')
    bin.set("--status", "201", "--body", "@answer.json", "--header", "Content-Type: application/json", "--header", "X-A: 1")
    answer = bin.knock()
    assert (answer.status, answer.body) == (201, b'{"ok":true}')
    assert (answer.headers["content-type"], answer.headers["x-a"]) == ("application/json", "1")
    # What is not said stays.
    bin.set("--status", "404")
    assert (bin.knock().status, bin.knock().body) == (404, b'{"ok":true}')
    bin.set("--status", "200", "--fail", "100%")
    assert bin.knock().status == 500
    bin.set("--fail", "0")
    assert bin.knock().status == 200


def test_a_sequence_of_answers_is_walked_on_each_node(bin):
    bin.set("--answers", "500, 503, 200")
    statuses = [bin.knock().status for _ in range(12)]
    # Each node walks it for itself, and a balancer may send all to one.
    reached = statuses.count(500)
    assert 1 <= reached <= NODES
    assert (statuses.count(503), statuses.count(200)) == (reached, 12 - 2 * reached)
    if NODES == 1:
        assert statuses[:4] == [500, 503, 200, 200]


def test_what_comes_is_shown_live_one_line_each(bin, cli):
    watching = cli.start("bin", bin.name)
    assert watching.line() == bin.ingest_url
    bin.knock(b'{"hello":"world"}', {"Content-Type": "application/json"}, query="a=1")
    at, message, method, target, kind, size, body = watching.line().split("\t")
    assert (method, target, kind, size, body) == ("POST", "?a=1", "application/json", "17", '{"hello":"world"}')
    assert at.endswith("Z") and message.startswith("msg_")
    bin.knock(b"\xff\x1b[2J\x00", method="PROPFIND")
    line = watching.line()
    assert "PROPFIND" in line and "\x1b" not in line
    assert watching.stop()[-1] == "2 requests came"


def test_bodies_are_decoded_when_all_is_asked_for(bin, cli):
    multipart = (
        b'--XX\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--XX--\r\n'
    )
    bin.knock(multipart, {"Content-Type": "multipart/form-data; boundary=XX"})
    bin.knock(b"a=1+2&b=%C3%BC", {"Content-Type": "application/x-www-form-urlencoded"})
    bin.knock(b"\x89PNG\x00")
    bin.knock(b'{"deep":{"n":1}}', {"Authorization": "Bearer of-mine"})
    watching = cli.start("bin", bin.name, "--from-start", "--full")
    said = ""
    while '"n": 1' not in said:
        said += watching.line() + "\n"
    for part in ["note = hello", "photo = file a.png  image/png  4 bytes", "a = 1 2\n    b = ü", "89 50 4e 47 00", "authorization: Bearer of-mine"]:
        assert part in said, said


def test_for_programs_a_line_is_an_object(bin, cli):
    watching = cli.start("bin", bin.name, "-o", "jsonl")
    assert json.loads(watching.line()) == {"event": "ready", "name": bin.name, "url": bin.ingest_url}
    bin.knock(b"\xff\x00")
    told = json.loads(watching.line())
    assert (told["event"], told["method"], told["body"]) == ("request", "POST", "/wA=")


def test_what_comes_is_sent_on_from_the_laptop_as_it_came(bin, cli, handler):
    watching = cli.start("bin", bin.name, "--forward", handler.url, "-o", "jsonl")
    watching.line()
    body = bytes(range(256)) * 40
    headers = [("X-Twice", "1"), ("X-Bytes", b"\xfe\xff"), ("X-Twice", "2"), ("Authorization", "Bearer x"), ("X-Empty", "")]
    bin.knock(body, headers, "PUT", "a=%20&b=%2F")
    came = handler.got(1)[0]
    assert (came.method, came.path, came.query, came.body) == ("PUT", "/hook", "a=%20&b=%2F", body)
    assert came.all("x-twice") == ["1", "2"] and came.headers["authorization"] == "Bearer x"
    assert came.headers["x-bytes"].encode("latin-1") == b"\xfe\xff" and came.headers["x-empty"] == ""
    assert json.loads(watching.line())["event"] == "request"
    forwarded = json.loads(watching.line())
    assert (forwarded["event"], forwarded["status"]) == ("forwarded", 200)
    assert watching.stop()[-1] == "1 request came, 1 forwarded, 0 failed"


def test_a_program_that_is_not_there_is_told_and_the_rest_goes_on(bin, cli):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    watching = cli.start("bin", bin.name, "--forward", port, "-o", "jsonl")
    watching.line()
    for _ in range(2):
        bin.knock()
        assert json.loads(watching.line())["event"] == "request"
        assert json.loads(watching.line())["status"] is None
    assert watching.stop()[-1] == "2 requests came, 0 forwarded, 2 failed"


def test_an_endpoint_of_the_bin_sends_it_on_from_the_server(bin, handler):
    made(bin.posthaste, f"/ingest/api/v1/source/{bin.name}/endpoint", {"url": handler.url})
    bin.knock(b"\xff as it came", {"X-A": "1"}, "PUT", "q=1")
    came = handler.got(1)[0]
    assert (came.method, came.query, came.body, came.headers["x-a"]) == ("PUT", "q=1", b"\xff as it came", "1")


def test_assert_waits_until_as_many_as_wanted_match(bin):
    waiting = bin.cli.start("bin", "assert", bin.name, "--count", "2", "--body-json", "type=invoice.paid", "--within", "20s", "--json")
    for kind in ["invoice.paid", "invoice.sent", "invoice.paid"]:
        bin.knock(json.dumps({"type": kind}).encode())
    assert waiting.process.wait(DEADLINE_S) == OK
    told = json.loads(waiting.line())
    assert (told["ok"], told["wanted"], told["matched"]) == (True, 2, 2)


def test_assert_says_what_came_instead_and_the_nearest_miss(bin):
    for amount in [5, 4, 4]:
        bin.knock(json.dumps({"data": {"amount": amount}}).encode(), {"X-Kind": "order"})
    wanted = ["--count", "3", "--header", "X-Kind: order", "--body-json", "data.amount:=5"]
    code, out, err = bin.asserts(*wanted, "--json", within="1s")
    assert code == FAILURE
    assert "3 came, 1 matched; the nearest of the others had data.amount:=4, not 5" in err, err
    told = json.loads(out)
    assert (told["ok"], told["came"], told["matched"]) == (False, 3, 1)
    assert told["nearest"]["differs"] == ["data.amount:=4, not 5"]
    assert len(err.splitlines()) == 3 and err.splitlines()[2].endswith(f"posthaste bin {bin.name} --from-start --full")


def test_assert_knows_methods_queries_headers_types_and_times(bin):
    bin.knock(b"{}", {"X-GitHub-Event": "push"}, "PUT", "env=test&x=%20")
    for wanted in [
        ["--method", "PUT", "--query", "env=test", "--query", "x= "],
        ["--header", "x-github-event", "--type", "push"],
        ["--since", "5m"],
        ["--count", "0", "--method", "POST"],
    ]:
        code, out, err = bin.asserts(*wanted, within="1s")
        assert code == OK, (wanted, out, err)
    for wanted in [["--method", "POST"], ["--type", "pull"], ["--since", "now"], ["--count", "0"], ["--header", "X-None"]]:
        assert bin.asserts(*wanted, within="1s")[0] == FAILURE, wanted
    assert "nothing came" in bin.asserts("--since", "now", within="1s")[2]


def test_what_stands_behind_the_address_is_kept_and_sent_on(bin, cli, handler):
    watching = cli.start("bin", bin.name, "--forward", handler.url, "-o", "jsonl")
    watching.line()
    ask(f"{bin.url}/orders/a%2Fb?q=1", "POST", (), b"{}")
    came = handler.got(1)[0]
    assert (came.path, came.query) == ("/hook/orders/a%2Fb", "q=1")
    assert bin.asserts("--path", "/orders/a%2Fb")[0] == OK
    assert "path /orders/a%2Fb, not /other" in bin.asserts("--path", "/other", within="1s")[2]


def test_a_cleared_bin_is_empty_and_takes_more(bin, cli):
    for _ in range(3):
        bin.knock()
    assert bin.asserts("--count", "3")[0] == OK
    code, _, err = cli.run("bin", "clear", bin.name)
    assert (code, err) == (OK, "3 requests removed\n")
    assert bin.asserts(within="1s")[0] == FAILURE
    bin.knock()
    assert bin.asserts()[0] == OK
    cli.does("bin", "rm", bin.name)
    assert bin.knock().status == 404
    assert "posthaste: " in cli.fails(NOT_FOUND, "bin", "assert", bin.name, "--within", "1s")


def test_whoever_was_given_a_bin_looks_and_changes_nothing(bin, cli):
    bin.knock(b"hello", {"Authorization": "Bearer of-mine"})
    token = cli.does("bin", "share", bin.name).strip()
    shared = {"POSTHASTE_TOKEN": token}
    assert cli.run("bin", "assert", bin.name, "--within", "20s", **shared)[0] == OK
    for command in [["clear", bin.name], ["rm", bin.name], ["list"], [bin.name, "--no-follow"]]:
        cli.fails(FORBIDDEN, "bin", *command, **shared)
    page = call(bin.posthaste, "GET", f"/ingest/api/v1/source/{bin.name}/request", token=token).json()
    assert {"name": "authorization", "hidden": True} in page["data"][0]["headers"]


def test_a_source_that_is_no_bin_is_left_alone(posthaste, cli):
    name = f"gh-{uuid.uuid4().hex[:12]}"
    made(posthaste, "/ingest/api/v1/source", {"name": name, "uid": name, "type": "github", "config": {"secret": "hush"}})
    for command in [[name, "--status", "500", "--no-follow"], ["clear", name], ["rm", name], ["share", name]]:
        err = cli.fails(REJECTED, "bin", *command)
        assert "is no bin" in err and "github" in err and len(err.splitlines()) == 3


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["x", "--answers", "500, no"], "--answers"),
        (["x", "--fail", "130%"], "--fail"),
        (["x", "--delay", "2"], "--delay"),
        (["x", "--status", "99"], "--status"),
        (["x", "--forward", "ftp://a"], "ftp://a"),
        (["assert", "x", "--within", "soon"], "--within"),
        (["assert", "x", "--body-json", "a"], '"a"'),
        (["assert", "x", "--since", "yesterday"], "--since"),
    ],
)
def test_what_cannot_be_asked_for_is_named(cli, arguments, says):
    assert says in cli.fails(USAGE, "bin", *arguments)


def test_a_server_that_is_not_there_is_exit_6(cli):
    err = cli.fails(UNREACHABLE, "bin", "x", "--no-follow", "--server", "http://127.0.0.1:1")
    assert "did not answer" in err and len(err.splitlines()) == 3
