"""Secrets as files, as Docker, Kubernetes and systemd hand them in."""

import os
import subprocess

import pytest
from svix import api

from cluster import Cluster
from conftest import BINARY, DEADLINE_S, Posthaste


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


def refusal(tmp_path, **settings):
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")} | settings
    command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 2, done.stderr
    (sentence,) = done.stderr.strip().splitlines()
    return sentence


def test_a_node_reads_its_database_and_its_main_secret_from_files(cluster, tmp_path, receiver):
    # As an editor leaves it, and as `kubectl create secret` does.
    (tmp_path / "main-secret").write_text("the secret of all nodes\n")
    (tmp_path / "database-url").write_text(cluster.new_database())
    files = {
        "POSTHASTE_MAIN_SECRET_FILE": str(tmp_path / "main-secret"),
        "POSTHASTE_DATABASE_URL_FILE": str(tmp_path / "database-url"),
    }
    node = Posthaste(tmp_path / "data", **files)
    client = api.Svix(node.token, api.SvixOptions(server_url=node.url))
    app = client.application.create(api.ApplicationIn(name="App"))
    client.endpoint.create(app.id, api.EndpointIn(url=receiver.url))
    client.message.create(app.id, api.MessageIn(event_type="a.b", payload={}))
    receiver.got(1)
    assert not list(node.data_dir.glob("posthaste.db*")) and not (node.data_dir / "main-secret").exists()
    assert "the schema of posthaste" in node.run("migrate")
    node.stop()
    # The line's end is not part of the secret.
    del files["POSTHASTE_MAIN_SECRET_FILE"]
    Posthaste(tmp_path / "data", **files, POSTHASTE_MAIN_SECRET="the secret of all nodes").stop()


@pytest.mark.parametrize("setting", ["MAIN_SECRET", "DATABASE_URL", "JWT_SECRET"])
def test_a_file_that_is_not_there_or_empty_is_one_sentence(tmp_path, setting):
    variable, absent, empty = f"POSTHASTE_{setting}_FILE", tmp_path / "absent", tmp_path / "empty"
    assert f"{variable} ({absent}): cannot be read" in refusal(tmp_path, **{variable: str(absent)})
    empty.write_text("\n")
    said = refusal(tmp_path, **{variable: str(empty)})
    assert variable in said and said.endswith("must not be empty")
