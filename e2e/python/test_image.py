"""What the image promises: it runs on an empty root that cannot be written to, as nobody in particular, and finds names
and checks certificates there."""

import contextlib
import pathlib
import socket
import ssl
import struct
import threading

import pytest
from svix import api

from conftest import Receiver, embedded_only, wait_for_attempts
from image import Image
from test_tls import Authority

pytestmark = embedded_only("the image's own binary, on a root where nothing can stand in its place")
# Where Docker's own name server is, as /etc/resolv.conf of its containers says.
NAME_SERVER = "127.0.0.11"


class Names:
    """A name server that knows one name."""

    def __init__(self, name, address):
        self.known = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
        self.address = socket.inet_aton(address)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.bind((NAME_SERVER, 53))
        except OSError as error:
            pytest.skip(f"no name server can be put at {NAME_SERVER}:53 here: {error}")
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                asked, peer = self.socket.recvfrom(512)
                self.socket.sendto(self.answer(asked), peer)

    def answer(self, asked):
        end = asked.index(b"\0", 12) + 1
        question, (kind,) = asked[12 : end + 4], struct.unpack(">H", asked[end : end + 2])
        is_known = asked[12:end].lower() == self.known
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + self.address if is_known and kind == 1 else b""
        flags = 0x8180 if is_known else 0x8183
        return asked[:2] + struct.pack(">HHHHH", flags, 1, bool(record), 0, 0) + question + record

    def close(self):
        self.socket.close()


class Secure(Receiver):
    """A receiver that is called by a name, over HTTPS."""

    def __init__(self, name, certificate, key):
        super().__init__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://{name}:{self.server.server_address[1]}/hook"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority") / "authority")


@pytest.fixture(scope="module")
def names():
    names = Names("served.test", "127.0.0.1")
    yield names
    names.close()


@pytest.fixture(scope="module")
def image(tmp_path_factory, authority):
    files = {
        "/etc/hosts": "127.0.0.1 localhost\n127.0.0.1 listed.test\n",
        "/etc/resolv.conf": f"nameserver {NAME_SERVER}\noptions ndots:0\n",
        "/etc/root.pem": authority.root.read_text(),
    }
    image = Image(tmp_path_factory.mktemp("image"), files, POSTHASTE_TARGET_ROOT_FILE="/etc/root.pem")
    yield image
    image.stop()


@pytest.fixture
def client(image):
    return api.Svix(image.token, api.SvixOptions(server_url=image.url, retry_schedule=[]))


def sends_to(client, url):
    app = client.application.create(api.ApplicationIn(name="App"))
    client.endpoint.create(app.id, api.EndpointIn(url=url))
    return app, client.message.create(app.id, api.MessageIn(event_type="a.b", payload={"n": 1}))


def status_of(image):
    """How the kernel sees the server: of a child of the tests' own, without a process between."""
    text = pathlib.Path(f"/proc/{image.process.pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_it_runs_as_the_image_s_user_without_any_right(image):
    status = status_of(image)
    assert status["Uid"].split() == status["Gid"].split() == ["65532"] * 4
    assert status["CapEff"] == status["CapPrm"] == "0" * 16
    assert status["NoNewPrivs"] == "1"


def test_its_root_cannot_be_written_to_and_its_data_can(image):
    mounts = pathlib.Path(f"/proc/{image.process.pid}/mounts").read_text().splitlines()
    options = {mount.split()[1]: mount.split()[3].split(",") for mount in mounts}
    assert options["/"][0] == "ro" and options["/data"][0] == "rw"
    assert {file.name for file in image.data_dir.iterdir()} >= {"posthaste.db", "main-secret", "admin-token"}


def test_it_delivers_and_its_commands_work_beside_it(image, client, receiver):
    sends_to(client, receiver.url)
    receiver.got(1)
    made = image.runs("token", "create")
    assert made.returncode == 0 and made.stdout.startswith("phk_"), made.stderr
    backup = image.runs("backup", "/data/copy.backup")
    assert backup.returncode == 0, backup.stderr
    doctor = image.runs("doctor")
    assert "\u2717" not in doctor.stdout, doctor.stdout


def test_its_health_is_asked_by_its_own_program(image):
    path, *arguments = image.recipe.healthcheck
    assert path == image.recipe.entrypoint[0]
    # The port is the tests' own.
    well = image.runs(*arguments, image.url)
    assert well.returncode == 0, well.stderr
    assert image.runs(*arguments, "http://127.0.0.1:1").returncode == 7


def test_a_name_in_etc_hosts_is_found_though_the_name_server_knows_none(image, names, client, receiver):
    sends_to(client, receiver.url.replace("127.0.0.1", "listed.test"))
    receiver.got(1)


def test_a_name_of_the_engine_s_name_server_is_found_and_its_certificate_is_checked(image, names, client, authority):
    known = Secure("served.test", *authority.issue("known", ["served.test"]))
    try:
        sends_to(client, known.url)
        known.got(1)
    finally:
        known.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(image, client, tmp_path):
    stranger = Secure("listed.test", *Authority(tmp_path / "stranger").issue("known", ["listed.test"]))
    try:
        app, message = sends_to(client, stranger.url)
        # All that are made: nothing is under way when the server is told to stop.
        attempts = wait_for_attempts(client, app, message, 3)
        assert {attempt.response_status_code for attempt in attempts} == {0}
        assert "certificate" in attempts[0].response
        assert not stranger.requests
    finally:
        stranger.close()
