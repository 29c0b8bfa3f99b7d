"""Stores that earlier versions wrote, kept as SQL: how one is made, and how one is opened again.

    POSTHASTE_BIN=… python e2e/python/kept_store.py e2e/fixtures/stores/schema-6

writes `schema-5.sql`, the store as a killed server left it, and `schema-5.json`, what is in it. It holds a few of
everything that the binary knows; receivers have names in place of their ports. All secrets are for this alone.
"""

import json
import pathlib
import sqlite3
import sys
import tempfile
import threading
import time

from conftest import DEADLINE_S, Handler, Posthaste
from inbound import Source, ask, call, github, made

MAIN_SECRET = "the main secret of the kept stores"
PROVIDER_SECRET = "what GitHub and the source know"
STORES = pathlib.Path(__file__).parent.parent / "fixtures/stores"
ED25519 = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
# What each receiver answers while the store is made. What is not 200 is owed or dead when it is opened again.
RECEIVERS = {"well": 200, "signed": 200, "late": 503, "gone": 410, "hung": None, "handler": 200, "paused": 503}


class Answering(Handler):
    """Answers always the same, or never."""

    def __init__(self, status):
        super().__init__()
        self.held = threading.Event()
        self.answers = Always(self, status)


class Always(list):
    def __init__(self, receiver, status):
        super().__init__()
        self.receiver, self.status = receiver, status

    def __bool__(self):
        return True

    def pop(self, _):
        if self.status is None:
            # Other requests may come meanwhile, and this one has come, but it gets no answer.
            self.receiver.changed.notify_all()
            self.receiver.changed.release()
            self.receiver.held.wait(DEADLINE_S)
            self.receiver.changed.acquire()
        return self.status or 200


def make(into):
    with tempfile.TemporaryDirectory() as work:
        data_dir = pathlib.Path(work) / "data"
        receivers = {name: Answering(status) for name, status in RECEIVERS.items()}
        settings = {"POSTHASTE_MAIN_SECRET": MAIN_SECRET, "POSTHASTE_RETRY_SCHEDULE": "1h,1h"}
        server = Posthaste(data_dir, **settings)
        try:
            facts = fill(server, receivers)
        finally:
            server.kill()
        for receiver in receivers.values():
            receiver.held.set()
        with sqlite3.connect(data_dir / "posthaste.db") as store:
            facts["schema"] = store.execute("SELECT max(number) FROM migration").fetchone()[0]
            facts["states"] = dict(store.execute("SELECT state, count(*) FROM delivery GROUP BY state"))
            text = "\n".join(store.iterdump()) + "\n"
        for name, receiver in receivers.items():
            text = text.replace(receiver.url, f"http://{name}.receiver.test/hook")
            receiver.close()
        into = pathlib.Path(into)
        into.with_suffix(".sql").write_text(text)
        into.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")


def fill(server, receivers):
    """A few of everything, and what came of it."""
    facts = {"token": server.token, "made_at": time.time(), "endpoints": {}, "secrets": {}, "messages": {}}
    facts["revoked_token"] = server.new_token()
    listed = server.run("token", "list").splitlines()
    server.run("token", "revoke", next(line for line in listed if facts["revoked_token"][:8] in line).split()[0])
    schema = {"1": {"type": "object", "properties": {"id": {"type": "integer"}}}}
    made(server, "/api/v1/event-type", {"name": "invoice.paid", "description": "Paid", "schemas": schema})
    made(server, "/api/v1/app", {"name": "Zoë's", "uid": "acme", "metadata": {"tier": "gold"}})
    made(server, "/api/v1/app", {"name": "Other", "uid": "globex", "rateLimit": 10})
    acme = "/api/v1/app/acme"
    for name in ("well", "signed", "late", "gone", "hung"):
        body = {"url": receivers[name].url, "uid": name, "description": f"is {name}", "channels": [f"to-{name}"]}
        if name == "signed":
            body["secret"] = ED25519
        facts["endpoints"][name] = made(server, f"{acme}/endpoint", body)["id"]
    headers = {"headers": {"X-Tenant": "42", "Authorization": "Bearer kept"}}
    assert call(server, "PUT", f"{acme}/endpoint/well/headers", headers).status < 300
    facts["rotated_secret"] = call(server, "GET", f"{acme}/endpoint/well/secret").json()["key"]
    assert call(server, "POST", f"{acme}/endpoint/well/secret/rotate", {}).status < 300
    for name in facts["endpoints"]:
        facts["secrets"][name] = call(server, "GET", f"{acme}/endpoint/{name}/secret").json()["key"]
    for name in facts["endpoints"]:
        body = {"eventType": "invoice.paid", "payload": {"to": name}, "channels": [f"to-{name}"], "eventId": f"evt-{name}", "tags": ["kept"]}
        facts["messages"][name] = made(server, f"{acme}/msg", body)["id"]
        receivers[name].got(1)
    expunged = made(server, f"{acme}/msg", {"eventType": "invoice.paid", "payload": {"x": 1}, "channels": ["to-nobody"]})["id"]
    assert call(server, "DELETE", f"{acme}/msg/{expunged}/content").status < 300
    facts["messages"]["expunged"] = expunged
    facts["idempotent"] = keyed(server, "/api/v1/app/globex/msg").json()["id"]
    access = made(server, "/api/v1/auth/app-portal-access/acme", {})
    facts["portal_token"] = access["token"]
    settled(server, acme, facts["messages"], ("well", "signed", "late", "gone"))
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3_600))
    facts["task"] = made(server, f"{acme}/endpoint/late/recover", {"since": since})["id"]
    replay = call(server, "POST", "/api/posthaste/v1/app/acme/replay", {"endpoint": "well", "ratePerSecond": 5})
    if replay.status == 202:
        facts["replay"] = replay.json()["id"]
    if call(server, "GET", "/ingest/api/v1/source").status == 200:
        facts["source"] = fill_sources(server, receivers)
    return facts


def keyed(server, path):
    headers = {"authorization": f"Bearer {server.token}", "content-type": "application/json", "idempotency-key": "kept"}
    return ask(server.url + path, "POST", headers, json.dumps({"eventType": "a.b", "payload": {"n": 1}}).encode())


def settled(server, acme, messages, names):
    """Attempts are recorded a moment after the receiver answered."""
    for name in names:
        for _ in range(2_000):
            if call(server, "GET", f"{acme}/attempt/msg/{messages[name]}").json()["data"]:
                break
        else:
            raise AssertionError(f"no attempt of {name} was recorded")


def fill_sources(server, receivers):
    source = Source(server, "github", {"secret": PROVIDER_SECRET}, receivers["handler"], uid="code")
    headers = github(PROVIDER_SECRET, b'{"zen":1}', delivery="kept-1")
    assert [source.knock(b'{"zen":1}', headers).status for _ in range(2)] == [200, 200]
    receivers["handler"].got(1)
    assert source.knock(b"{}", github("another", b"{}")).status >= 400
    source.refused(1)
    paused = Source(server, "github", {"secret": PROVIDER_SECRET}, receivers["paused"], uid="paused")
    assert call(server, "PATCH", paused.path, {"paused": True}).status < 300
    paused.knock(b'{"zen":2}', github(PROVIDER_SECRET, b'{"zen":2}'))
    facts = {"door": source.ingest_url.split("/in/")[1], "message": source.stored(1)[0]["id"], "secret": source.secret}
    settled(server, f"/api/v1/app/{source.app}", facts, ["message"])
    config = {"schedule": "0 0 29 2 *", "payload": "{}"}
    cron = call(server, "POST", "/ingest/api/v1/source", {"name": "Tick", "uid": "tick", "type": "cron", "config": config})
    return facts | {"cron": cron.status < 300}


class Kept:
    """A kept store, put into a data directory, as if its time were today."""

    def __init__(self, name, data_dir, receivers):
        self.facts = json.loads((STORES / f"{name}.json").read_text())
        text = (STORES / f"{name}.sql").read_text()
        for receiver in RECEIVERS:
            text = text.replace(f"http://{receiver}.receiver.test/hook", receivers[receiver].url)
        data_dir.mkdir(mode=0o700)
        (data_dir / "admin-token").write_text(self.facts["token"])
        self.database = data_dir / "posthaste.db"
        with sqlite3.connect(self.database) as store:
            store.execute("PRAGMA page_size = 8192")
            store.executescript(text)
            passed = int((time.time() - self.facts["made_at"]) * 1e6)
            store.execute("UPDATE idempotency SET expires_at = expires_at + ?", (passed,))
            if self.facts["schema"] >= 2:
                store.execute("UPDATE received SET expires_at = expires_at + ?", (passed,))

    def all(self, sql):
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as store:
            return store.execute(sql).fetchall()


if __name__ == "__main__":
    make(sys.argv[1])
