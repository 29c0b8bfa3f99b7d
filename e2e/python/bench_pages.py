"""Measures how long pages take beside many messages: `python e2e/python/bench_pages.py [MESSAGES]`, 5 000 000 if not given.

`posthaste bench` fills the store by the API, each message delivered to a receiver; then a server is started on what it left,
and each page asked for again and again. POSTHASTE_BIN names the binary, which should be a release; BENCH_DIR a directory to
keep the store in: if it holds one, it is not filled again. A row for each page: what it took from the request to the last
byte, over loopback, and what the server says of itself.
"""

import http.client
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

BINARY = os.environ.get("POSTHASTE_BIN", "target/release/posthaste")
TIMES = 20
TARGET_MS = 50


class Server:
    def __init__(self, data_dir):
        command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir", data_dir]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "POSTHASTE_LOG": "warn"})
        for line in self.process.stderr:
            if "listening on " in line:
                self.host = urllib.parse.urlsplit(line.split("listening on ")[1].strip()).netloc
                break
        else:
            sys.exit("the server did not start")
        self.token = (pathlib.Path(data_dir) / "admin-token").read_text().strip()
        self.cookie = ""

    def asks(self, path, method="GET", body=None, headers=()):
        """The answer and what it took, on a connection that is there already."""
        connection = http.client.HTTPConnection(self.host, timeout=120)
        connection.connect()
        began = time.perf_counter()
        connection.request(method, path, body, {"cookie": self.cookie, **dict(headers)})
        answer = connection.getresponse()
        text = answer.read()
        took_ms = (time.perf_counter() - began) * 1000
        connection.close()
        return answer, text, took_ms

    def api(self, path, method="GET", body=None):
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        answer, text, _ = self.asks(path, method, body and json.dumps(body), headers)
        assert answer.status < 300, (path, answer.status, text)
        return json.loads(text)

    def logs_in(self):
        form = urllib.parse.urlencode({"token": self.token})
        answer, _, _ = self.asks("/ui/login", "POST", form, {"content-type": "application/x-www-form-urlencoded"})
        self.cookie = answer.headers["set-cookie"].split(";")[0]


def pages(server):
    (app,) = server.api("/api/v1/app?limit=1")["data"]
    (endpoint,) = server.api(f"/api/v1/app/{app['id']}/endpoint?limit=1")["data"]
    (message,) = server.api(f"/api/v1/app/{app['id']}/msg?limit=1&with_content=false")["data"]
    (attempt,) = server.api(f"/api/v1/app/{app['id']}/attempt/msg/{message['id']}?limit=1")["data"]
    link = server.api(f"/api/v1/auth/app-portal-access/{app['id']}", "POST", {})
    form = urllib.parse.urlencode({"token": link["token"]})
    entered, _, _ = server.asks("/portal/session", "POST", form, {"content-type": "application/x-www-form-urlencoded"})
    home = entered.headers["location"]
    here = f"/ui/apps/{app['id']}"
    of_one = {
        "app": "",
        "messages": "/messages",
        "messages, of a type that is not there": "/messages?event_type=none.such",
        "messages, with a tag that is not there": "/messages?tag=none",
        "messages that failed": "/messages?state=failed",
        "messages, by a field of the payload": "/messages?payload=no.such%3D1",
        "message": f"/messages/{message['id']}",
        "attempt": f"/messages/{message['id']}/attempts/{attempt['id']}",
        "endpoint": f"/endpoints/{endpoint['id']}",
        "endpoint, 30 days": f"/endpoints/{endpoint['id']}?period=30d",
        "endpoint, attempts that failed": f"/endpoints/{endpoint['id']}?status=failed",
    }
    top = ["/ui", "/ui?period=1h", "/ui?period=30d", "/ui/apps", "/ui/endpoints", "/ui/messages", "/ui/sources", "/ui/bins", "/ui/jobs",
           "/ui/event-types", "/ui/tokens", "/ui/settings", "/ui/listeners", "/ui/simulator", "/ui/api"]
    return {
        **{path: path for path in top},
        **{f"app: {name}": here + path for name, path in of_one.items()},
        **{f"portal: {name}": home + path for name, path in of_one.items()},
    }


def own_ms(answer):
    found = re.search(r"dur=([\d.]+)", answer.headers.get("server-timing", ""))
    return float(found[1]) if found else float("nan")


def main():
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    with tempfile.TemporaryDirectory() as fresh:
        data_dir = os.environ.get("BENCH_DIR", fresh)
        if not (pathlib.Path(data_dir) / "admin-token").exists():
            command = [BINARY, "bench", "--messages", str(messages), "--payload", "256", "--concurrency", "256", "--data-dir", data_dir]
            subprocess.run(command, check=True)
        size = sum(file.stat().st_size for file in pathlib.Path(data_dir).iterdir() if file.is_file())
        print(f"{size / 2**30:.1f} GiB in the data directory")
        server = Server(data_dir)
        try:
            server.logs_in()
            print(f"{'page':52} {'status':>6} {'KiB':>6} {'p50 ms':>8} {'max ms':>8} {'server p50':>10}")
            missed = 0
            for name, path in pages(server).items():
                took = [server.asks(path) for _ in range(TIMES)]
                answer, text, _ = took[-1]
                all_ms = [took_ms for _, _, took_ms in took]
                own = statistics.median(own_ms(answer) for answer, _, _ in took)
                middle = statistics.median(all_ms)
                missed += middle > TARGET_MS
                print(f"{name:52} {answer.status:6} {len(text) / 1024:6.1f} {middle:8.1f} {max(all_ms):8.1f} {own:10.1f}", flush=True)
            print(f"{missed} pages took longer than {TARGET_MS} ms")
        finally:
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
