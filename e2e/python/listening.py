"""The vocabulary of the tests of `posthaste listen`: the command as it runs, and the local programs that it forwards to."""

import fcntl
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import termios
import threading

from conftest import DEADLINE_S, REAL_BINARY


class Listen:
    """A running `posthaste listen`: what it prints, and what it says beside."""

    def __init__(self, server, *arguments, env=None):
        settings = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")}
        settings |= {"POSTHASTE_SERVER": server.url, "POSTHASTE_TOKEN": server.token} | (env or {})
        command = [os.path.abspath(REAL_BINARY), "listen", *map(str, arguments)]
        self.process = subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.printed, self.said, self.changed = [], [], threading.Condition()
        self.readers = [
            threading.Thread(target=self.read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.printed), (self.process.stderr, self.said))
        ]
        for reader in self.readers:
            reader.start()

    def read(self, stream, lines):
        for line in stream:
            with self.changed:
                lines.append(line.rstrip("\n"))
                self.changed.notify_all()

    def says(self, text, times=1):
        """Waits until it said this so often, on standard error."""
        with self.changed:
            said = self.changed.wait_for(lambda: sum(text in line for line in self.said) >= times, DEADLINE_S)
            assert said, (text, times, self.said, self.printed[-5:])
        return self

    def prints(self, text, times=1):
        with self.changed:
            printed = self.changed.wait_for(lambda: sum(text in line for line in self.printed) >= times, DEADLINE_S)
            assert printed, (text, times, self.said, self.printed[-5:])
        return self

    def ready(self):
        return self.says("ready")

    def ends(self):
        """Waits until it ends, and returns its exit code."""
        code = self.process.wait(DEADLINE_S)
        for reader in self.readers:
            reader.join(DEADLINE_S)
        return code

    def interrupted(self):
        self.process.send_signal(signal.SIGINT)
        return self.ends()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(DEADLINE_S)


class Raw:
    """A local program that knows bytes only: keeps each request as it was on the wire, and answers 200."""

    def __init__(self, port=0):
        self.requests, self.changed = [], threading.Condition()
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                data = b""
                while b"\r\n\r\n" not in data:
                    data += connection.recv(65536)
                head, _, body = data.partition(b"\r\n\r\n")
                line, *fields = head.split(b"\r\n")
                headers = [tuple(field.split(b": ", 1)) for field in fields]
                length = int(dict(headers).get(b"content-length", b"0"))
                while len(body) < length:
                    body += connection.recv(1 << 20)
                with self.changed:
                    self.requests.append((line, headers, body))
                    self.changed.notify_all()
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")

    def got(self, count):
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.requests) >= count, DEADLINE_S)
            assert came, f"{len(self.requests)} of {count} requests came"
            return list(self.requests)

    def close(self):
        # Whoever waits for a connection hears of it.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Terminal:
    """A terminal of 100 by 30, and what was written on it."""

    def __init__(self):
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.before = termios.tcgetattr(self.theirs)
        self.output, self.changed, self.process = b"", threading.Condition(), None
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE_S)
        os.close(self.theirs)
        self.reader.join(DEADLINE_S)
        os.close(self.ours)

    def read(self):
        while True:
            try:
                some = os.read(self.ours, 65536)
            except OSError:
                return
            with self.changed:
                self.output += some
                self.changed.notify_all()

    def runs(self, *arguments):
        ends = {"stdin": self.theirs, "stdout": self.theirs, "stderr": self.theirs}
        command = [os.path.abspath(REAL_BINARY), *map(str, arguments)]
        self.process = subprocess.Popen(command, env=os.environ | {"TERM": "xterm-256color"}, start_new_session=True, **ends)
        return self.process

    def types(self, keys):
        os.write(self.ours, keys)

    def shows(self, text):
        with self.changed:
            shown = self.changed.wait_for(lambda: text in self.output, DEADLINE_S)
            assert shown, (text, self.output[-3000:])

    def is_usual(self):
        return termios.tcgetattr(self.theirs) == self.before


def until(is_so, within_s=DEADLINE_S, what="it did not become so"):
    """Asks, with a little rest, until it is so."""
    rest = threading.Event()
    for _ in range(int(within_s * 20)):
        if is_so():
            return
        rest.wait(0.05)
    raise AssertionError(what)


def events_of(listen):
    """What it printed as JSON lines."""
    with listen.changed:
        return [json.loads(line) for line in listen.printed]
