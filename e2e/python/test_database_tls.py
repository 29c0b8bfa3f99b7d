"""TLS to PostgreSQL, by certificates that openssl made: what each sslmode asks for, and what is refused."""

import os
import subprocess

import pytest

from cluster import Cluster
from conftest import BINARY, DEADLINE_S, embedded_only
from ports import free_port

pytestmark = embedded_only("starts nodes of its own")

SECRET = {"POSTHASTE_MAIN_SECRET": "the secret of all nodes"}


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=DEADLINE_S)


def authority(directory, name):
    """A root certificate of its own."""
    key, certificate = f"{name}.key", f"{name}.pem"
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl(directory, *new, "-subj", f"/CN={name}", "-keyout", key, "-out", certificate)
    return directory / certificate


def certificate(directory, root, *names):
    """A server's certificate, signed by that root."""
    openssl(
        directory, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=server",
        "-keyout", "server.key", "-out", "server.csr",
    )  # fmt: skip
    extensions = f"subjectAltName={','.join(names)}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
    (directory / "server.ext").write_text(extensions)
    openssl(
        directory, "x509", "-req", "-in", "server.csr", "-CA", f"{root}.pem", "-CAkey", f"{root}.key",
        "-CAcreateserial", "-days", "2", "-extfile", "server.ext", "-out", "server.crt",
    )  # fmt: skip


class Encrypted:
    """A cluster that speaks TLS on loopback, with a certificate for the name localhost and for no address."""

    def __init__(self, directory):
        self.root, self.other_root = authority(directory, "root"), authority(directory, "other")
        certificate(directory, "root", "DNS:localhost")
        self.port = free_port()
        self.cluster = Cluster(listen_addresses="127.0.0.1", port=self.port)
        for name in ("server.key", "server.crt"):
            text = (directory / name).read_text()
            self.cluster.run("tee", f"data/{name}", input=text)
            self.cluster.run("chmod", "600", f"data/{name}")
        self.cluster.run("tee", "-a", "data/postgresql.conf", input="ssl = on\n")
        # By address only with TLS, but for the one database that takes both.
        rules = "local all all trust\nhost plain all 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 trust\n"
        self.cluster.run("tee", "data/pg_hba.conf", input=rules)
        self.cluster.stop()
        self.cluster.start()
        for name in ("plain", "secret"):
            self.cluster.run("createdb", "-h", str(self.cluster.dir), "-p", str(self.port), "-U", "postgres", name)

    def url(self, query, host="localhost", database="secret"):
        return f"postgres://postgres@{host}:{self.port}/{database}?{query}"


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory):
    encrypted = Encrypted(tmp_path_factory.mktemp("certificates"))
    yield encrypted
    encrypted.cluster.close()


@pytest.fixture
def migrates(tmp_path):
    """Whether a URL leads to a database, and what was said if not."""

    def migrates(url):
        env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")}
        env |= SECRET | {"POSTHASTE_DATABASE_URL": url}
        command = [BINARY, "migrate", "--data-dir", str(tmp_path / "data")]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S)
        return (done.returncode == 0, done.stderr)

    return migrates


MODES_THAT_VERIFY = ("require", "verify-ca", "verify-full")


@pytest.mark.parametrize("mode", ("prefer", *MODES_THAT_VERIFY))
def test_the_right_root_and_name_are_taken_in_each_mode(encrypted, migrates, mode):
    worked, said = migrates(encrypted.url(f"sslmode={mode}&sslrootcert={encrypted.root}"))
    assert worked, said


@pytest.mark.parametrize("mode", ("prefer", *MODES_THAT_VERIFY))
def test_a_server_whose_root_is_not_trusted_is_refused_in_one_sentence(encrypted, migrates, mode):
    for roots in (f"&sslrootcert={encrypted.other_root}", ""):
        worked, said = migrates(encrypted.url(f"sslmode={mode}{roots}"))
        assert not worked
        assert "nobody who is trusted here has signed its certificate: name the authority's with sslrootcert=FILE" in said


@pytest.mark.parametrize("mode", MODES_THAT_VERIFY)
def test_a_certificate_for_another_name_is_refused_in_each_mode_that_verifies(encrypted, migrates, mode):
    worked, said = migrates(encrypted.url(f"sslmode={mode}&sslrootcert={encrypted.root}", host="127.0.0.1"))
    assert not worked
    assert "its certificate is not for 127.0.0.1: connect by a name that is in it" in said


def test_disable_speaks_in_the_clear_and_is_refused_where_the_server_wants_tls(encrypted, migrates):
    worked, said = migrates(encrypted.url("sslmode=disable", host="127.0.0.1", database="plain"))
    assert worked, said
    worked, said = migrates(encrypted.url("sslmode=disable", host="127.0.0.1"))
    assert not worked
    assert "no encryption" in said


def test_what_is_not_supported_is_refused_in_one_sentence(encrypted, migrates):
    for query, sentence in (
        ("sslcert=/c.pem&sslkey=/k.pem", "it has sslcert, and certificates of clients are not supported"),
        ("sslmode=allow", "sslmode=allow tries without TLS first: use disable, prefer, require or verify-full"),
        ("sslrootcert=/nowhere.pem", "sslrootcert /nowhere.pem is not a file of certificates in PEM"),
    ):
        worked, said = migrates(encrypted.url(query))
        assert not worked
        assert f"the database URL cannot be used: {sentence}" in said, said


@pytest.mark.parametrize("mode", ("prefer", "disable"))
def test_a_server_without_tls_is_spoken_to_in_the_clear_only_where_that_is_allowed(migrates, mode):
    port = free_port()
    plain = Cluster(listen_addresses="127.0.0.1", port=port)
    try:
        plain.run("createdb", "-h", str(plain.dir), "-p", str(port), "-U", "postgres", "plain")
        url = f"postgres://postgres@localhost:{port}/plain?sslmode="
        worked, said = migrates(url + mode)
        assert worked, said
        for verified in MODES_THAT_VERIFY:
            worked, said = migrates(url + verified)
            assert not worked
            assert "server does not support TLS" in said
    finally:
        plain.close()
