"""Recognisable secrets in every place that takes one, and then a look at everything that comes out.

With POSTHASTE_FAULTS_BIN, a build with the feature `faults`, threads panic on the way as well.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import subprocess
import urllib.parse

import jwt
import pytest

from conftest import BINARY, DEADLINE_S, STORE, Posthaste
from test_bad_inputs import World

FAULTS_BIN = os.environ.get("POSTHASTE_FAULTS_BIN") if STORE == "sqlite" else None
PANICS = "accept.parsed=panic@3,accept.answering=panic@2,send.head_received=panic@2,record.before=panic@5,receive.verified=panic@2"
PAYLOAD = "canary-payload-7f3a"


def canary(name):
    """A secret of 32 letters that is found again."""
    return f"canary-{name}-".ljust(32, "z")


def signing(name):
    return "whsec_" + base64.b64encode(canary(name).encode()).decode()


class Canaries:
    """A server whose secrets are all known, and everything that it ever said."""

    def __init__(self, data_dir, log_format):
        self.main, self.jwt = canary("main"), canary("jwt")
        faults = {"binary": FAULTS_BIN, "POSTHASTE_FAULT": PANICS} if FAULTS_BIN else {}
        self.posthaste = Posthaste(
            data_dir,
            POSTHASTE_MAIN_SECRET=self.main,
            POSTHASTE_JWT_SECRET=self.jwt,
            POSTHASTE_LOG="trace",
            POSTHASTE_LOG_FORMAT=log_format,
            **faults,
        )
        self.world = World.__new__(World)
        self.world.posthaste = self.posthaste
        self.world.tokens = {"admin": self.posthaste.token}
        # Secrets, each with the paths whose answers may show it.
        self.secrets = {}
        self.answers = []
        for name, value in (("main", self.main), ("jwt", self.jwt), ("admin", self.posthaste.token)):
            self.secrets[name] = (value, ())

    def ask(self, method, path, body=None, token="admin", **headers):
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            status, answer = self.world.ask(method, path, text, token, names)
        except (ConnectionError, OSError) as error:
            # A panic within the connection's own task may end it.
            status, answer = 0, str(error)
        self.answers.append((f"{method} {path}", json.dumps(answer)))
        return status, answer

    def must(self, *args, **headers):
        """Asks until no planted panic comes in between."""
        for _ in range(4):
            status, answer = self.ask(*args, **headers)
            if 200 <= status < 300:
                return answer
        raise AssertionError((args, status, answer))

    def keep(self, name, value, *shown_by):
        self.secrets[name] = (value, shown_by)
        return value

    def found(self, text, where):
        """The canaries in a text, as they are and as bytes in base64."""
        text = text if isinstance(text, bytes) else text.encode()
        for name, (value, shown_by) in self.secrets.items():
            spellings = {value.encode(), base64.b64encode(value.encode()).rstrip(b"=")}
            if value.startswith("whsec_"):
                spellings.add(base64.b64decode(value[6:]))
            if any(spelling in text for spelling in spellings) and not any(path in where for path in shown_by):
                yield f"{name} in {where}"


def drive(canaries, receiver):
    """Every path that touches a secret, right and wrong."""
    ask, must, keep = canaries.ask, canaries.must, canaries.keep
    must("POST", "/api/v1/app", {"name": "A", "uid": "a"})
    endpoint = {
        "url": receiver.url,
        "uid": "e",
        "secret": keep("endpoint", signing("endpoint"), "GET /api/v1/app/a/endpoint/e/secret"),
        "headers": {
            "authorization": "Bearer " + keep("sensitive header", canary("authorization")),
            "x-custom": keep("header", canary("header"), "/endpoint/e/headers"),
        },
    }
    must("POST", "/api/v1/app/a/endpoint", endpoint)
    one = "/api/v1/app/a/endpoint/e"
    for rest in ("", "/headers", "/secret", "/stats", "/msg"):
        must("GET", one + rest)
    must("PATCH", one, {"description": "x"})
    must("PUT", one + "/headers", {"headers": endpoint["headers"]})
    must("POST", one + "/secret/rotate", {"key": keep("rotated", signing("rotated"), "/endpoint/e/secret")})
    must("GET", one + "/secret")
    operational = {"url": receiver.url, "uid": "o", "secret": keep("operational", signing("operational"), "/endpoint/o/secret")}
    must("POST", "/api/v1/operational-webhook/endpoint", operational)
    must("GET", "/api/v1/operational-webhook/endpoint/o/secret")

    # Tokens, also in an answer that is kept for an idempotency key.
    canaries.world.tokens["new"] = keep("token", canaries.posthaste.new_token())
    must("GET", "/api/v1/app", None, "new")
    access = "/api/v1/auth/app-portal-access/a"
    portal = must("POST", access, {}, idempotency_key="portal")
    assert must("POST", access, {}, idempotency_key="portal") == portal
    canaries.world.tokens["portal"] = keep("portal token", portal["token"], access)
    must("GET", one, None, "portal")
    claims = {"sub": "org_23rb8YdGqMT0qIzpgGwdXfHirMu", "exp": datetime.datetime.now() + datetime.timedelta(hours=1)}
    canaries.world.tokens["jwt"] = keep("JWT", jwt.encode(claims, canaries.jwt, "HS256"))
    must("GET", "/api/v1/app", None, "jwt")
    must("POST", "/api/v1/auth/logout", None, "portal")
    assert ask("GET", one, None, "portal")[0] == 401
    canaries.world.tokens["wrong"] = keep("wrong token", canary("wrong-token"))
    assert ask("GET", one, None, "wrong")[0] == 401

    # What is wrong is not repeated where it may be a secret.
    bad = keep("bad secret", canary("bad-secret"))
    assert ask("POST", "/api/v1/app/a/endpoint", {"url": receiver.url, "secret": f"whsec_{bad}!"})[0] == 422
    assert ask("POST", one + "/secret/rotate", {"key": f"whsk_{bad}"})[0] == 422
    assert ask("PUT", one + "/headers", {"headers": {"x-api-key": f"{bad}\n"}})[0] == 422
    assert ask("POST", "/api/v1/app/a/endpoint", {"url": f"https://u:{bad}@example.com/"})[0] == 422
    assert ask("POST", "/api/v1/app/a/endpoint", f'{{"url":"x","secret":"{bad}')[0] == 400

    # Messages: by hand, again, by example; to a receiver that fails first.
    receiver.answers_with(500, 200, 404)
    for _ in range(6):
        ask("POST", "/api/v1/app/a/msg", {"eventType": "a.b", "payload": {"marker": PAYLOAD}})
    message = must("POST", "/api/v1/app/a/msg", {"eventType": "a.b", "payload": {"marker": PAYLOAD}})["id"]
    receiver.got(5)
    must("POST", f"/api/v1/app/a/msg/{message}/endpoint/e/resend")
    must("POST", one + "/recover", {"since": must("GET", f"/api/v1/app/a/msg/{message}")["timestamp"]})
    must("GET", f"/api/v1/app/a/attempt/msg/{message}")

    # A provider that signs, one that sends its secret along, and refusals of both.
    for uid, kind in (("hub", "github"), ("lab", "gitlab")):
        secret = keep(f"{kind} secret", canary(kind))
        source = must("POST", "/ingest/api/v1/source", {"name": uid, "uid": uid, "type": kind, "config": {"secret": secret}})
        door = urllib.parse.urlparse(must("GET", f"/ingest/api/v1/source/{uid}")["ingestUrl"]).path
        shows = ("/ingest/api/v1/source", door)
        keep(f"{kind} door", door.removeprefix("/in/"), *shows)
        must("POST", f"/ingest/api/v1/source/{uid}/endpoint", {"url": receiver.url, "uid": "i"})
        assert "secret" not in json.dumps(source.get("config", {})).lower() or secret not in json.dumps(source)
        for given in (secret, keep(f"wrong {kind} secret", canary(f"wrong-{kind}"))):
            for body in ('{"n":1}', '{"n":2}', '{"n":3}'):
                signed = hmac.new(given.encode(), body.encode(), hashlib.sha256).hexdigest()
                sent = {"x_hub_signature_256": f"sha256={signed}"} if kind == "github" else {"x_gitlab_token": given}
                ask("POST", door, body, None, **sent)
        # Refusals are kept a moment after they are answered.
        for _ in range(2000):
            if len(must("GET", f"/ingest/api/v1/source/{uid}/log")["data"]) == 3:
                break
        link = must("POST", f"/ingest/api/v1/source/{uid}/dashboard", {"readOnly": True})
        canaries.world.tokens[uid] = keep(f"portal token of {uid}", link["token"], "/dashboard")
        app = must("GET", f"/ingest/api/v1/source/{uid}")["appId"]
        received = must("GET", f"/api/v1/app/{app}/msg", None, uid)["data"]
        assert len(received) >= 2 and "(hidden)" in json.dumps(received) or kind == "github"
        must("POST", f"/ingest/api/v1/source/{uid}/token/rotate")
    # What nobody has a use for.
    ask("POST", "/api/v1/nothing", {"secret": bad})
    ask("GET", "/api/v1/environment/settings")
    must("GET", "/metrics", None, None)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_comes_out_where_it_should_not(tmp_path, receiver, log_format):
    canaries = Canaries(tmp_path, log_format)
    drive(canaries, receiver)
    posthaste = canaries.posthaste
    leaks = []
    for path in posthaste.files():
        if path.name != "admin-token":
            leaks += canaries.found(path.read_bytes(), f"file {path.name} while it runs")
    outputs = {name: posthaste.run(*name.split()) for name in ("token list", "config show")}
    posthaste.stop()
    logs = "".join(posthaste.said)
    outputs["log"] = logs
    for name, text in outputs.items():
        leaks += canaries.found(text, name)
        assert PAYLOAD not in text, name
    for where, text in canaries.answers:
        leaks += canaries.found(text, where)
        assert PAYLOAD not in text or "/msg" in where, where
    for path in posthaste.files():
        if path.name != "admin-token":
            leaks += canaries.found(path.read_bytes(), f"file {path.name}")
    assert leaks == []
    assert len(canaries.secrets) > 15 and len(canaries.answers) > 50
    lines = [line for line in logs.splitlines() if "listening on" not in line and "admin token was written" not in line]
    if log_format == "json":
        lines = [json.loads(line) for line in lines]
    if FAULTS_BIN:
        assert logs.count("told to panic at") >= 4, logs
    else:
        assert "panicked" not in logs


def test_settings_that_are_wrong_repeat_no_secret(tmp_path):
    secret = canary("setting")
    (tmp_path / "file").write_text(f'main-secret = "{secret}"\njwt-secret = "{secret}"\nretention = "x"\n')
    password = {"POSTHASTE_DATABASE_URL": f"postgres://u:{secret}@127.0.0.1/x"}
    both = {"POSTHASTE_MAIN_SECRET": secret, "POSTHASTE_JWT_SECRET": secret}
    for arguments, env in (
        (["serve", "--config", str(tmp_path / "file")], {}),
        (["config", "show", "--config", str(tmp_path / "file")], {}),
        (["serve"], password),
        (["config", "show"], password),
        (["serve"], both | {"POSTHASTE_RETENTION": "x"}),
        (["config", "show"], both),
        (["serve"], both | {"POSTHASTE_MAIN_SECRET": "", "POSTHASTE_MAIN_SECRET_FILE": "/nothing/" + "x"}),
    ):
        done = subprocess.run(
            [BINARY, *arguments, "--data-dir", str(tmp_path / "data")], env=os.environ | env, capture_output=True, text=True, timeout=DEADLINE_S
        )
        assert secret not in done.stdout + done.stderr, (arguments, done)
