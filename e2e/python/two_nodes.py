#!/usr/bin/env -S python3 -SE
"""Looks like the binary and is two of it: whatever is asked of one server is asked of two nodes over one PostgreSQL.

As a program in the binary's place (the environment says which binary and which cluster):

- `serve` starts two nodes on a database of the data directory's own, and before them a balancer that gives each connection
  to the next node. Signals go to both; both end with this process.
- Commands with a data directory are asked about its database; all others are the binary's own.

`two_nodes.py run postgres|pooled COMMAND…` starts a cluster and runs a command over it: the tests, of whichever language.
"""

import itertools
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import zlib

NODES = 2
MAIN_SECRET = "the secret of all nodes"
# What the tests' harnesses say of what they run on.
STORE, REAL, CLUSTER, PORT = "POSTHASTE_TEST_STORE", "TWO_NODES_BINARY", "TWO_NODES_CLUSTER", "TWO_NODES_PORT"
TEMPLATE = "posthaste"
CHUNK = 65536
# A request whose client would send the next one on the same connection. Only libraries say who they are; what a test
# writes byte by byte stays as it is.
KEPT_ALIVE = re.compile(rb"[A-Z]+ \S+ HTTP/1\.1(?=.*\r\nuser-agent:)(?!.*\r\nconnection: *(close|upgrade))", re.I | re.S)


def option(arguments, name):
    """The value of a flag, if it is there."""
    for given, value in itertools.pairwise([*arguments, ""]):
        if given == name:
            return value
        if given.startswith(name + "="):
            return given[len(name) + 1 :]
    return None


def data_dir_of(arguments):
    return option(arguments, "--data-dir") or os.environ.get("POSTHASTE_DATA_DIR")


def database_of(data_dir):
    """The name of the database that stands for a data directory."""
    path = os.path.realpath(data_dir).encode()
    return f"e2e_{zlib.crc32(path):08x}_{zlib.adler32(path):08x}"


def as_postgres(command):
    """PostgreSQL's programs refuse to run as root: then its own user runs them."""
    if os.getuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", *command]


def psql(database, *statements):
    """Runs statements, each on its own, and returns what they printed."""
    commands = [part for sql in statements for part in ("-c", sql)]
    command = ["psql", "-qXAt", "-h", os.environ[CLUSTER], "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run([*command, *commands], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"two_nodes.py: psql: {done.stderr.strip()}")
    return done.stdout


def url_of(data_dir):
    """The URL of a data directory's database, which is made if it is not there."""
    database = database_of(data_dir)
    try:
        os.mkdir(os.path.join(os.environ[CLUSTER], "databases", database))
        psql("postgres", f"CREATE DATABASE {database} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    except FileExistsError:
        pass
    place = os.environ[CLUSTER].replace("/", "%2F")
    return f"postgres://postgres@{place}:{os.environ[PORT]}/{database}"


def with_database(data_dir):
    """Our environment with what a node needs for a data directory's database."""
    env = os.environ | {"POSTHASTE_DATABASE_URL": url_of(data_dir)}
    if "POSTHASTE_MAIN_SECRET_FILE" not in env:
        env.setdefault("POSTHASTE_MAIN_SECRET", MAIN_SECRET)
    return env


def tables(data_dir, *apart):
    """What every table of a data directory's database holds, but for some of them, as text."""
    # One statement, so that it is one moment.
    rows = "query_to_xml(format('SELECT * FROM %I t ORDER BY t::text', tablename), true, true, '')"
    names = ", ".join(f"'{name}'" for name in apart)
    sql = f"SELECT json_object_agg(tablename, {rows}) FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ({names})"
    return json.loads(psql(database_of(data_dir), sql))


def places(data_dir):
    """Where the nodes and the database of a data directory keep their files."""
    database = database_of(data_dir)
    sql = "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()"
    written = psql(database, "CHECKPOINT", sql).strip()
    return [pathlib.Path(written), *(second_dir(data_dir, number) for number in range(1, NODES))]


def second_dir(data_dir, number):
    """The data directory of a node beside the first."""
    return pathlib.Path(os.environ[CLUSTER], f"{database_of(data_dir)}-{number}")


class Node:
    """One real server, whose words are ours, but for where it listens."""

    def __init__(self, arguments, env):
        # It ends with us, even if we are killed.
        command = ["setpriv", "--pdeathsig", "KILL", "--", os.environ[REAL], "serve", *arguments]
        self.process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
        self.address = None
        for line in self.process.stderr:
            if b"listening on " in line:
                self.announced = line.decode()
                host, port = re.search(r"listening on \w+://(\S+):(\d+)", self.announced).groups()
                self.address = host, int(port)
                break
            say(line)
        threading.Thread(target=self.pass_on, daemon=True).start()

    def pass_on(self):
        for line in self.process.stderr:
            say(line)


def say(line):
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()


def without(arguments, *names):
    """The arguments without some flags and their values."""
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in names:
            skip = True
        elif not argument.startswith(tuple(f"{name}=" for name in names)):
            kept.append(argument)
    return kept


def listen_at(address):
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=1024)


class Balancer:
    """Gives each connection to the next node, or to another if that one does not listen, and reads nothing of it."""

    def __init__(self, listener, nodes):
        self.listener, self.nodes, self.turn = listener, nodes, itertools.count()

    def run(self):
        while True:
            client, peer = self.listener.accept()
            threading.Thread(target=self.serve, args=(client, peer), daemon=True).start()

    def serve(self, client, peer):
        first = next(self.turn)
        for number in range(NODES):
            try:
                # From the address of whoever asks, which nodes look at.
                address = self.nodes[(first + number) % NODES].address
                node = socket.create_connection(address, source_address=(peer[0], 0))
                break
            except OSError:
                continue
        else:
            client.close()
            return
        for end in (client, node):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=answer, args=(node, client), daemon=True)
        back.start()
        ask(client, node)
        back.join()
        client.close()
        node.close()


def one_request(data):
    """Asks for an end after the first request, so that a client that keeps its connection meets all nodes in turn."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end or not KEPT_ALIVE.match(head):
        return data
    return head + b"\r\nconnection: close" + end + rest


def ask(client, node):
    """Moves what the client sends. A node that has heard enough answers and closes: the rest goes nowhere."""
    change, listens = one_request, True
    try:
        while data := client.recv(CHUNK):
            if listens:
                try:
                    node.sendall(change(data))
                except OSError:
                    listens = False
            change = bytes
        node.shutdown(socket.SHUT_WR)
    except OSError:
        # Nobody waits for an answer.
        hang_up(node)


def answer(node, client):
    """Moves what the node sends, and ends when it does."""
    try:
        while data := node.recv(CHUNK):
            client.sendall(data)
    except OSError:
        pass
    try:
        client.shutdown(socket.SHUT_WR)
    except OSError:
        hang_up(client)


def hang_up(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def serve(arguments):
    """Runs nodes and the balancer until they end, and returns the code to end with."""
    data_dir = data_dir_of(arguments)
    listen = option(arguments, "--listen") or os.environ.get("POSTHASTE_LISTEN", "127.0.0.1:8071")
    try:
        listener = listen_at(listen)
    except (OSError, ValueError):
        # The binary says what is wrong with it.
        return subprocess.call([os.environ[REAL], "serve", *arguments])
    port = listener.getsockname()[1]
    env = with_database(data_dir) | {"POSTHASTE_LISTEN": "127.0.0.1:0"}
    scheme = "https" if "POSTHASTE_TLS_CERTIFICATE_FILE" in env else "http"
    url = f"{scheme}://localhost:{port}"
    # Nodes cannot know where the balancer listens. By name: the address is also the receivers'.
    env.setdefault("POSTHASTE_PUBLIC_URL", url)
    arguments = without(arguments, "--listen", "--data-dir")
    nodes = []
    for number in range(NODES):
        place = second_dir(data_dir, number) if number else data_dir
        node = Node([*arguments, "--data-dir", str(place)], env)
        nodes.append(node)
        if node.address is None:
            for other in nodes[:-1]:
                other.process.kill()
            return node.process.wait()
    heard, hears = os.pipe()
    os.set_blocking(hears, False)
    signal.set_wakeup_fd(hears)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    threading.Thread(target=pass_signals_on, args=(heard, nodes), daemon=True).start()
    threading.Thread(target=Balancer(listener, nodes).run, daemon=True).start()
    threading.Thread(target=leave_with_the_cluster, daemon=True).start()
    announced = re.sub(r"listening on \S+", f"listening on {url}", nodes[0].announced)
    say(announced.encode())
    return max(node.process.wait() for node in nodes)


def pass_signals_on(heard, nodes):
    """In a thread of its own: a handler in Python would wait for the main thread, which waits for the nodes."""
    while number := os.read(heard, 1):
        for node in nodes:
            node.process.send_signal(number[0])


def leave_with_the_cluster():
    """Whoever started us and forgot to end us has ended, and its cluster with it."""
    while os.path.exists(os.environ[CLUSTER]):
        threading.Event().wait(1)
    os._exit(1)


def pass_through(arguments):
    """A command on the database that stands for its data directory, or one that knows no store."""
    data_dir = data_dir_of(arguments)
    if data_dir and "--database-url" not in arguments:
        os.environ.update(with_database(data_dir))
    os.execv(os.environ[REAL], [os.environ[REAL], *arguments])


def run(store, command):
    """Runs a command with a cluster of its own, which it finds by the environment."""
    from cluster import SessionCluster

    cluster = SessionCluster(os.environ.get("POSTHASTE_BIN", "target/debug/posthaste"), store)
    try:
        return subprocess.call(command, env=os.environ | cluster.environment)
    finally:
        cluster.close()


def main(arguments):
    if arguments[:1] == ["run"]:
        return run(arguments[1], arguments[2:])
    command, rest = (arguments or [""])[0], arguments[1:]
    urls = {"POSTHASTE_DATABASE_URL", "POSTHASTE_DATABASE_URL_FILE"}
    if urls & set(os.environ) or option(rest, "--database-url"):
        # A test that chose its database means one node.
        os.execv(os.environ[REAL], [os.environ[REAL], *arguments])
    if command == "serve" and data_dir_of(rest):
        return serve(rest)
    pass_through(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
