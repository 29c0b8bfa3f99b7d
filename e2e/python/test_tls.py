"""The listener inside TLS, with certificates from files and from an authority."""

import http.client
import json
import os
import socket
import ssl
import stat
import subprocess
import time

import pytest
from svix import api

import pebble
from conftest import BINARY, DEADLINE_S, NODES, Posthaste, Receiver, embedded_only, wait_for_attempts
from ports import free_port

NAME = "hooks.example"
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Authority:
    """Issues certificates through an intermediate, as real ones do."""

    def __init__(self, directory):
        self.dir = directory
        self.dir.mkdir()
        self._issue("root", "A test's root", None, "basicConstraints=critical,CA:true")
        self._issue("middle", "A test's intermediate", "root", "basicConstraints=critical,CA:true")
        self.root = self.dir / "root.pem"

    def _issue(self, file, common_name, issuer, extension, days=30, key=EC):
        request = ["req", "-x509" if issuer is None else "-new", *key, "-nodes", "-subj", f"/CN={common_name}"]
        made = ["-keyout", self.dir / f"{file}.key"]
        if issuer is None:
            openssl(*request, *made, "-out", self.dir / f"{file}.pem", "-days", days)
            return
        openssl(*request, *made, "-out", self.dir / f"{file}.csr")
        (self.dir / "extensions").write_text(extension + "\n")
        openssl(
            "x509", "-req", "-in", self.dir / f"{file}.csr", "-CA", self.dir / f"{issuer}.pem",
            "-CAkey", self.dir / f"{issuer}.key", "-CAcreateserial", "-days", days,
            "-extfile", self.dir / "extensions", "-out", self.dir / f"{file}.pem",
        )  # fmt: skip

    def issue(self, file, names=(NAME,), **options):
        """A chain for these names, without the root, and its key."""
        alternatives = ",".join(f"DNS:{name}" for name in names)
        self._issue(file, names[0], "middle", f"subjectAltName={alternatives}", **options)
        chain = self.dir / f"{file}-chain.pem"
        chain.write_text((self.dir / f"{file}.pem").read_text() + (self.dir / "middle.pem").read_text())
        return chain, self.dir / f"{file}.key"

    def trust(self):
        return ssl.create_default_context(cafile=self.root)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


class Server(Posthaste):
    """A server that speaks HTTPS."""

    @property
    def address(self):
        host, port = self.url.removeprefix("https://").split(":")
        return host, int(port)

    def connect(self, trust, name=NAME):
        connection = socket.create_connection(self.address, timeout=DEADLINE_S)
        return trust.wrap_socket(connection, server_hostname=name)

    def ask(self, connection, path="/readyz"):
        """Asks on a connection that is kept, and returns the answer's body."""
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {NAME}\r\n\r\n".encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.read().decode()

    def serial(self, trust):
        """Which certificate is shown now."""
        with self.connect(trust) as connection:
            return connection.getpeercert()["serialNumber"]

    def says(self, words):
        wait_until(lambda: any(words in line for line in self.said), f"nothing was logged about: {words}")


class Secure(Server):
    """A server whose certificate lies in two files."""

    def __init__(self, directory, certificate, key, **settings):
        self.certificate, self.key = directory / "served.pem", directory / "served.key"
        self.put(certificate, key)
        defaults = {
            "POSTHASTE_TLS_CERTIFICATE_FILE": str(self.certificate),
            "POSTHASTE_TLS_KEY_FILE": str(self.key),
            "POSTHASTE_LOG": "info",
        }
        super().__init__(directory / "data", **(defaults | settings))

    def put(self, certificate, key):
        """Puts other files in their place, as a renewal does."""
        for source, target in ((certificate, self.certificate), (key, self.key)):
            beside = target.with_suffix(".new")
            beside.write_bytes(source.read_bytes())
            os.replace(beside, target)


def wait_until(true, otherwise):
    """For what no signal tells of: asks again until it is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path):
    servers = []

    def start(*arguments, **settings):
        servers.append(Secure(tmp_path, *arguments, **settings))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_https_is_served_with_the_chain_from_the_files(start, authority, version):
    server = start(*authority.issue("plain"))
    assert server.url.startswith("https://")
    trust = authority.trust()
    trust.minimum_version = trust.maximum_version = version
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with server.connect(trust) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
        assert server.ask(connection) == "ready\n"
        metrics = server.ask(connection, "/metrics")
        ends = ssl.cert_time_to_seconds(connection.getpeercert()["notAfter"])
        assert f"posthaste_tls_certificate_expiry_seconds {ends}\n" in metrics


@pytest.mark.parametrize("kind", ["pkcs8-ec", "sec1", "pkcs8-rsa", "pkcs1", "ed25519"])
def test_keys_are_taken_as_openssl_writes_them(start, authority, kind):
    sort = {"pkcs8-rsa": ["-newkey", "rsa:2048"], "pkcs1": ["-newkey", "rsa:2048"], "ed25519": ["-newkey", "ed25519"]}
    chain, key = authority.issue(kind, key=sort.get(kind, EC))
    if kind in ("sec1", "pkcs1"):
        key.write_text(openssl("pkey", "-in", key, "-traditional"))
    first_line = {"sec1": "BEGIN EC PRIVATE", "pkcs1": "BEGIN RSA PRIVATE"}.get(kind, "BEGIN PRIVATE")
    assert first_line in key.read_text()
    server = start(chain, key)
    with server.connect(authority.trust()) as connection:
        assert server.ask(connection) == "ready\n"


def test_the_sdk_and_the_health_check_work_over_https(start, authority, monkeypatch):
    chain, key = authority.issue("sdk", names=(NAME, "localhost"))
    server = start(chain, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    url = server.url.replace("127.0.0.1", "localhost")
    client = api.Svix(server.token, api.SvixOptions(server_url=url))
    assert client.application.create(api.ApplicationIn(name="A")).name == "A"
    for asked, code in ((server.url, 0), (server.url.replace("https", "http"), 7)):
        done = subprocess.run([BINARY, "healthcheck", asked], capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == code, done.stderr


def test_renewed_files_are_shown_without_a_restart_and_without_dropping_anybody(start, authority):
    server = start(*authority.issue("first"))
    trust = authority.trust()
    before = server.serial(trust)
    with server.connect(trust) as kept:
        assert server.ask(kept) == "ready\n"
        server.put(*authority.issue("second"))
        wait_until(lambda: server.serial(trust) != before, "the renewed certificate is not shown")
        assert server.ask(kept) == "ready\n", "the connection from before goes on"


def test_files_that_cannot_be_served_change_nothing_and_are_complained_of_once(start, authority):
    server = start(*authority.issue("good"))
    trust = authority.trust()
    before = server.serial(trust)
    _, foreign = authority.issue("foreign")
    server.put(server.certificate, foreign)
    server.says("does not belong to the key")
    assert server.serial(trust) == before
    server.put(*authority.issue("mended"))
    wait_until(lambda: server.serial(trust) != before, "the mended certificate is not shown")
    complaints = [line for line in server.said if "the certificate from before is still served" in line]
    # Each node looks at the files for itself.
    assert 1 <= len(complaints) <= NODES, complaints


def test_an_expired_certificate_is_served_and_complained_of(start, authority):
    server = start(*authority.issue("expired", days=-1))
    assert any("ended on" in line and "clients will refuse it" in line for line in server.said)


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("chain", None, "tls-certificate-file is set and tls-key-file is not"),
        (None, "key", "tls-key-file is set and tls-certificate-file is not"),
        ("absent", "key", "tls-certificate-file /"),
        ("chain", "empty", "empty has no private key in it"),
        ("key", "key", "has no certificate in it"),
        ("chain", "other", "does not belong to the key"),
    ],
)
def test_files_that_cannot_be_used_are_one_sentence_and_exit_2(tmp_path, authority, certificate, key, words):
    chain, its_key = authority.issue("refused")
    _, other = authority.issue("another")
    (tmp_path / "empty").write_text("")
    paths = {"chain": chain, "key": its_key, "other": other, "empty": tmp_path / "empty", "absent": tmp_path / "absent"}
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")}
    for name, path in (("CERTIFICATE", certificate), ("KEY", key)):
        if path:
            env[f"POSTHASTE_TLS_{name}_FILE"] = str(paths[path])
    command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_handshake_that_hangs_holds_up_nobody(start, authority):
    server = start(*authority.issue("hanging"))
    hanging = [socket.create_connection(server.address, timeout=DEADLINE_S) for _ in range(50)]
    with server.connect(authority.trust()) as connection:
        assert server.ask(connection) == "ready\n"
    for connection in hanging:
        connection.close()


NAMES = ["hooks.example", "hooks.example.net"]


@pytest.fixture
def authorities(tmp_path, authority):
    if pebble.BINARY is None:
        pytest.skip("Pebble is not here: set PEBBLE_BIN, or let ./test fetch it")
    started = []

    def start(**options):
        started.append(pebble.Pebble(tmp_path / f"pebble-{len(started)}", authority, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


class Certified(Server):
    """A server that gets its certificate from an authority."""

    def __init__(self, directory, authority, names=NAMES, **settings):
        self.authority = authority
        defaults = {
            "POSTHASTE_LISTEN": f"127.0.0.1:{authority.proof_port}",
            "POSTHASTE_ACME_DOMAINS": ",".join(names),
            "POSTHASTE_ACME_CONTACT": "ops@example.com",
            "POSTHASTE_ACME_DIRECTORY_URL": authority.url,
            "POSTHASTE_ACME_ROOT_FILE": str(authority.root_file),
            "POSTHASTE_ACME_TERMS_ACCEPTED": "true",
            "POSTHASTE_LOG": "info",
        }
        super().__init__(directory / "data", **(defaults | settings))

    def answers(self, trust, name=NAME):
        """Whether it is ready, and shows a certificate that counts for this name."""
        try:
            with self.connect(trust, name) as connection:
                return self.ask(connection) == "ready\n"
        except OSError:
            return False

    def kept(self):
        return {path.name: path for path in (self.data_dir / "acme").rglob("*") if path.is_file()}


asks_an_authority = embedded_only(
    "each node would ask for a certificate of its own, and the authority's question may reach another node"
)


@pytest.fixture
def certified(tmp_path):
    servers = []

    def start(*arguments, **settings):
        servers.append(Certified(tmp_path, *arguments, **settings))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@asks_an_authority
def test_a_certificate_is_asked_for_served_and_kept_over_a_restart(authorities, certified):
    authority = authorities()
    server = certified(authority)
    server.says("serving a new certificate for hooks.example, hooks.example.net")
    trust = authority.issued_by_it()
    for name in NAMES:
        assert server.answers(trust, name)
    assert not server.answers(trust, "elsewhere.example")
    serial = server.serial(trust)
    kept = server.kept()
    assert set(kept) == {"account.json", "certificate.pem"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in kept.values())
    assert stat.S_IMODE((server.data_dir / "acme").stat().st_mode) == 0o700
    assert all("PRIVATE KEY" not in line for line in server.said)
    # Nobody is there to ask: what was kept must do.
    authority.stop()
    server.stop()
    server.start()
    assert server.serial(trust) == serial
    assert not any("asking" in line for line in server.said)


@asks_an_authority
def test_a_certificate_is_renewed_while_it_serves(authorities, certified):
    authority = authorities(life_s=9)
    server = certified(authority)
    server.says("serving a new certificate")
    trust = authority.issued_by_it()
    with server.connect(trust) as kept:
        first = kept.getpeercert()["serialNumber"]
        assert server.ask(kept) == "ready\n"
        wait_until(lambda: server.serial(trust) != first, "the certificate is not renewed")
        assert server.ask(kept) == "ready\n", "the connection from before goes on"
    server.stop()
    assert len({line for line in server.said if "serving a new certificate" in line}) >= 2
    server.env["POSTHASTE_ACME_CONTACT"] = "other@example.com"
    server.start()
    server.says("serving a new certificate")
    assert json.loads(server.kept()["account.json"].read_text())["contact"] == ["mailto:other@example.com"]
    assert "There are now 2 accounts" not in authority.log()


@asks_an_authority
def test_an_authority_that_is_away_or_has_forgotten_us_stops_nothing(authorities, certified):
    authority = authorities()
    server = certified(authority)
    server.says("serving a new certificate")
    before = server.kept()["account.json"].read_text()
    server.stop()
    # It forgets all accounts, and hears of another contact and other names.
    authority.stop()
    authority.start()
    server.env |= {"POSTHASTE_ACME_DOMAINS": "other.example", "POSTHASTE_ACME_CONTACT": "other@example.com"}
    server.start()
    server.says("serving a new certificate for other.example")
    assert server.answers(authority.issued_by_it(), "other.example")
    assert server.kept()["account.json"].read_text() != before
    server.stop()
    authority.stop()
    server.env["POSTHASTE_ACME_DOMAINS"] = NAME
    server.start()
    server.says("no certificate for hooks.example: localhost")
    assert server.process.poll() is None
    assert any("the next try is in" in line for line in server.said)


@asks_an_authority
def test_a_name_that_cannot_be_proved_is_said_with_the_authoritys_words(authorities, certified):
    authority = authorities()
    authority.proof_port = free_port()  # where we listen, and it does not look
    server = certified(authority)
    server.says("the authority could not check hooks.example")
    assert any("does port 443 of that name reach this server?" in line for line in server.said)
    assert not server.answers(authority.issued_by_it())
    assert server.process.poll() is None


@asks_an_authority
def test_an_authority_whose_certificate_is_not_trusted_is_not_talked_to(authorities, certified):
    authority = authorities()
    server = certified(authority, POSTHASTE_ACME_ROOT_FILE="")
    server.says("no certificate for hooks.example")
    assert any("invalid peer certificate: UnknownIssuer" in line for line in server.said)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ACME_TERMS_ACCEPTED": "false"}, "acme-terms-accepted is not true"),
        ({"ACME_DOMAINS": "*.example"}, "must have no wildcard"),
        ({"ACME_DOMAINS": "127.0.0.1"}, "must be host names"),
        ({"ACME_CONTACT": "nobody"}, "must be one address for mail"),
        ({"ACME_DIRECTORY_URL": "http://localhost/dir"}, "must be an https URL"),
        ({"ACME_ROOT_FILE": "/absent"}, "acme-root-file /absent cannot be read"),
        ({"ACME_CACHE_DIR": "/proc/absent"}, "acme-cache-dir /proc/absent/"),
        ({"TLS_CERTIFICATE_FILE": "/a", "TLS_KEY_FILE": "/b"}, "are both set"),
    ],
)
def test_settings_that_no_certificate_could_come_of_are_one_sentence_and_exit_2(tmp_path, settings, words):
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")}
    asked = {"ACME_DOMAINS": NAME, "ACME_TERMS_ACCEPTED": "true"} | settings
    env |= {f"POSTHASTE_{name}": value for name, value in asked.items()}
    command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_receiver_of_an_authority_of_ones_own_is_reached_only_if_its_root_is_trusted(authority, tmp_path):
    chain, key = authority.issue("receiver", names=("localhost",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    receiver = Receiver()
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    url = receiver.url.replace("http://127.0.0.1", "https://localhost")
    told = {}
    for name, settings in (("stranger", {}), ("friend", {"POSTHASTE_TARGET_ROOT_FILE": str(authority.root)})):
        settings["POSTHASTE_ALLOW_TARGETS"] = "127.0.0.0/8,localhost,::1"
        # Not localhost, which is the receiver's name here.
        settings["POSTHASTE_PUBLIC_URL"] = "https://hooks.example"
        server = Posthaste(tmp_path / name, **settings)
        client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
        app = client.application.create(api.ApplicationIn(name=name))
        client.endpoint.create(app.id, api.EndpointIn(url=url))
        message = client.message.create(app.id, api.MessageIn(event_type="a", payload={"to": name}))
        attempts = wait_for_attempts(client, app, message, 1)
        told[name] = attempts[-1].response_status_code
        server.stop()
    assert told == {"stranger": 0, "friend": 200}
    assert [json.loads(body) for _, _, body in receiver.requests] == [{"to": "friend"}]
    receiver.close()
