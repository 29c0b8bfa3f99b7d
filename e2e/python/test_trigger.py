"""`verify`, `sign`, `trigger` and `send`, as whoever writes a receiver meets them: providers' own libraries believe what
is triggered, and no server, account or network is there."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import subprocess
import threading
import urllib.parse

import pytest
import slack_sdk.signature
import standardwebhooks
import stripe
import svix
from twilio.request_validator import RequestValidator

from conftest import BINARY, DEADLINE_S, embedded_only

pytestmark = embedded_only("these commands know no store, so once is enough")

SIGNATURE = pathlib.Path(__file__).parent.parent.parent / "crates" / "posthaste-signature"
FIXTURES = sorted((SIGNATURE / "tests" / "fixtures").glob("*_vectors.jsonl"))
VECTORS = [json.loads(line) for fixture in FIXTURES for line in fixture.read_text().splitlines()]
WHSEC = "whsec_" + base64.b64encode(b"a secret for trying out a receiver").decode()
OK, USAGE, UNREACHABLE, NOT_VERIFIED, RECEIVER_FAILED = 0, 2, 6, 7, 9


def run(*arguments, stdin=b"", **settings):
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")} | settings
    return subprocess.run([BINARY, *map(str, arguments)], env=env, input=stdin, capture_output=True, timeout=DEADLINE_S)


class Handler:
    """A receiver: each request is judged by `judge(method, url, headers, body)`, which raises or gives the answer."""

    def __init__(self, judge):
        self.bodies, self.errors = [], []
        handler = self

        class Serve(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers["content-length"] or 0))
                url = f"http://{self.headers['host']}{self.path}"
                try:
                    said = judge(self.command, url, self.headers, body) or b"ok"
                    handler.bodies.append(body)
                    self.send_response(200)
                except Exception as error:
                    handler.errors.append(repr(error))
                    said = repr(error).encode()
                    self.send_response(400)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_HEAD = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Serve)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.port = self.server.server_address[1]

    def close(self):
        self.server.shutdown()


@pytest.fixture
def handle():
    handlers = []

    def begin(judge):
        handlers.append(Handler(judge))
        return handlers[-1]

    yield begin
    for handler in handlers:
        handler.close()


def judged_by_stripe(method, url, headers, body):
    event = stripe.Webhook.construct_event(body, headers["stripe-signature"], WHSEC)
    assert event["id"].startswith("evt_")


def judged_by_slack(method, url, headers, body):
    verifier = slack_sdk.signature.SignatureVerifier(WHSEC)
    assert verifier.is_valid_request(body, dict(headers.items())), "slack says no"


def judged_by_twilio(method, url, headers, body):
    fields = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
    assert RequestValidator(WHSEC).validate(url, fields, headers["x-twilio-signature"]), "twilio says no"


def judged_by_standard(method, url, headers, body):
    standardwebhooks.Webhook(WHSEC).verify(body, dict(headers.items()))


def judged_by_svix(method, url, headers, body):
    svix.Webhook(WHSEC).verify(body, dict(headers.items()))


SDKS = {
    "stripe": judged_by_stripe, "slack": judged_by_slack, "twilio": judged_by_twilio,
    "standard-webhooks": judged_by_standard, "svix": judged_by_svix, "clerk": judged_by_svix, "resend": judged_by_svix,
}


def events_of(provider):
    lines = run("trigger", provider, "--list").stdout.decode().splitlines()
    return [line for line in lines if "handshake" not in line]


@pytest.mark.parametrize("provider", SDKS)
def test_every_event_is_believed_by_the_providers_own_library(provider, handle):
    handler = handle(SDKS[provider])
    events = events_of(provider)
    assert len(events) >= 4
    for event in events:
        done = run("trigger", event, "--to", f":{handler.port}/webhooks?a=1", "--secret", WHSEC)
        assert done.returncode == OK, (event, done.stderr.decode(), handler.errors)
    assert len(handler.bodies) == len(events)
    # The same with another secret is refused, and the exit code says so.
    done = run("trigger", events[0], "--to", handler.port, "--secret", "whsec_" + base64.b64encode(b"x" * 24).decode())
    assert done.returncode == RECEIVER_FAILED
    assert "400" in done.stderr.decode()
    assert run("trigger", events[0], "--to", handler.port, "--unsigned").returncode == RECEIVER_FAILED


def test_fields_are_changed_and_signed_with_the_rest(handle):
    handler = handle(judged_by_stripe)
    done = run("trigger", "stripe", "charge.failed", "data.object.amount:=1250", "data.object.receipt_email=a@b.example",
               "new.field=x", "--to", handler.port, "--secret", WHSEC)
    assert done.returncode == OK, done.stderr
    charge = json.loads(handler.bodies[0])
    assert charge["data"]["object"]["amount"] == 1250
    assert charge["data"]["object"]["receipt_email"] == "a@b.example"
    assert b"new.field was not in the event" in done.stderr


def test_a_body_is_changed_in_the_editor_before_it_is_signed(handle):
    handler = handle(judged_by_stripe)
    trigger = ("trigger", "stripe", "--to", handler.port, "--secret", WHSEC, "--edit")
    assert run(*trigger, VISUAL="sed -i s/4200/1250/").returncode == OK, handler.errors
    assert json.loads(handler.bodies[0])["data"]["object"]["amount"] == 1250
    done = run(*trigger, VISUAL="false")
    assert done.returncode == USAGE and b"could not be edited" in done.stderr and len(handler.bodies) == 1
    assert run(*trigger, VISUAL="truncate -s 5").returncode == USAGE


def test_repeated_events_have_ids_of_their_own(handle):
    handler = handle(judged_by_stripe)
    done = run("trigger", "stripe", "--to", handler.port, "--secret", WHSEC, "--repeat", "20", "--rate", "1000/s")
    assert done.returncode == OK, done.stderr
    assert len({json.loads(body)["id"] for body in handler.bodies}) == 20
    lines = done.stderr.decode().splitlines()
    assert sum("→" in line for line in lines) == sum("←" in line for line in lines) == 20


def test_handshakes_are_judged(handle):
    def slack(method, url, headers, body):
        judged_by_slack(method, url, headers, body)
        return json.loads(body)["challenge"].encode()

    right, wrong = handle(slack), handle(lambda *_: b"hello")
    trigger = ("trigger", "slack.url_verification", "--secret", WHSEC, "--to")
    done = run(*trigger, right.port)
    assert done.returncode == OK and b"handshake ok" in done.stderr, done.stderr
    done = run(*trigger, wrong.port)
    assert done.returncode == NOT_VERIFIED and b"handshake failed: the body must be" in done.stderr, done.stderr


def test_nobody_there_is_said_in_three_lines():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    port = server.server_address[1]
    server.server_close()
    done = run("trigger", "stripe", "--to", port)
    assert done.returncode == UNREACHABLE
    what, why, then = done.stderr.decode().splitlines()[-3:]
    assert what.startswith("posthaste: http://127.0.0.1:") and why.strip().startswith("why: ") and then.strip().startswith("next: ")


def test_what_cannot_be_is_said_with_what_could():
    for arguments, said in [
        (("trigger", "strpe"), "did you mean stripe?"),
        (("trigger", "stripe.charge.flown"), "--list"),
        (("trigger", "aws-sns"), "only Amazon SNS can sign this"),
        (("trigger", "stripe", "--to", "ftp://x"), ":3000/webhooks"),
        (("trigger", "stripe", "--rate", "x"), "--rate 10/s"),
        (("verify", "--provider", "stripe"), "add --secret"),
        (("verify", "/nowhere", "--provider", "stripe", "--secret", "x"), "cannot read /nowhere"),
        (("send", ":3000/", "a"), "path=value"),
        (("send", ":1/", "a=1"), "another URL"),
    ]:
        done = run(*arguments)
        lines = done.stderr.decode().splitlines()
        assert done.returncode == USAGE, (arguments, done)
        assert len(lines) >= 3 and said in "\n".join(lines[-3:]), (arguments, lines)


def test_what_is_printed_is_verified_and_explained(tmp_path):
    capture = tmp_path / "request.txt"
    capture.write_bytes(run("trigger", "github.push", "--print", "--secret", "hush").stdout)
    verify = ("verify", capture, "--provider", "github", "--secret")
    done = run(*verify, "hush")
    assert done.returncode == OK and done.stdout.startswith(b"valid"), done
    done = run(*verify, '"hush"', "--json")
    assert done.returncode == NOT_VERIFIED
    said = json.loads(done.stdout)
    assert said["valid"] is False and "does not match" in said["reason"] and "quot" in said["hint"], said
    curl = run("trigger", "github.push", "--curl", "--secret", "hush").stdout
    assert run("verify", "-", "--provider", "github", "--secret", "hush", stdin=curl).returncode == OK


def test_a_signature_of_a_private_key_is_made_with_a_test_key_that_is_shown(tmp_path):
    done = run("trigger", "discord", "--print")
    public = done.stderr.decode().split("--key: ")[1].split()[0]
    done = run("verify", "-", "--provider", "discord", "--secret", public, stdin=done.stdout)
    assert done.returncode == OK, done


def test_signed_headers_are_those_of_the_library():
    body = b'{"test": 2432232314}'
    secret, stamp = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "1614265330"
    done = run("sign", "-", "--secret", secret, "--id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "--timestamp", stamp, stdin=body)
    assert done.stdout.decode().splitlines() == [
        "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp: 1614265330",
        "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ]
    done = run("sign", "-", "--provider", "stripe", "--secret", WHSEC, "--json", stdin=body)
    stripe.WebhookSignature.verify_header(body.decode(), json.loads(done.stdout)["headers"]["stripe-signature"], WHSEC, 300)


def test_fields_are_sent_signed_by_any_scheme(handle):
    handler = handle(judged_by_standard)
    to = f":{handler.port}/in"
    done = run("send", to, "email=a@b.example", "n:=1", "X-Trace:7", "q==v w", "--type", "user.created", "--secret", WHSEC)
    assert done.returncode == OK, (done.stderr, handler.errors)
    sent = json.loads(handler.bodies[0])
    assert sent["type"] == "user.created" and sent["data"] == {"email": "a@b.example", "n": 1}
    stripes = handle(judged_by_stripe)
    done = run("send", f":{stripes.port}/", "id=evt_1", "object=event", "--sign", "stripe", "--secret", WHSEC)
    assert done.returncode == OK, (done.stderr, stripes.errors)


def test_a_payload_is_sent_byte_for_byte(handle, tmp_path):
    def judge(method, url, headers, body):
        tag = hmac.new(WHSEC.encode(), body, hashlib.sha256).hexdigest()
        assert headers["x-hub-signature-256"] == f"sha256={tag}"

    handler = handle(judge)
    payload = tmp_path / "payload.bin"
    payload.write_bytes(bytes(range(256)))
    signed = ("--sign", "github", "--secret", WHSEC)
    assert run("send", handler.port, f"@{payload}", *signed).returncode == OK
    assert run("send", handler.port, "-", *signed, "--count", "3", stdin=b"").returncode == OK
    assert handler.bodies == [bytes(range(256)), b"", b"", b""]
    assert run("send", handler.port, "--sign", "none").returncode == RECEIVER_FAILED


def sample():
    """A valid vector and one of each reason for refusal, of each third provider; all families are among them."""
    chosen, seen = [], set()
    for vector in VECTORS:
        key = (vector["provider"], vector["variant"], vector["expected"])
        if key not in seen and vector["kind"] == "delivery":
            seen.add(key)
            chosen.append(vector)
    providers = sorted({vector["provider"] for vector in chosen})
    return [vector for vector in chosen if providers.index(vector["provider"]) % 3 == 0]


def test_vectors_get_their_verdict_from_the_binary(tmp_path):
    wrong, vectors = [], sample()
    assert len(vectors) > 150
    body = tmp_path / "body"
    for vector in vectors:
        body.write_bytes(base64.b64decode(vector["body_base64"] or ""))
        arguments = ["--provider", vector["provider"], "--method", vector["method"], "--url", vector["url"], "--body", body]
        secret = vector["secret"]
        for one in secret if isinstance(secret, list) else [secret] if secret is not None else []:
            arguments += ["--secret", one]
        for name, value in vector["headers"].items():
            arguments += ["--header", f"{name}: {value}"]
        for name, value in (vector["config"] or {}).items():
            arguments += ["--config", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
        if vector["variant"]:
            arguments += ["--variant", vector["variant"]]
        done = run("verify", *arguments, "--now", vector["now_unix"], "--offline", "--json")
        valid = vector["expected"] == "valid"
        if done.returncode != (OK if valid else NOT_VERIFIED) or json.loads(done.stdout)["valid"] is not valid:
            wrong.append((vector["id"], done))
    assert not wrong, "\n".join(map(str, wrong))
