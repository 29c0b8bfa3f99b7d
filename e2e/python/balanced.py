"""Load over several nodes, as behind a load balancer: clients go on with another node when one refuses them."""

import collections
import http.client
import itertools
import json
import threading
import time
import urllib.parse

from conftest import BINARY, DEADLINE_S, Posthaste, Receiver


class Arrivals(Receiver):
    """Remembers which messages came, how often, and when."""

    def __init__(self):
        super().__init__()
        self.counts, self.at = collections.Counter(), []

    def remember(self, request, body):
        self.counts[request.headers["webhook-id"]] += 1
        self.at.append(time.monotonic())

    def saw(self, ids, within_s=DEADLINE_S):
        """Waits until all of these came."""
        with self.changed:
            came = self.changed.wait_for(lambda: ids <= self.counts.keys(), within_s)
            missing = len(ids - self.counts.keys())
            assert came, f"{missing} of {len(ids)} accepted messages did not come within {within_s} s"

    def repeated(self):
        with self.changed:
            return {message: count for message, count in self.counts.items() if count > 1}

    def longest_pause_s(self):
        with self.changed:
            pauses = [after - before for before, after in itertools.pairwise(self.at)]
        return max(pauses, default=0)


class Balancer:
    """Clients that send without a pause; what is answered 202 is remembered, and so is what no caller should see."""

    def __init__(self, *nodes, clients=4, payload_bytes=512):
        self.nodes, self.token = list(nodes), nodes[0].token
        self.acked, self.odd, self.refused = set(), [], collections.Counter()
        self.changed, self.stopped = threading.Condition(), threading.Event()
        self.body = json.dumps({"eventType": "a.b", "payload": {"x": "y" * payload_bytes}})
        self.clients = [threading.Thread(target=self.send, args=(n,), daemon=True) for n in range(clients)]
        for client in self.clients:
            client.start()

    def adds(self, node):
        with self.changed:
            self.nodes.append(node)

    def forgets(self, node):
        with self.changed:
            self.nodes.remove(node)

    def send(self, number):
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        connections = {}
        for turn in itertools.count(number):
            if self.stopped.is_set():
                return
            with self.changed:
                node = self.nodes[turn % len(self.nodes)]
            address = urllib.parse.urlsplit(node.url).netloc
            if address not in connections:
                connections[address] = http.client.HTTPConnection(address, timeout=DEADLINE_S)
            try:
                connections[address].request("POST", "/api/v1/app/a/msg", self.body, headers)
                answer = connections[address].getresponse()
                sent = json.loads(answer.read())
            except (OSError, http.client.HTTPException):
                # A node that leaves closes its connections: the next turn is another one's.
                connections.pop(address).close()
                continue
            with self.changed:
                if answer.status == 202:
                    self.acked.add(sent["id"])
                elif answer.status == 503:
                    self.refused[address] += 1
                else:
                    self.odd.append((answer.status, sent))
                self.changed.notify_all()

    def got(self, count, within_s=DEADLINE_S):
        """Waits until so many more were accepted."""
        with self.changed:
            wanted = len(self.acked) + count
            came = self.changed.wait_for(lambda: len(self.acked) >= wanted, within_s)
            assert came, f"{len(self.acked)} of {wanted} messages were accepted within {within_s} s"

    def ended(self):
        """Stops, and returns what was accepted."""
        self.stopped.set()
        for client in self.clients:
            client.join(DEADLINE_S)
            assert not client.is_alive()
        assert self.odd == []
        return set(self.acked)


class Nodes:
    """Nodes of one database, all with the first one's token."""

    def __init__(self, directory, url, **settings):
        self.directory, self.started, self.token = directory, [], None
        shared = {"POSTHASTE_MAIN_SECRET": "the secret of all nodes", "POSTHASTE_DATABASE_URL": url}
        self.settings = shared | settings

    def start(self, binary=BINARY, **settings):
        data_dir = self.directory / f"node-{len(self.started)}"
        data_dir.mkdir()
        if self.token:
            (data_dir / "admin-token").write_text(self.token)
        node = Posthaste(data_dir, binary, **self.settings | settings)
        self.token = node.token
        self.started.append(node)
        return node

    def close(self):
        for node in self.started:
            if node.process.poll() is None:
                node.kill()
