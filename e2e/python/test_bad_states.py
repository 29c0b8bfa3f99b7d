"""Bad requests that need a state, a race or a wrong disk before them, and what they must leave behind."""

import concurrent.futures
import json
import resource
import signal
import subprocess
import time

import pytest

import conftest
from conftest import DEADLINE_S, NODES, embedded_only
from test_raw_requests import BODY, Server, head

# Nobody is there.
DEAD = "http://127.0.0.2:65535/"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("states"), POSTHASTE_RETRY_SCHEDULE="1h").prepare()
    yield server
    server.stop()


def made(server, path, **body):
    status, answer = server.json("POST", path, json.dumps(body))
    assert status in (201, 202), answer
    return answer


def asked_until(ask, done):
    """Asks again and again until the answer is as it should be."""
    deadline = time.monotonic() + DEADLINE_S
    while not done(answer := ask()):
        assert time.monotonic() < deadline, answer
    return answer


def destinations(server, app, message):
    return server.json("GET", f"/api/v1/app/{app}/msg/{message}/endpoint")[1]["data"]


def test_a_request_that_names_no_host_is_refused(server):
    request = f"GET /api/v1/app HTTP/1.1\r\nauthorization: Bearer {server.token}\r\nconnection: close\r\n\r\n"
    status, answer = server.raw(request.encode())
    assert status == 400
    assert "host" in answer


def test_a_length_beside_a_coding_is_read_one_way_and_ends_the_connection(server):
    chunked = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"
    second = head(server.token, "content-length: 2") + b"{}"
    before = server.messages()
    lines = ["content-length: 5", "transfer-encoding: chunked", "content-type: application/json"]
    request = head(server.token, *lines).replace(b"connection: close\r\n", b"")
    status, answer = server.raw(request + chunked.encode() + second)
    assert status in (202, 400)
    assert answer.count("HTTP/1.1 ") == 1, answer
    assert server.messages() - before == (1 if status == 202 else 0)


def test_chunks_that_are_all_extension_are_cut_off(server):
    before = server.messages()
    chunk = b"1;x=" + b"e" * 8192 + b"\r\n \r\n"
    request = head(server.token, "transfer-encoding: chunked") + chunk * 200
    assert server.raw(request)[0] in (0, 400, 413)
    assert server.messages() == before
    assert server.status("GET", "/livez") == 200


def test_a_hundred_thousand_keys_are_too_many_bytes_and_fewer_are_taken_at_once(server):
    def body(keys):
        payload = ",".join(f'"key-{n}":{n}' for n in range(keys))
        return f'{{"eventType":"a.b","payload":{{{payload}}}}}'

    before = server.messages()
    status, answer = server.ask("POST", "/api/v1/app/a/msg", body(100_000))
    assert status == 413 and "size" in answer
    assert server.messages() == before
    began = time.monotonic()
    assert server.status("POST", "/api/v1/app/a/msg", body(15_000)) == 202
    assert time.monotonic() - began < 5


def test_there_is_no_batch_to_be_half_taken(server):
    before = server.messages()
    for body in ("[]", f"[{BODY},{{}},{BODY}]"):
        assert server.status("POST", "/api/v1/app/a/msg/batch", body) == 405
    assert server.messages() == before


def test_what_waits_for_an_endpoint_that_is_deleted_ends_at_its_time_and_is_not_sent(tmp_path, receiver):
    server = Server(tmp_path / "deleted", POSTHASTE_RETRY_SCHEDULE="2s").prepare()
    receiver.answers_with(500)
    endpoint = made(server, "/api/v1/app/a/endpoint", url=receiver.url)
    message = made(server, "/api/v1/app/a/msg", eventType="a.b", payload={})
    attempts = f"/api/v1/app/a/attempt/msg/{message['id']}"
    asked_until(lambda: server.json("GET", attempts)[1]["data"], lambda rows: len(rows) == 1)
    assert server.status("DELETE", f"/api/v1/app/a/endpoint/{endpoint['id']}") == 204
    asked = lambda: [row for row in destinations(server, "a", message["id"]) if row["id"] == endpoint["id"]]
    (ended,) = asked_until(asked, lambda rows: rows[0]["statusText"] not in ("pending", "sending"))
    assert (ended["statusText"], ended["nextAttempt"], ended["reason"]) == ("fail", None, "endpoint_deleted")
    assert len(receiver.requests) == 1
    assert server.status("POST", f"/api/v1/app/a/msg/{message['id']}/endpoint/{endpoint['id']}/resend") == 404
    server.stop()


def test_an_endpoint_keeps_its_filter_when_the_event_type_is_deleted(server):
    server.status("POST", "/api/v1/app", '{"name":"C","uid":"c"}')
    made(server, "/api/v1/event-type", name="c.wanted", description="")
    endpoint = made(server, "/api/v1/app/c/endpoint", url=DEAD, filterTypes=["c.wanted"])
    for expunge in ("", "?expunge=true"):
        assert server.status("DELETE", f"/api/v1/event-type/c.wanted{expunge}") in (204, 404)
        _, kept = server.json("GET", f"/api/v1/app/c/endpoint/{endpoint['id']}")
        assert kept["filterTypes"] == ["c.wanted"]
        message = made(server, "/api/v1/app/c/msg", eventType="c.other", payload={})
        assert destinations(server, "c", message["id"]) == []


def test_a_raw_payload_is_no_way_around_the_limit(server):
    before = server.messages()
    for size, statuses in ((2 << 20, {413}), (300_000, {422})):
        body = {"eventType": "a.b", "payload": {}, "transformationsParams": {"rawPayload": "x" * size}}
        status, answer = server.ask("POST", "/api/v1/app/a/msg", json.dumps(body))
        assert status in statuses
        assert "rawPayload" in answer or "size" in answer
    assert server.messages() == before


def test_an_iterator_of_another_tenant_is_a_position_and_shows_nothing_of_theirs(server):
    mine, server.token = server.token, server.new_token("others")
    try:
        server.status("POST", "/api/v1/app", '{"name":"T","uid":"t"}')
        theirs = made(server, "/api/v1/app/t/msg", eventType="a.theirs", payload={})
    finally:
        server.token = mine
    message = made(server, "/api/v1/app/a/msg", eventType="a.mine", payload={})
    status, page = server.json("GET", f"/api/v1/app/a/msg?iterator=-{theirs['id']}")
    assert status == 200
    assert message["id"] in [row["id"] for row in page["data"]]
    assert theirs["id"] not in json.dumps(page)
    assert "a.theirs" not in json.dumps(page)


def walked(server, path):
    """The ids of a whole list, page by page."""
    seen, iterator = [], ""
    while True:
        _, page = server.json("GET", f"{path}?limit=10{iterator}")
        seen += [row["id"] for row in page["data"]]
        if page["done"]:
            return seen
        iterator = f"&iterator={page['iterator']}"


def test_whoever_pages_while_others_come_and_go_sees_every_row_that_stayed_once(server):
    server.status("POST", "/api/v1/app", '{"name":"P","uid":"p"}')
    path = "/api/v1/app/p/endpoint"
    stay = {made(server, path, url=DEAD, disabled=True)["id"] for _ in range(35)}

    def come_and_go():
        for _ in range(60):
            endpoint = made(server, path, url=DEAD, disabled=True)
            assert server.status("DELETE", f"{path}/{endpoint['id']}") == 204

    walks = 0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        others = pool.submit(come_and_go)
        while walks < 3 or not others.done():
            seen = walked(server, path)
            assert len(seen) == len(set(seen))
            assert stay <= set(seen)
            walks += 1
        others.result()


def test_a_page_that_a_receiver_answered_with_is_shown_as_text_in_json(server, receiver):
    server.status("POST", "/api/v1/app", '{"name":"H","uid":"h"}')
    receiver.answers_with(500)
    made(server, "/api/v1/app/h/endpoint", url=receiver.url)
    message = made(server, "/api/v1/app/h/msg", eventType="a.b", payload={"a": "<script>alert(1)</script>"})
    path = f"/api/v1/app/h/attempt/msg/{message['id']}"
    asked_until(lambda: server.json("GET", path)[1]["data"], len)
    for shown in (path, f"/api/v1/app/h/msg/{message['id']}"):
        _, answer = server.ask("GET", shown)
        headers = answer.split("\r\n\r\n", 1)[0].lower()
        assert "content-type: application/json" in headers
        assert "text/html" not in headers
        assert "x-content-type-options: nosniff" in headers


def test_whoever_guesses_tokens_is_soon_refused_unheard(tmp_path):
    server = Server(tmp_path / "guessed").prepare()
    good = server.token

    def guess(number):
        server.token = f"phk_{number:064x}"
        return server.ask("GET", "/api/v1/app")

    # Each node counts what it hears.
    answers = [guess(number) for number in range(200 * NODES)]
    assert {status for status, _ in answers} == {401, 429}
    assert all("retry-after: " in answer.lower() for status, answer in answers if status == 429)
    server.token = good
    assert server.status("GET", "/api/v1/app") == 200, "who holds a token is heard all the same"
    server.stop()


def test_more_than_its_rate_is_refused_to_a_token_and_nothing_of_it_is_done(tmp_path, receiver):
    server = Server(tmp_path / "rate").prepare()
    made(server, "/api/v1/app/a/endpoint", url=receiver.url, uid="r")
    message = made(server, "/api/v1/app/a/msg", eventType="a.b", payload={})["id"]
    server.stop()
    server = Server(server.data_dir, POSTHASTE_TOKEN_RATE="20")
    storms = ((f"/api/v1/app/a/msg/{message}/endpoint/r/resend", ""), ("/api/v1/app/a/msg", BODY))
    taken = {}
    for path, body in storms:
        answers = [server.ask("POST", path, body) for _ in range(200)]
        assert {status for status, _ in answers} <= {202, 409, 429}
        refused = [answer for status, answer in answers if status == 429]
        assert refused and all("retry-after: " in answer.lower() for answer in refused)
        taken[path] = sum(status == 202 for status, _ in answers)
    server.stop()
    server = Server(server.data_dir)
    messages = server.json("GET", "/api/v1/app/a/msg?limit=250")[1]["data"]
    assert len(messages) == 1 + taken["/api/v1/app/a/msg"]
    server.stop()


class OnAFullDisk(Server):
    """A server whose files may grow by this many bytes and no more: beyond it a write fails, as on a full disk."""

    ROOM = 256 * 1024

    def start(self):
        largest = max((file.stat().st_size for file in self.data_dir.glob("posthaste.db*")), default=0)
        real = subprocess.Popen

        def limited(*arguments, **options):
            process = real(*arguments, restore_signals=False, **options)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest + self.ROOM,) * 2)
            return process

        assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN, "a write over the limit must fail, not kill"
        conftest.subprocess.Popen = limited
        try:
            super().start()
        finally:
            conftest.subprocess.Popen = real


@embedded_only("the disk below the embedded file")
def test_a_full_disk_is_503_with_a_time_to_come_back_and_takes_nothing(tmp_path):
    server = Server(tmp_path / "full").prepare()
    server.stop()
    server = OnAFullDisk(server.data_dir)
    body = json.dumps({"eventType": "a.b", "payload": {"a": "x" * 20_000}})
    taken, answer = 0, ""
    for _ in range(100):
        status, answer = server.ask("POST", "/api/v1/app/a/msg", body)
        if status != 202:
            break
        taken += 1
    assert status == 503, answer
    assert "retry-after: " in answer.lower() and "unavailable" in answer
    assert server.status("GET", "/livez") == 200
    assert server.messages() == taken
    server.kill()
    there_again = Server(server.data_dir)
    assert there_again.messages() == taken, "what was answered 202 is there, and nothing else"
    assert there_again.status("POST", "/api/v1/app/a/msg", body) == 202
    there_again.stop()
