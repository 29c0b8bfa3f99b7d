"""`posthaste listen` with the real server and real local programs: what is owed arrives as it came, in order and once,
whatever happens to the laptop, the server or the program; and what the command says of it is true."""

import base64
import gzip
import json
import signal
import threading
import urllib.request

import pytest
import standardwebhooks
import stripe

from conftest import DEADLINE_S, NODES, Posthaste, embedded_only
from inbound import Source, ask, call, made
from listening import Listen, Raw, Terminal, events_of, until
from ports import free_port
from test_trigger import OK, USAGE, handle, run  # noqa: F401 (handle is a fixture)

FORBIDDEN, NOT_FOUND, REJECTED, UNREACHABLE = 3, 4, 5, 6
WHSEC = "whsec_" + base64.b64encode(b"a secret for trying out a receiver").decode()
LAPTOP_SLEEPS = 100


@pytest.fixture
def listen():
    running = []

    def begin(*arguments, **options):
        running.append(Listen(*arguments, **options))
        return running[-1]

    yield begin
    for one in running:
        one.close()


class App:
    """An app, and what it sends."""

    def __init__(self, server):
        self.server = server
        self.id = made(server, "/api/v1/app", {"name": "A laptop"})["id"]

    def sends(self, count=1, kind="a.b"):
        path = f"/api/v1/app/{self.id}/msg"
        return [made(self.server, path, {"eventType": kind, "payload": {"n": n}})["id"] for n in range(count)]

    def attempts(self, message, count=1):
        """Attempts are recorded a moment after the answer."""
        path = f"/api/v1/app/{self.id}/attempt/msg/{message}"
        found = []

        def are_there():
            found[:] = call(self.server, "GET", path).json()["data"]
            return len(found) >= count

        until(are_there, what=f"{count} attempts were not recorded")
        return found


class Ids:
    """Judges for `handle`: takes everything, and remembers which messages came."""

    def __init__(self):
        self.came, self.changed, self.statuses = [], threading.Condition(), []
        self.held = threading.Event()
        self.held.set()

    def __call__(self, method, url, headers, body):
        with self.changed:
            self.came.append(headers["webhook-id"])
            self.changed.notify_all()
        assert self.held.wait(DEADLINE_S)
        if self.statuses:
            raise AssertionError(self.statuses.pop(0))

    def got(self, count):
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.came) >= count, DEADLINE_S)
            assert came, f"{len(self.came)} of {count} came"
            return list(self.came)


def listeners(server):
    """How many listen, as the server counts them; each of several nodes is asked in turn."""
    count = 0
    for _ in range(NODES):
        with urllib.request.urlopen(server.url + "/metrics", timeout=DEADLINE_S) as answer:
            lines = answer.read().decode().splitlines()
        count += sum(float(line.split()[1]) for line in lines if line.startswith("posthaste_listeners "))
    return count


def test_awkward_bytes_arrive_as_they_were_sent(posthaste, listen):
    source = Source(posthaste, "generic-webhook", dedupe={"by": "off"}, bodyBytesMax=8 << 20, methods=["POST", "PUT", "PATCH"])
    local = Raw()
    listen(posthaste, f":{local.port}/in", "--source", source.id, "--name", "bytes").ready()
    every_byte = bytes(range(256))
    sent = [
        ("POST", "", [("content-encoding", "gzip"), ("content-type", "application/json")], gzip.compress(b'{"a":1}')),
        ("POST", "", [("content-type", "text/plain")], b"\xff\xfe invalid \x80 UTF-8 \x00"),
        ("POST", "", [("content-type", "application/octet-stream")], every_byte * (5 << 12)),
        ("POST", "", [], b""),
        ("PUT", "/a%2Fb/c%20d/", [("x-twice", "1"), ("x-other", "x"), ("x-twice", "2")], b"{}"),
        ("PATCH", "/x?a=%2F&a=b&empty=", [("x-latin", b"caf\xe9"), ("x-utf8", "ü→")], b'{ "spaces" :  1 }\n'),
        ("POST", "", [("transfer-encoding", "chunked")], b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
    ]
    for n, (method, rest, headers, body) in enumerate(sent):
        answer = ask(source.url + rest, method, headers, body)
        assert answer.status in (200, 202, 204), (n, answer)
    assert len(every_byte * (5 << 12)) == 5 << 20
    for (method, rest, headers, body), (line, fields, came) in zip(sent, local.got(len(sent)), strict=True):
        assert line == f"{method} /in{rest} HTTP/1.1".encode()
        assert came == (b"hello world" if ("transfer-encoding", "chunked") in headers else body)
        for name in {name for name, _ in headers} - {"transfer-encoding"}:
            values = [value if isinstance(value, bytes) else value.encode() for known, value in headers if known == name]
            assert [value for known, value in fields if known == name.encode()] == values, (name, fields)
        known = dict(fields)
        assert known[b"host"] == f"127.0.0.1:{local.port}".encode()
        assert known[b"x-forwarded-host"].decode() in source.ingest_url
        assert b"transfer-encoding" not in known and int(known[b"content-length"]) == len(came)
    local.close()


def test_what_came_while_the_laptop_slept_arrives_in_order_and_once(posthaste, listen, handle):
    app, ids = App(posthaste), Ids()
    # Those of other tests are gone as soon as the server has noticed.
    until(lambda: listeners(posthaste) == 0, what="others still listen")
    command = listen(posthaste, handle(ids).port, "--app", app.id).ready()
    # It falls asleep in the middle of a request.
    ids.held.clear()
    app.sends()
    ids.got(1)
    command.process.send_signal(signal.SIGSTOP)
    ids.held.set()
    sent = app.sends(LAPTOP_SLEEPS)
    # Longer than every timeout: until the server has given it up.
    until(lambda: listeners(posthaste) == 0, what="the server still believes in it")
    assert ids.came[1:] == []
    command.process.send_signal(signal.SIGCONT)
    assert ids.got(1 + LAPTOP_SLEEPS)[1:] == sent
    command.says("reconnecting (attempt 1, offline 0 s)").says(f"ready, {1 + LAPTOP_SLEEPS} waiting")
    for message in (sent[0], sent[-1]):
        (attempt,) = app.attempts(message)
        assert attempt["responseStatusCode"] == 200
    assert command.interrupted() == OK
    assert command.said[-1] == f"{1 + LAPTOP_SLEEPS} forwarded, 0 failed"
    assert ids.came[1:] == sent, "each came once"


def test_two_names_get_everything_each_and_the_same_name_takes_over(posthaste, listen, handle):
    app, first, second = App(posthaste), Ids(), Ids()
    here = listen(posthaste, handle(first).port, "--app", app.id).ready()
    listen(posthaste, handle(second).port, "--app", app.id).ready()
    sent = app.sends(5)
    assert first.got(5) == sent and second.got(5) == sent
    name = next(line for line in here.said if " as " in line).split(" as ")[1].split(";")[0]
    third = Ids()
    listen(posthaste, handle(third).port, "--app", app.id, "--name", name).ready()
    assert here.ends() == OK
    here.says("took over")
    sent = app.sends(3)
    assert third.got(3) == sent and second.got(8)[5:] == sent and len(first.came) == 5


@embedded_only("it is about a server that is killed and started again on its address")
def test_a_server_that_was_killed_is_found_again_and_nothing_is_forwarded_twice(tmp_path, listen, handle):
    server = Posthaste(tmp_path, POSTHASTE_LISTEN=f"127.0.0.1:{free_port()}")
    app, ids = App(server), Ids()
    command = listen(server, handle(ids).port, "--app", app.id).ready()
    # It dies while the local program thinks; what that answers meanwhile is told to the next life.
    ids.held.clear()
    sent = app.sends(3)
    ids.got(1)
    server.kill()
    command.says("reconnecting")
    ids.held.set()
    command.prints(f"← {sent[0]}  200")
    server.start()
    assert ids.got(3) == sent
    command.says("ready", 2)
    for message in sent:
        (attempt,) = app.attempts(message)
        assert attempt["responseStatusCode"] == 200
    assert ids.came == sent, "each came once"
    # A token that is revoked while the server is away is refused by the next life.
    server.kill()
    tokens = server.run("token", "list").splitlines()
    server.run("token", "revoke", tokens[-1].split()[0])
    server.start()
    assert command.ends() == FORBIDDEN
    assert command.said[-1].strip().startswith("next: "), command.said[-4:]
    server.stop()


def test_a_program_that_is_down_is_waited_for_with_one_warning(posthaste, listen, handle):
    app, port = App(posthaste), free_port()
    command = listen(posthaste, port, "--app", app.id).ready()
    sent = app.sends(3)
    command.says("is your program running?")
    local = Raw(port)
    came = [dict(headers)[b"webhook-id"].decode() for _, headers, _ in local.got(3)]
    assert came == sent
    command.says("is there again")
    assert sum("is your program running?" in line for line in command.said) == 1
    # Not for ever: the server hears that nobody is there, and has its own times to try again.
    local.close()
    gone = listen(posthaste, free_port(), "--app", app.id, "--name", "short", "--retry", "200ms").ready()
    (message,) = app.sends()
    gone.prints(f"← {message}  connect")
    kinds = [attempt for attempt in app.attempts(message) if attempt["responseStatusCode"] == 0]
    assert kinds, "the attempt is recorded"


def test_an_answer_is_the_attempts_and_a_failure_says_what_to_do(posthaste, listen, handle):
    app, ids = App(posthaste), Ids()
    ids.statuses = ["TypeError: it is undefined"]
    command = listen(posthaste, handle(ids).port, "--app", app.id).ready()
    (message,) = app.sends(kind="user.created")
    command.prints(f"→ {message}  {app.id}  user.created").prints(f"← {message}  400  POST :")
    command.says(f"replay: posthaste replay {message}   show: posthaste show {message}")
    assert any("TypeError: it is undefined" in line for line in command.printed)
    (attempt,) = app.attempts(message)
    assert (attempt["responseStatusCode"], attempt["status"]) == (400, 2)
    assert "TypeError" in attempt["response"]
    assert command.interrupted() == OK
    assert command.said[-1] == "1 forwarded, 1 failed"
    assert "\x1b" not in "".join(command.said + command.printed), "no colours where no terminal is"


def test_programs_read_json_lines_and_know_when_it_is_ready(posthaste, listen, handle):
    source, ids = Source(posthaste, "generic-webhook"), Ids()
    command = listen(posthaste, handle(ids).port, "--source", source.id, "-o", "jsonl")
    command.prints('"event":"ready"')
    ready = events_of(command)[0]
    assert ready["event"] == "ready" and ready["url"] == source.ingest_url and ready["waiting"] == 0
    command.close()


def test_max_offline_ends_it(tmp_path, listen, handle):
    server = Posthaste(tmp_path)
    app = App(server)
    command = listen(server, 1, "--app", app.id, "--max-offline", "300ms").ready()
    server.kill()
    assert command.ends() == UNREACHABLE
    assert "there was no connection to" in "\n".join(command.said)


def test_events_of_a_provider_are_believed_by_its_own_library(posthaste, listen, handle, tmp_path):
    env_file = tmp_path / ".env.local"
    env_file.write_text("A=1\nSTRIPE_WEBHOOK_SECRET=old\n# B\n")
    refused = []

    def judge(method, url, headers, body):
        try:
            secret = env_file.read_text().split("STRIPE_WEBHOOK_SECRET=")[1].splitlines()[0]
            assert stripe.Webhook.construct_event(body, headers["stripe-signature"], secret)["id"].startswith("evt_")
            standardwebhooks.Webhook(ours).verify(body, dict(headers.items()))
        except Exception as error:
            refused.append(repr(error))
            raise

    handler = handle(judge)
    arguments = (handler.port, "--source", "my-stripe", "--provider", "stripe", "--secret", WHSEC)
    command = listen(posthaste, *arguments, "--env-file", f"{env_file}:STRIPE_WEBHOOK_SECRET").ready()
    assert env_file.read_text() == f"A=1\nSTRIPE_WEBHOOK_SECRET={WHSEC}\n# B\n"
    source = call(posthaste, "GET", "/ingest/api/v1/source/my-stripe").json()
    printed = listen(posthaste, handler.port, "--source", "my-stripe", "--print-secret")
    assert printed.ends() == OK
    ours = printed.printed[0]
    assert ours.startswith("whsec_") and ours != WHSEC
    for event in ("charge.succeeded", "customer.created", "invoice.paid"):
        done = run("trigger", f"stripe.{event}", "--to", source["ingestUrl"], "--secret", WHSEC)
        assert done.returncode == OK, done.stderr
    command.prints("200  POST :", 3)
    assert not refused and len(handler.bodies) == 3
    assert {json.loads(body)["type"] for body in handler.bodies} == {"charge.succeeded", "customer.created", "invoice.paid"}
    # The same again finds what it made, and its secret.
    again = listen(posthaste, handler.port, "--source", "my-stripe", "--print-secret")
    assert again.ends() == OK and again.printed == [ours]


def test_a_port_alone_is_enough_and_several_sources_are_heard_at_once(posthaste, listen, handle):
    ids = Ids()
    handler = handle(ids)
    command = listen(posthaste, handler.port).ready()
    url = next(word for line in command.said for word in line.split() if "/in/" in word)
    assert run("send", url, "a=1", "--sign", "none").returncode == OK
    # The same once more is no repetition where nobody says so, and any method will do.
    assert run("send", url, "a=1", "--sign", "none").returncode == OK
    assert run("send", url, "a=1", "--sign", "none", "--method", "GET").returncode == OK
    ids.got(3)
    one, two = Source(posthaste, "generic-webhook"), Source(posthaste, "generic-webhook")
    listen(posthaste, handler.port, "--source", f"{one.id},{two.id}").says("ready", 2)
    one.knock(b"1")
    two.knock(b"2")
    ids.got(5)


def test_what_cannot_be_is_said_in_three_lines(posthaste, listen, tmp_path):
    app = App(posthaste)
    for arguments, code, said in [
        (("http://10.0.0.5:3000", "--app", app.id), USAGE, "--allow-external"),
        (("3000", "--app", "app_nobody"), NOT_FOUND, "404"),
        (("3000", "--source", "nobody-made-it"), NOT_FOUND, "--source nobody-made-it --provider stripe"),
        (("3000", "--name", "a b"), USAGE, "--name my-laptop"),
        (("3000", "--app", app.id, "--env-file", ".env:1"), USAGE, ".env.local:STRIPE_WEBHOOK_SECRET"),
        (("3000", "--app", app.id, "-i", "-o", "jsonl"), USAGE, "leave one of them out"),
        (("3000", "--app", app.id, "--token", "nonsense"), FORBIDDEN, "--token"),
        (("3000", "--app", app.id, "--server", "http://127.0.0.1:9"), UNREACHABLE, "posthaste dev"),
    ]:
        done = listen(posthaste, *arguments)
        assert done.ends() == code, (arguments, done.said)
        assert len(done.said) >= 3 and said in "\n".join(done.said[-3:]), (arguments, done.said)
    # Where nothing runs and nothing is configured.
    done = listen(posthaste, "3000", env={"POSTHASTE_SERVER": "http://127.0.0.1:9", "POSTHASTE_TOKEN": "", "HOME": str(tmp_path)})
    assert done.ends() == UNREACHABLE and "posthaste dev" in done.said[-1], done.said


def test_a_view_without_a_terminal_is_lines(posthaste, listen, handle):
    app, ids = App(posthaste), Ids()
    command = listen(posthaste, handle(ids).port, "--app", app.id, "-i").ready()
    command.says("no view can be drawn here")
    (message,) = app.sends()
    command.prints(f"← {message}  200")
    assert command.interrupted() == OK


@pytest.mark.parametrize("end", [b"q", b"\x03", signal.SIGTERM, signal.SIGINT])
def test_the_view_gives_the_terminal_back_as_it_was(posthaste, handle, end):
    app, ids = App(posthaste), Ids()
    with Terminal() as terminal:
        arguments = ("--app", app.id, "-i", "--server", posthaste.url, "--token", posthaste.token)
        process = terminal.runs("listen", handle(ids).port, *arguments)
        terminal.shows(b"ready")
        (message,) = app.sends(kind="user.created")
        terminal.shows(b"user.created")
        terminal.types(b"\r")
        terminal.shows(message.encode())
        assert not terminal.is_usual(), "keys are read one by one"
        process.send_signal(end) if isinstance(end, signal.Signals) else terminal.types(b"q" + end if end == b"q" else end)
        assert process.wait(DEADLINE_S) == OK
        terminal.shows(b"\x1b[?1049l")
        terminal.shows(b"1 forwarded, 0 failed")
        assert terminal.is_usual() and b"\x1b[?25h" in terminal.output
