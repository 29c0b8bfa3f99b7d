"""What receivers and providers say can break no answer, no log line, no metric and no terminal of ours."""

import json
import re
import socket
import subprocess
import threading

import pytest

from conftest import BINARY, DEADLINE_S, Posthaste
from test_targets import attempts, client

MARK = "h0stile"
FORGED = "2026-01-01T00:00:00.000000Z ERROR h0stile forged"


def head(extra, body=b"ok", status=b"200 OK"):
    return b"HTTP/1.1 " + status + b"\r\n" + extra + b"content-length: %d\r\n\r\n" % len(body) + body


# Answers, byte for byte.
ANSWERS = {
    "a line break in the body": head(b"", f"{MARK}\r\n{FORGED}\n".encode()),
    "NUL and controls in the body": head(b"", MARK.encode() + bytes(range(32)) + b"\x7f\x80\x9b"),
    "escapes for a terminal": head(b"", b"\x1b[2J\x1b]0;h0stile\x07\x1b[31m"),
    "no UTF-8": head(b"", MARK.encode() + b"\xff\xfe\xc3\x28\xed\xa0\x80"),
    "markup": head(b"content-type: text/html\r\n", b"</script><script>alert('h0stile')</script><img src=x onerror=h0stile>"),
    "marks of direction": head(b"", "h0stile\u202egnp.exe\u2066\u2028\u2029".encode()),
    "JSON that ends ours": head(b"", b'h0stile"}],"data":[{"id":"forged"'),
    "a header with controls": head(b"x-h0stile: a\x1b[31mb\x01\r\n"),
    "a header with obs-text": head(b"x-h0stile: \xff\xfe\r\n"),
    "a header with a lone CR": head(b"x-a: h0stile\rx-b: 1\r\n"),
    "a folded header": head(b"x-a: h0stile\r\n " + FORGED.encode() + b"\r\n"),
    "a reason with an escape": head(b"", status=b"200 \x1b[31mh0stile"),
    "64 KiB of headers": head(b"".join(b"x-h0stile-%d: %s\r\n" % (n, b"v" * 1000) for n in range(64))),
    "one header of 64 KiB": head(b"x-h0stile: " + b"v" * 65536 + b"\r\n"),
    "a status that is none": head(b"", status=b"999999 h0stile"),
    "no HTTP": b"\x1b[31mh0stile\r\n" + FORGED.encode() + b"\r\n\r\n",
    "a redirect that breaks the line": head(b"location: http://x/\x1b[31mh0stile\r\n", status=b"302 Found"),
    "a wait that is none": head(b"retry-after: h0stile\x1b[31m, 9999999999999999\r\n", status=b"503 No"),
}


class Hostile:
    """Answers each request with the next bytes, and closes."""

    def __init__(self, answers):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        threading.Thread(target=self._serve, args=(list(answers),), daemon=True).start()

    def _serve(self, answers):
        for answer in answers:
            try:
                connection, _ = self.listener.accept()
                connection.settimeout(DEADLINE_S)
                connection.recv(65536)
                connection.sendall(answer)
                connection.close()
            except OSError:
                return


def steers(text):
    """Whether a text would steer a terminal."""
    return re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", text) is not None


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_answer_of_a_receiver_breaks_an_answer_a_log_line_or_a_metric(tmp_path, log_format):
    posthaste = Posthaste(tmp_path, POSTHASTE_RETRY_SCHEDULE="", POSTHASTE_LOG="trace", POSTHASTE_LOG_FORMAT=log_format)
    ask = client(posthaste)
    ask("POST", "/api/v1/app", {"name": "A", "uid": "a"})
    hostile = Hostile(ANSWERS.values())
    ask("POST", "/api/v1/app/a/endpoint", {"url": hostile.url, "uid": "e"})
    for name in ANSWERS:
        message = ask("POST", "/api/v1/app/a/msg", {"eventType": "a.b", "payload": {}})[1]["id"]
        [attempt] = attempts(ask, "a", message, 1)
        # It was read as JSON, and means what it should: one attempt, of this message, with these fields.
        assert attempt["msgId"] == message and attempt["id"].startswith("atmpt_"), name
        assert not {"forged", "x-h0stile"} & set(attempt), name
    metrics = ask("GET", "/metrics")[1]
    assert MARK not in metrics
    for line in metrics.splitlines():
        assert re.fullmatch(r'# .*|[a-z_]+(\{([a-z]+="[^"\n]*",?)+\})? [0-9.e+-]+', line), line
    posthaste.stop()
    lines = [line.rstrip("\n") for line in posthaste.said]
    begun = next(n for n, line in enumerate(lines) if "listening on" in line)
    for line in lines[begun + 1 :]:
        assert not steers(line), line
        if log_format == "json":
            assert json.loads(line)["level"], line
        else:
            assert re.match(r"\d{4}-\d\d-\d\dT\S+ +(TRACE|DEBUG|INFO|WARN|ERROR) ", line), line
            assert not line.startswith("2026-01-01T00:00:00.000000Z ERROR"), line


def test_what_comes_to_a_bin_steers_no_terminal(tmp_path):
    command = [BINARY, "dev", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        for line in process.stderr:
            if b"Your bin" in line:
                url = line.split()[2].decode()
                break
        assert b"signature ok" in next(line for line in process.stdout if b"signature ok" in line)
        host, port = re.fullmatch(r"http://([^:/]+):(\d+)/in/\w+", url).groups()
        bodies = [
            b"\x1b[2J\x1b]0;h0stile\x07",
            "h0stile\u202egnp.exe".encode(),
            b"h0stile\xff\xfe\x9b31m",
            b"h0stile\r\x0b\x0c\x85",
        ]
        for body in bodies:
            with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as connection:
                head = f"POST {url[url.index('/in/'):]} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        shown = []
        for line in process.stdout:
            text = line.decode().rstrip("\n")
            if "← POST hello" in text:
                assert not steers(text), text
                shown.append(text)
            if len([line for line in shown if MARK in line]) == len(bodies):
                break
        assert any("\\u{1b}[2J" in line for line in shown) and any("\\u{202e}" in line for line in shown), shown
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
