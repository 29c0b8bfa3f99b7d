"""Whether we keep to our own OpenAPI document: schemathesis makes requests from it, right and wrong ones, and judges."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from conftest import Posthaste, Receiver
from inbound import call

pytest.importorskip("schemathesis", reason="runs where schemathesis is installed: ./test has an environment for it")

HERE = pathlib.Path(__file__).parent
# `just schema SECONDS SEED` asks for more.
SECONDS = int(os.environ.get("SCHEMA_SECONDS", "60"))
SEED = os.environ.get("SCHEMA_SEED", "1")
KNOWN_TYPE = "known.type"
# The first is asked by a check of our own in schema_hooks.py, which knows what no document can say. The second needs
# accounts of several tenants: tests of crates/posthaste-http walk all routes with them.
NOT_ASKED = "positive_data_acceptance,object_level_authorization"


@pytest.fixture
def server(tmp_path):
    server = Posthaste(tmp_path / "schema", POSTHASTE_RETRY_SCHEDULE="1h")
    yield server
    server.stop()


def test_the_api_is_what_its_document_says(server, tmp_path):
    receiver = Receiver()
    body = {"name": KNOWN_TYPE, "description": ""}
    assert call(server, "POST", "/api/v1/event-type", body).status == 201
    command = [
        str(pathlib.Path(sys.executable).parent / "schemathesis"),
        "--config-file", str(HERE / "schema.toml"),
        "run", f"{server.url}/openapi.json",
        "--header", f"Authorization: Bearer {server.token}",
        "--checks", "all",
        "--exclude-checks", NOT_ASKED,
        "--seed", SEED,
        "--max-time", str(SECONDS),
        "--continue-on-failure", "--no-color",
    ]
    env = os.environ | {
        "SCHEMATHESIS_HOOKS": "schema_hooks",
        "PYTHONPATH": str(HERE),
        "SCHEMA_RECEIVER": receiver.url,
        "SCHEMA_EVENT_TYPE": KNOWN_TYPE,
    }
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=2 * SECONDS + 120)
    receiver.close()
    print(done.stdout[-2000:])
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    selected, described = map(int, re.search(r"Selected: (\d+)/(\d+)", done.stdout).groups())
    assert described - selected == 1, "every operation but one is asked: schema.toml says which not"
    assert f"Tested: {selected}\n" in done.stdout
    assert not [line for line in server.said if "panic" in line or "ERROR" in line]
