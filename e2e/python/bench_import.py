"""How fast a store moves to PostgreSQL, and in how much memory: fills one, imports it, checks it again.

    POSTHASTE_BIN=… python e2e/python/bench_import.py [MESSAGES [PAYLOAD_BYTES]]
"""

import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import time

from cluster import Cluster
from conftest import BINARY, Posthaste, Receiver
from inbound import made

EPOCH_S = 1_400_000_000
DAYS_US = 10 * 86_400_000_000


def ident(micros):
    """An id of that time, as crates/posthaste-core/src/id.rs makes them."""
    secs, within = divmod(micros, 1_000_000)
    steps, rest = divmod(within, 4_000)
    head = (secs - EPOCH_S).to_bytes(4, "big") + bytes([steps]) + (rest * 65_536 // 4_000).to_bytes(2, "big")
    return head + os.urandom(13)


def fill(data_dir, count, payload):
    """One message that was delivered, and as many like it, over the last days."""
    receiver = Receiver()
    server = Posthaste(data_dir)
    made(server, "/api/v1/app", {"name": "A", "uid": "a"})
    made(server, "/api/v1/app/a/endpoint", {"url": receiver.url})
    made(server, "/api/v1/app/a/msg", {"eventType": "a.b", "payload": {}})
    receiver.got(1)
    server.stop()
    receiver.close()
    with sqlite3.connect(data_dir / "posthaste.db") as store:
        store.row_factory = sqlite3.Row
        first = {table: dict(store.execute(f"SELECT * FROM {table}").fetchone()) for table in ("message", "delivery", "attempt")}

        def put(table, **changes):
            row = first[table] | changes
            store.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))

        for number in range(count):
            at = first["message"]["created_at"] - DAYS_US + number * (DAYS_US // count)
            message, body = ident(at), number + 10
            store.execute("INSERT INTO body (id, bytes) VALUES (?, ?)", (body, os.urandom(payload)))
            put("message", id=message, created_at=at, body=body)
            put("delivery", message=message)
            put("attempt", message=message, id=ident(at), started_at=at)


def measure(source, url, *options):
    env = dict(os.environ) | {"POSTHASTE_MAIN_SECRET": "another", "POSTHASTE_DATABASE_URL": url, "POSTHASTE_LOG": "warn"}
    began = time.monotonic()
    process = subprocess.Popen([BINARY, "import", "--from", f"sqlite:{source}", *options], env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"it ended with {os.waitstatus_to_exitcode(status)}"
    passed, cpu = time.monotonic() - began, usage.ru_utime + usage.ru_stime
    print(f"{' '.join(options) or 'import'}: {passed:.1f} s, {cpu:.1f} s of CPU, {usage.ru_maxrss >> 10} MiB at most", flush=True)


if __name__ == "__main__":
    messages, payload_bytes = (int(number) for number in (sys.argv[1:] + ["100000", "1024"][len(sys.argv) - 1 :]))
    cluster = Cluster()
    with tempfile.TemporaryDirectory() as work:
        fill(pathlib.Path(work) / "data", messages, payload_bytes)
        url = cluster.new_database()
        measure(pathlib.Path(work) / "data", url)
        measure(pathlib.Path(work) / "data", url, "--check")
    cluster.close()
