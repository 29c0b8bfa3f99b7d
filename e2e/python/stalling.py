"""A way to PostgreSQL that can stall: it goes on taking what comes, and lets nothing through until it flows again."""

import socket
import threading


class Stalling:
    """Listens on loopback and leads to a socket in the file system."""

    def __init__(self, path):
        self.path, self.flowing = path, threading.Event()
        self.flowing.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self, database):
        return f"postgres://postgres@127.0.0.1:{self.listener.getsockname()[1]}/{database}"

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.path)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.lead, args=(one, other), daemon=True).start()

    def lead(self, source, target):
        try:
            while data := source.recv(1 << 16):
                self.flowing.wait()
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stalls(self):
        self.flowing.clear()

    def flows(self):
        self.flowing.set()

    def close(self):
        self.flows()
        self.listener.close()
