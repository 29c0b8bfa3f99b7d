"""Requests that no HTTP library would send, and refusals that depend on what went before."""

import concurrent.futures
import datetime
import json
import socket
import urllib.parse

import pytest

from conftest import Posthaste

BODY = '{"eventType":"a.b","payload":{}}'


class Server(Posthaste):
    """A server with an app `a` and an endpoint `e` on it."""

    def prepare(self):
        self.status("POST", "/api/v1/app", '{"name":"A","uid":"a"}')
        self.status("POST", "/api/v1/app/a/endpoint", '{"url":"https://example.com/","uid":"e","disabled":true}')
        return self

    def raw(self, request, ends=False):
        """Sends bytes as they are and returns what came back: the status, or 0 for a closed connection, and the rest."""
        host, port = urllib.parse.urlparse(self.url).netloc.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            try:
                connection.sendall(request)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all was sent
            answer = b""
            try:
                while chunk := connection.recv(65536):
                    answer += chunk
            except OSError:
                pass
        head = answer.split(b"\r\n", 1)[0].split(b" ")
        return (int(head[1]) if len(head) > 1 else 0), answer.decode("utf-8", "replace")

    def ask(self, method, path, body="", headers=""):
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.token}\r\nconnection: close\r\n"
        if body:
            head += f"content-type: application/json\r\ncontent-length: {len(body.encode())}\r\n"
        return self.raw((head + headers + "\r\n" + body).encode())

    def status(self, *request):
        return self.ask(*request)[0]

    def json(self, *request):
        status, answer = self.ask(*request)
        return status, json.loads(answer.split("\r\n\r\n", 1)[1] or "null")

    def messages(self):
        return len(self.json("GET", "/api/v1/app/a/msg")[1]["data"])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("raw")).prepare()
    yield server
    server.stop()


def head(token, *lines):
    lines = ["POST /api/v1/app/a/msg HTTP/1.1", "host: x", "connection: close", f"authorization: Bearer {token}", *lines]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "lines", "body", "statuses"),
    [
        ("a body that ends too early", ["content-type: application/json", "content-length: 100"], BODY, {0, 400, 408}),
        ("two lengths", ["content-length: 5", "content-length: 6"], BODY, {0, 400}),
        ("an unknown transfer encoding", ["transfer-encoding: xchunked"], BODY, {0, 400, 501}),
        ("a folded header", ["x-a: 1\r\n y", f"content-length: {len(BODY)}"], BODY, {0, 400}),
        ("a blank before the colon", [f"content-length : {len(BODY)}"], BODY, {0, 400}),
        ("a header of 1 MiB", ["x-a: " + "a" * (1 << 20)], "", {0, 400, 431}),
        ("a thousand headers", [f"x-{n}: a" for n in range(1000)], "", {0, 400, 431}),
        ("two tokens", ["authorization: Bearer x", "content-length: 2"], "{}", {400, 401}),
        ("two idempotency keys", ["idempotency-key: a", "idempotency-key: b", "content-length: 2"], "{}", {400, 422}),
        ("a key with a control character", ["idempotency-key: a\x01", f"content-length: {len(BODY)}"], BODY, {0, 400}),
        ("an endless chunked body", ["content-type: application/json", "transfer-encoding: chunked"],
         "100000\r\n" + "a" * 0x100000 + "\r\n" + "100000\r\n" + "a" * 0x100000 + "\r\n", {413}),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "",
)
def test_a_request_that_is_no_request_is_refused_and_nothing_is_stored(server, name, lines, body, statuses):
    before = server.messages()
    status, answer = server.raw(head(server.token, *lines) + body.encode(), ends="too early" in name)
    assert status in statuses, (name, answer[:300])
    assert server.messages() == before
    assert server.status("GET", "/livez") == 200


@pytest.mark.parametrize(
    ("request_line", "statuses"),
    [
        ("CONNECT 127.0.0.1:22 HTTP/1.1", {0, 400, 404, 405}),
        ("GET http://169.254.169.254/ HTTP/1.1", {303, 400, 404}),
        ("GET /api/v1/app/../../health HTTP/1.1", {400, 401, 404}),
        ("GET /api/v1/app/a/msg?event_types=" + "A" * 100_000 + " HTTP/1.1", {0, 400, 414, 431}),
        ("GET / HTTP/9.9", {0, 400, 505}),
        ("\x16\x03\x01 tls to a plain port", {0, 400}),
    ],
    ids=range(6),
)
def test_a_strange_target_leads_nowhere(server, request_line, statuses):
    status, answer = server.raw(f"{request_line}\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert status in statuses, answer[:300]
    # The front page sends everybody to our own login, whatever host they named.
    assert status != 303 or "location: /ui/login\r\n" in answer.lower(), answer[:300]


def test_a_token_of_garbage_bytes_is_no_token(server):
    request = b"GET /api/v1/app HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\xfe\r\nconnection: close\r\n\r\n"
    assert server.raw(request)[0] == 401


def test_put_keeps_the_secret(server):
    _, before = server.json("GET", "/api/v1/app/a/endpoint/e/secret")
    assert server.status("PUT", "/api/v1/app/a/endpoint/e", '{"url":"https://example.com/2","disabled":true}') == 200
    assert server.json("GET", "/api/v1/app/a/endpoint/e/secret")[1] == before


def test_a_private_key_whose_halves_do_not_match_is_refused(server):
    body = '{"url":"https://example.com/","secret":"whsk_%s"}' % ("A" * 42 + "AAAB" + "A" * 40 + "==")
    status, answer = server.json("POST", "/api/v1/app/a/endpoint", body)
    assert status == 422
    assert answer["detail"][0]["loc"] == ["body", "secret"]


def test_deleting_twice_is_not_found(server):
    server.status("POST", "/api/v1/app/a/endpoint", '{"url":"https://example.com/","uid":"gone"}')
    assert server.status("DELETE", "/api/v1/app/a/endpoint/gone") == 204
    assert server.status("DELETE", "/api/v1/app/a/endpoint/gone") == 404


def test_at_most_ten_secrets_sign_at_once(server):
    server.status("POST", "/api/v1/app/a/endpoint", '{"url":"https://example.com/","uid":"often"}')
    statuses = [server.status("POST", "/api/v1/app/a/endpoint/often/secret/rotate", "{}") for _ in range(10)]
    assert statuses == [200] * 9 + [409]


def test_a_read_only_link_reads_no_secret_and_changes_nothing(server):
    _, link = server.json("POST", "/api/v1/auth/app-portal-access/a", '{"readOnly":true}')
    admin, server.token = server.token, link["token"]
    try:
        assert server.status("GET", "/api/v1/app/a/endpoint/e") == 200
        assert server.status("GET", "/api/v1/app/a/endpoint/e/secret") == 403
        assert server.status("DELETE", "/api/v1/app/a/endpoint/e") == 403
    finally:
        server.token = admin


def test_a_disabled_endpoint_is_not_recovered(server):
    now = "2999-01-01T00:00:00Z"
    status, answer = server.json("POST", "/api/v1/app/a/endpoint/e/recover", '{"since":"%s"}' % now)
    assert status == 422
    since = datetime.datetime.now(datetime.timezone.utc).isoformat()
    status, answer = server.json("POST", "/api/v1/app/a/endpoint/e/recover", '{"since":"%s"}' % since)
    assert status == 409
    assert "disabled" in answer["detail"]


def test_an_expunged_message_reads_as_such_and_is_not_sent_again(server):
    _, message = server.json("POST", "/api/v1/app/a/msg", BODY)
    assert server.status("DELETE", f"/api/v1/app/a/msg/{message['id']}/content") == 204
    assert server.json("GET", f"/api/v1/app/a/msg/{message['id']}")[1]["payload"] == {"expired": True}
    status, answer = server.json("POST", f"/api/v1/app/a/msg/{message['id']}/endpoint/e/resend")
    assert status == 409
    assert "payload" in answer["detail"]


def test_fifty_requests_with_one_key_or_one_event_id_make_one_message(server):
    for headers, body, others in (
        ("idempotency-key: race\r\n", BODY, {202}),
        ("", '{"eventType":"a.b","payload":{},"eventId":"race"}', {409}),
    ):
        before = server.messages()
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: server.ask("POST", "/api/v1/app/a/msg", body, headers), range(50)))
        statuses = [status for status, _ in answers]
        assert statuses.count(202) >= 1 and set(statuses) <= {202} | others
        assert server.messages() == before + 1


def test_a_key_that_was_refused_works_for_the_mended_request(server):
    key = "idempotency-key: mended\r\n"
    assert server.status("POST", "/api/v1/app/a/msg", '{"eventType":"","payload":{}}', key) == 422
    assert server.status("POST", "/api/v1/app/a/msg", BODY, key) == 202


def test_https_only_refuses_http(tmp_path):
    server = Server(tmp_path / "https", POSTHASTE_HTTPS_ONLY="true").prepare()
    assert server.status("POST", "/api/v1/app/a/endpoint", '{"url":"http://example.com/"}') == 422
    server.stop()
