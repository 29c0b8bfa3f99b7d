"""Listeners: a WebSocket client that is not ours takes what is owed to an endpoint, and its answers are the attempts."""

import asyncio
import gzip
import json

import aiohttp
import pytest
from svix.api import ApplicationIn, EndpointIn, MessageIn, Svix, SvixOptions

from conftest import DEADLINE_S, STORE, Posthaste, wait_for_attempts
from inbound import Source, ask, made

COUNT = 100


class Listener:
    """One connection. Frames are a line of JSON and a body."""

    def __init__(self, session, socket):
        self.session, self.socket = session, socket

    @classmethod
    async def connects(cls, server, path, token=None):
        session = aiohttp.ClientSession()
        headers = {"authorization": f"Bearer {token or server.token}"}
        try:
            socket = await session.ws_connect(server.url + path, headers=headers, max_msg_size=0)
        except aiohttp.WSServerHandshakeError:
            await session.close()
            raise
        listener = cls(session, socket)
        listener.ready = await listener.hears("ready")
        return listener

    async def hears(self, kind):
        """The next frame of this kind, with its body."""
        while True:
            message = await asyncio.wait_for(self.socket.receive(), DEADLINE_S)
            assert message.type == aiohttp.WSMsgType.BINARY, message
            line, _, body = message.data.partition(b"\n")
            frame = json.loads(line) | {"body": body}
            if frame["type"] == kind:
                return frame

    async def says(self, what, request, body=b"", **fields):
        frame = {"type": what, "id": request["id"], "try": request["try"], **fields}
        await self.socket.send_bytes(json.dumps(frame).encode() + b"\n" + body)

    async def answers(self, request, status=200, body=b"ok"):
        await self.says("got", request)
        await self.says("answer", request, body, status=status, headers=[["x-local", "é"]], duration_ms=3)

    async def takes(self, status=200):
        """Takes a request and answers it."""
        request = await self.hears("request")
        await self.answers(request, status)
        return request

    async def dies(self):
        """Its machine is gone: no word to anybody."""
        self.socket._response.connection.transport.abort()
        await asyncio.sleep(0)
        await self.session.close()

    async def leaves(self):
        await self.socket.close()
        await self.session.close()


class App:
    """An app with one endpoint that somebody may listen to."""

    def __init__(self, server):
        self.server = server
        self.svix = Svix(server.token, SvixOptions(server_url=server.url))
        self.app = self.svix.application.create(ApplicationIn(name="A laptop"))
        self.endpoint = self.svix.endpoint.create(self.app.id, EndpointIn(url="listener:web", version=1))
        self.path = f"/api/posthaste/v1/app/{self.app.id}/endpoint/{self.endpoint.id}/listen"

    def sends(self, count=1):
        sent = (MessageIn(event_type="a.b", payload={"n": n}) for n in range(count))
        return [self.svix.message.create(self.app.id, message) for message in sent]

    def attempts(self, message, count=1):
        return wait_for_attempts(self.svix, self.app, message, count)


def test_what_came_while_nobody_listened_arrives_in_order_and_its_answers_are_the_attempts(posthaste):
    app = App(posthaste)
    messages = app.sends(COUNT)

    async def listen():
        listener = await Listener.connects(posthaste, app.path)
        assert (listener.ready["name"], listener.ready["waiting"]) == ("web", COUNT)
        requests = [await listener.takes(500 if n == 7 else 200) for n in range(COUNT)]
        while (await listener.hears("recorded"))["id"] != requests[-1]["id"]:
            pass
        await listener.leaves()
        return requests

    requests = asyncio.run(listen())
    assert [request["message"] for request in requests] == [message.id for message in messages]
    assert {request["try"] for request in requests} == {1}
    assert [json.loads(request["body"])["n"] for request in requests] == list(range(COUNT))
    names = {name for name, _ in requests[0]["headers"]}
    assert {"webhook-id", "webhook-signature", "svix-id"} <= names, names
    for n, message in enumerate(messages):
        (attempt,) = app.attempts(message)
        assert (attempt.response_status_code, attempt.response, attempt.url) == (500 if n == 7 else 200, "ok", "listener:web")
        # What was answered is the last word: nothing is tried again by itself.
        assert attempt.status == (2 if n == 7 else 0), attempt


def test_what_a_listener_had_when_it_died_comes_first_and_as_the_same_try(posthaste):
    app = App(posthaste)
    messages = app.sends(5)

    async def listen():
        dying = await Listener.connects(posthaste, app.path)
        lost = await dying.hears("request")
        await dying.says("got", lost)
        await dying.dies()
        listener = await Listener.connects(posthaste, app.path)
        requests = [await listener.takes() for _ in messages]
        await listener.hears("recorded")
        await listener.leaves()
        return lost, requests

    lost, requests = asyncio.run(listen())
    assert (requests[0]["id"], requests[0]["try"]) == (lost["id"], 1)
    assert [request["message"] for request in requests] == [message.id for message in messages]
    for message in messages:
        assert len(app.attempts(message)) == 1


def test_a_program_that_is_not_there_is_asked_again(posthaste):
    app = App(posthaste)
    (message,) = app.sends()

    async def listen():
        listener = await Listener.connects(posthaste, app.path)
        request = await listener.hears("request")
        await listener.says("failed", request, kind="connect", detail="nothing listens on port 3000", duration_ms=1)
        assert (await listener.hears("recorded"))["status"] == "waiting"
        again = await listener.takes()
        assert (again["id"], again["try"]) == (request["id"], 2)
        assert (await listener.hears("recorded"))["status"] == "delivered"
        await listener.leaves()

    asyncio.run(listen())
    attempts = app.attempts(message, 2)
    assert sorted(attempt.status for attempt in attempts) == [0, 2]


@pytest.mark.skipif(STORE == "pooled", reason="the older node hears of it by a notice, which no pooler passes on")
def test_a_newer_connection_takes_over(posthaste):
    app = App(posthaste)

    async def listen():
        older = await Listener.connects(posthaste, app.path)
        newer = await Listener.connects(posthaste, app.path)
        bye = await older.hears("bye")
        assert bye["reason"] == "replaced", bye
        (message,) = await asyncio.to_thread(app.sends)
        assert (await newer.takes())["message"] == message.id
        await older.leaves()
        await newer.leaves()

    asyncio.run(listen())


def test_nobody_listens_to_what_is_anothers(posthaste):
    app = App(posthaste)
    stranger = posthaste.new_token("strangers")

    async def refused(path, token):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await Listener.connects(posthaste, path, token)
        return refusal.value.status

    assert asyncio.run(refused(app.path, stranger)) == 404
    assert asyncio.run(refused(app.path, "phk_" + "0" * 64)) == 401
    plain = app.svix.endpoint.create(app.app.id, EndpointIn(url="https://example.com/", version=1))
    assert asyncio.run(refused(app.path.replace(app.endpoint.id, plain.id), None)) == 422
    without = ask(posthaste.url + app.path, headers={"authorization": f"Bearer {posthaste.token}"})
    assert (without.status, without.headers["upgrade"]) == (426, "websocket"), without


def test_a_providers_request_arrives_as_the_bytes_it_was(posthaste):
    source = Source(posthaste, "generic-webhook", methods=["POST", "PUT"], bodyBytesMax=6 << 20)
    endpoint = made(posthaste, source.path + "/endpoint", {"url": "listener:web"})
    path = f"/api/posthaste/v1/source/{source.id}/endpoint/{endpoint['id']}/listen"
    long = bytes(range(256)) * (5 << 12)
    twice = [("X-Twice", "1"), ("x-twice", "2"), ("X-Bytes", b"\xff\xe9")]
    sent = [
        ("/a%2Fb/%FF//c", "x=%20&x", gzip.compress(b"{}"), [*twice, ("Content-Encoding", "gzip")]),
        ("/", "", b"", []),
        ("", "a", b"\xff\x00\n{", []),
        ("/long", "", long, []),
        ("/chunked", "", long, [("Transfer-Encoding", "chunked")]),
    ]
    for where, query, body, headers in sent:
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        is_chunked = any(name == "Transfer-Encoding" for name, _ in headers)
        url = source.ingest_url + where + ("?" + query if query else "")
        answer = ask(url, "PUT", headers, chunks if is_chunked else body)
        assert answer.status == 200, (where, answer)

    async def listen():
        listener = await Listener.connects(posthaste, path)
        requests = [await listener.takes() for _ in sent]
        await listener.leaves()
        return requests

    for (where, query, body, headers), request in zip(sent, asyncio.run(listen()), strict=True):
        assert (request["method"], request["path"], request["query"]) == ("PUT", where, query)
        assert request["body"] == body, where
        came = [(name.lower(), value.encode("latin-1")) for name, value in request["headers"]]
        for name, value in headers:
            value = value if isinstance(value, bytes) else value.encode()
            assert name == "Transfer-Encoding" or (name.lower(), value) in came, name
        hosts = [value for name, value in came if name == "x-forwarded-host"]
        assert hosts == [source.ingest_url.split("/")[2].encode()]


def test_a_server_that_stops_says_so_and_gives_back_what_it_had(tmp_path):
    server = Posthaste(tmp_path)
    app = App(server)
    messages = app.sends(3)

    async def until_it_stops():
        listener = await Listener.connects(server, app.path)
        request = await listener.hears("request")
        await listener.says("got", request)
        stopping = asyncio.to_thread(server.stop)
        bye, _ = await asyncio.gather(listener.hears("bye"), stopping)
        assert bye["reason"] == "leaving", bye
        await listener.leaves()
        return request

    async def after_it_started():
        listener = await Listener.connects(server, app.path)
        requests = [await listener.takes() for _ in messages]
        await listener.leaves()
        return requests

    lost = asyncio.run(until_it_stops())
    server.start()
    try:
        requests = asyncio.run(after_it_started())
        assert (requests[0]["id"], requests[0]["try"]) == (lost["id"], 1)
        assert [request["message"] for request in requests] == [message.id for message in messages]
        metrics = ask(server.url + "/metrics").body.decode()
        if STORE == "sqlite":
            assert 'posthaste_listener_requests_total{outcome="answered"} ' in metrics, metrics
        assert "posthaste_listeners " in metrics, metrics
    finally:
        server.stop()
