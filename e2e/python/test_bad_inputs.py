"""Bad requests, run as data: the right status, the field named, nothing stored, and the server still well."""

import datetime
import http.client
import json
import pathlib
import urllib.parse

import pytest

from conftest import Posthaste

FIXTURE = pathlib.Path(__file__).parent.parent / "fixtures" / "bad_inputs.json"
CASES = json.loads(FIXTURE.read_text())["cases"]


class World:
    """A server with one app, endpoint and message of its own and another tenant's beside it."""

    def __init__(self, data_dir):
        self.posthaste = Posthaste(data_dir, POSTHASTE_ALLOW_TARGETS="", POSTHASTE_RETRY_SCHEDULE="1h")
        self.tokens = {"admin": self.posthaste.token, "other": self.posthaste.new_token("other"), "none": None}
        revoked = self.posthaste.new_token()
        for line in self.posthaste.run("token", "list").splitlines():
            if line.split()[1].rstrip("…") == revoked[:12]:
                self.posthaste.run("token", "revoke", line.split()[0])
        self.tokens.update(revoked=revoked, prefix=self.posthaste.token[:12])
        self.ids = self.tenant("admin", "ok") | {f"{k}_other": v for k, v in self.tenant("other", "other").items()}
        access = f"/api/v1/auth/app-portal-access/{self.ids['app']}"
        self.tokens["portal"] = self.ask("POST", access, "{}")[1]["token"]

    def tenant(self, token, name):
        _, app = self.ask("POST", "/api/v1/app", json.dumps({"name": name, "uid": f"app-{name}"}), token)
        path = f"/api/v1/app/{app['id']}"
        body = json.dumps({"url": "https://example.com/hook", "uid": f"ep-{name}", "disabled": True})
        _, endpoint = self.ask("POST", f"{path}/endpoint", body, token)
        body = json.dumps({"eventType": "user.created", "payload": {}, "eventId": "taken"})
        _, message = self.ask("POST", f"{path}/msg", body, token)
        return {"app": app["id"], "ep": endpoint["id"], "msg": message["id"]}

    def ask(self, method, path, body=None, token="admin", headers=()):
        address = urllib.parse.urlparse(self.posthaste.url).netloc
        connection = http.client.HTTPConnection(address, timeout=10)
        sent = {"content-type": "application/json"}
        if self.tokens.get(token):
            sent["authorization"] = f"Bearer {self.tokens[token]}"
        sent.update(headers)
        sent = {name: value for name, value in sent.items() if value is not None}
        connection.putrequest(method, path, skip_accept_encoding=True)
        body = body.encode() if body is not None else None
        if body is not None:
            connection.putheader("content-length", str(len(body)))
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders()
        if body:
            try:
                connection.send(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before it was read to its end: the answer is there all the same
        response = connection.getresponse()
        text = response.read()
        connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text.decode()

    def path(self, template):
        ids = self.ids
        names = {
            "{app_id}": ids["app"], "{ep_id}": ids["ep"], "{msg_id}": ids["msg"], "{key}": self.tokens["admin"],
            "{ep_other_id}": ids["ep_other"], "{msg_other_id}": ids["msg_other"],
        }
        for name, value in names.items():
            template = template.replace(name, value)
        return template.replace("app_ok", ids["app"]).replace("ep_ok", ids["ep"]).replace("app_other", ids["app_other"])

    def stored(self):
        """What every table holds, keys of repeated requests apart."""
        return self.posthaste.tables("idempotency")


def body_of(case):
    body = case.get("body")
    if not isinstance(body, dict):
        return body
    if "repeat" in body:
        before, opening, times, middle, closing, closings, after = body["repeat"]
        return before + opening * times + middle + closing * closings + after
    now = datetime.datetime.now(datetime.timezone.utc)
    parts = body["times"]
    hours = [(now + datetime.timedelta(hours=int(h))).isoformat() for h in parts[1::2]]
    return "".join(a + b for a, b in zip(parts[0::2], [*hours, ""]))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("bad-inputs"))
    yield world
    world.posthaste.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_bad_request_gets_a_clear_answer_and_leaves_nothing_behind(world, case):
    before = world.stored()
    headers = case.get("headers", {})
    path = world.path(case["path"])
    status, answer = world.ask(case["method"], path, body_of(case), case.get("token", "admin"), headers)
    assert status in case["status"], answer
    if status >= 400 and answer != "":
        assert isinstance(answer, dict), answer
        assert len(json.dumps(answer)) <= 4096
        assert case["names"].lower() in json.dumps(answer).lower(), answer
        assert world.tokens["admin"] not in json.dumps(answer)
    if case["stored"] == "nothing" and status >= 400:
        assert world.stored() == before
    assert world.ask("GET", "/api/v1/app")[0] == 200
