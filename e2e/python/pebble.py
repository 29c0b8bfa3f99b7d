"""An authority for tests: Pebble on private ports of this machine, and a name server that knows every name."""

import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

from ports import free_port

DEADLINE_S = 20
BINARY = os.environ.get("PEBBLE_BIN") or shutil.which("pebble")


class NameServer:
    """Every name is 127.0.0.1, and has no other record."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                query, asker = self.socket.recvfrom(4096)
            except OSError:
                return
            end = query.index(b"\0", 12) + 5
            question = query[12:end]
            is_a = question[-4:-2] == b"\0\1"
            head = query[:2] + b"\x84\x00" + b"\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1" if is_a else b""
            self.socket.sendto(head + question + answer, asker)

    def close(self):
        self.socket.close()


class Pebble:
    """A running authority. Its own HTTPS is certified by `ca`; it looks for proofs at `proof_port`."""

    def __init__(self, directory, ca, life_s=90 * 24 * 3600):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        self.names = NameServer()
        self.proof_port, self.port, self.management_port = free_port(), free_port(), free_port()
        self.root_file = ca.root
        certificate, key = ca.issue("pebble", names=("localhost",))
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(certificate),
            "privateKey": str(key),
            "httpPort": free_port(),
            "tlsPort": self.proof_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "certificateValidityPeriod": life_s,
        }
        (self.directory / "pebble.json").write_text(json.dumps({"pebble": config}))
        self.url = f"https://localhost:{self.port}/dir"
        self.trust = ca.trust()
        self.start()

    def start(self):
        env = dict(os.environ, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="5")
        command = [BINARY, "-config", self.directory / "pebble.json", "-dnsserver", self.names.address]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                self._get(self.url)
                return
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, "pebble ended: " + self.log()
                assert time.monotonic() < deadline, "pebble does not answer"
                time.sleep(0.05)

    def log(self):
        return (self.directory / "log").read_text()

    def _get(self, url):
        with urllib.request.urlopen(url, context=self.trust, timeout=DEADLINE_S) as answer:
            return answer.read().decode()

    def issued_by_it(self):
        """A client that trusts what this authority issues, and nothing else."""
        root = self._get(f"https://localhost:{self.management_port}/roots/0")
        return ssl.create_default_context(cadata=root)

    def stop(self):
        self.process.terminate()
        self.process.wait(DEADLINE_S)

    def close(self):
        if self.process.poll() is None:
            self.stop()
        self.names.close()
