"""The commands, as an operator meets them."""

import itertools
import json
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import urllib.request

import pytest
from svix import api

from conftest import BINARY, DEADLINE_S, NODES, STORE, Posthaste, embedded_only, wait_for_attempts


def run(*arguments, **settings):
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")} | settings
    return subprocess.run([BINARY, *arguments], env=env, capture_output=True, text=True, timeout=DEADLINE_S)


def get(url):
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
        return answer.read().decode()


@pytest.fixture
def server(tmp_path):
    server = Posthaste(tmp_path / "data")
    yield server
    if server.process.poll() is None:
        server.stop()


def test_dev_shows_a_verified_webhook_and_leaves(tmp_path):
    command = [BINARY, "dev", "--once", "--listen", "127.0.0.1:0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    assert "signature ok" in done.stdout
    assert "delivered" in done.stdout
    assert re.search(r"token: phk_[0-9a-f]{64}", done.stderr)


def test_dev_refuses_to_be_reachable_from_elsewhere(tmp_path):
    command = [BINARY, "dev", "--once", "--listen", "0.0.0.0:0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 2
    assert "loopback only" in done.stderr


def test_the_first_start_writes_a_token_for_its_owner_only(server):
    path = server.data_dir / "admin-token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    if STORE == "sqlite":
        assert stat.S_IMODE((server.data_dir / "main-secret").stat().st_mode) == 0o600
    assert any("admin token was written" in line for line in server.said)


def test_a_token_works_at_once_and_ends_at_once_beside_a_running_server(server):
    token = server.new_token("staging")
    client = api.Svix(token, api.SvixOptions(server_url=server.url))
    client.application.list()
    row = next(line for line in server.run("token", "list").splitlines() if "staging" in line)
    assert token not in row
    server.run("token", "revoke", row.split()[0])
    with pytest.raises(Exception) as error:
        client.application.list()
    assert error.value.status_code == 401


def test_a_restart_loses_nothing_that_was_accepted(server, receiver):
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    app = client.application.create(api.ApplicationIn(name="A"))
    client.endpoint.create(app.id, api.EndpointIn(url=receiver.url))
    sent = {client.message.create(app.id, api.MessageIn(event_type="a.b", payload={"n": n})).id for n in range(20)}
    server.kill()
    server.start()
    got = {request[1]["webhook-id"] for request in receiver.got(20)}
    while got != sent:
        got = {request[1]["webhook-id"] for request in receiver.got(len(receiver.requests) + 1)}
    server.stop()


@embedded_only("on a database they do")
def test_two_servers_do_not_share_a_store(server):
    done = run("serve", "--listen", "127.0.0.1:0", "--data-dir", str(server.data_dir))
    assert done.returncode == 2
    assert "another posthaste is serving" in done.stderr


def test_a_taken_port_is_one_sentence_and_exit_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("serve", "--listen", address, "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 2
    assert f"listen {address} is taken by another program" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_data_dir_that_cannot_be_written_is_one_sentence_and_exit_2(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "file" / "data"))
    assert done.returncode == 2
    assert "is not writable" in done.stderr


def test_another_main_secret_is_refused(tmp_path):
    data_dir = str(tmp_path / "data")
    assert run("token", "create", "--data-dir", data_dir, POSTHASTE_MAIN_SECRET="one").returncode == 0
    done = run("token", "create", "--data-dir", data_dir, POSTHASTE_MAIN_SECRET="two")
    assert done.returncode == 2
    assert "POSTHASTE_MAIN_SECRET is not the one" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("POSTHASTE_RETRY_SCHEDULE", "5", "must have a unit"),
        ("POSTHASTE_REQUEST_TIMEOUT", "1h", "must be between"),
        ("POSTHASTE_ALLOW_TARGETS", "10.0.0.0/99", "must be a network"),
        ("POSTHASTE_MAX_PAYLOAD", "1MB", "unit KiB or MiB"),
        ("POSTHASTE_DEFAULT_SIGNATURE", "rsa", "hmac256 or ed25519"),
        ("POSTHASTE_LISTEN", "nowhere", "must be an address and a port"),
        ("POSTHASTE_DATABASE_URL", "postgres://u:secret@h/d", "needs POSTHASTE_MAIN_SECRET"),
        pytest.param(
            *("POSTHASTE_DATABASE_LISTEN_URL", "postgres://u:secret@h/d", "needs POSTHASTE_DATABASE_URL"),
            marks=embedded_only("over PostgreSQL it has the other one"),
        ),
        ("POSTHASTE_DATABASE_LISTEN_URL", "mysql://u:secret@h/d", "names a mysql database: use postgres://"),
        ("POSTHASTE_DATABASE_URL", "mysql://u:secret@h/d", "names a mysql database: use postgres://"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(tmp_path, name, value, reason):
    done = run("serve", "--data-dir", str(tmp_path / "data"), **{name: value})
    assert done.returncode == 2
    assert reason in done.stderr
    assert name in done.stderr or name.removeprefix("POSTHASTE_").lower().replace("_", "-") in done.stderr
    assert "secret" not in done.stderr


def test_config_show_says_where_each_value_came_from_and_hides_secrets(tmp_path):
    config = tmp_path / "posthaste.toml"
    config.write_text('retention = "30d"\nlisten = "127.0.0.1:1"\n')
    done = run(
        "config", "show", "--config", str(config), "--listen", "127.0.0.1:2",
        POSTHASTE_JWT_SECRET="very secret", POSTHASTE_LOG="debug",
    )
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
    assert rows["listen"].split() == ["127.0.0.1:2", "flag", "--listen"]
    assert rows["retention"].startswith("30d") and str(config) in rows["retention"]
    assert rows["log"].split() == ["debug", "environment", "POSTHASTE_LOG"]
    assert rows["jwt-secret"].startswith("(set)") and "very secret" not in done.stdout
    assert rows["data-dir"].endswith("default")


def test_probes_metrics_and_openapi_answer(server, receiver):
    assert get(server.url + "/livez") == "live\n"
    assert get(server.url + "/readyz") == "ready\n"
    assert run("healthcheck", server.url).returncode == 0
    assert json.loads(get(server.url + "/openapi.json")) == json.loads(run("openapi").stdout)
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    app = client.application.create(api.ApplicationIn(name="A"))
    client.endpoint.create(app.id, api.EndpointIn(url=receiver.url))
    message = client.message.create(app.id, api.MessageIn(event_type="a.b", payload={}))
    wait_for_attempts(client, app, message, 1)
    # Each node counts what it did, and each is asked in its turn.
    metrics = "".join(get(server.url + "/metrics") for _ in range(NODES))
    assert "posthaste_messages_accepted_total 1" in metrics
    assert metrics.rstrip().endswith("# EOF")
    for name in ("attempts", "attempt_duration_seconds", "deliveries_waiting", "oldest_due_age_seconds", "store_commits"):
        assert f"posthaste_{name}" in metrics, name


def test_a_server_that_is_gone_is_not_healthy(server):
    server.stop()
    assert run("healthcheck", server.url).returncode == 7


def test_sigterm_finishes_what_is_under_way(server, receiver):
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    app = client.application.create(api.ApplicationIn(name="A"))
    client.endpoint.create(app.id, api.EndpointIn(url=receiver.url))
    message = client.message.create(app.id, api.MessageIn(event_type="a.b", payload={}))
    receiver.got(1)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(DEADLINE_S) == 0
    server.start()
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    assert len(client.message_attempt.list_by_msg(app.id, message.id).data) == 1
    assert len(receiver.requests) == 1


def test_no_secret_is_ever_logged_or_left_readable(tmp_path, receiver):
    server = Posthaste(tmp_path / "data", POSTHASTE_LOG="trace")
    client = api.Svix(server.token, api.SvixOptions(server_url=server.url))
    app = client.application.create(api.ApplicationIn(name="A"))
    endpoint = client.endpoint.create(app.id, api.EndpointIn(url=receiver.url))
    secret = client.endpoint.get_secret(app.id, endpoint.id).key
    put = getattr(client.endpoint, "update_headers", None) or client.endpoint.set_headers
    put(app.id, endpoint.id, api.EndpointHeadersIn(headers={"Authorization": "Bearer canary-in-a-header"}))
    client.message.create(app.id, api.MessageIn(event_type="a.b", payload={}))
    receiver.got(1)
    # The SDK sends both with an idempotency key, so their answers are kept.
    client.endpoint.rotate_secret(app.id, endpoint.id, api.EndpointSecretRotateIn())
    rotated = client.endpoint.get_secret(app.id, endpoint.id).key
    portal = client.authentication.app_portal_access(app.id, api.AppPortalAccessIn()).token
    server.stop()
    secrets = [key.removeprefix("whsec_") for key in (secret, rotated)]
    canaries = [server.token, *secrets, portal, "canary-in-a-header"]
    logged = "".join(server.said)
    for path in server.files():
        content = path.read_bytes()
        for canary in canaries:
            assert canary not in logged
            assert path.name == "admin-token" or canary.encode() not in content, path


@embedded_only("starts on a store of its own")
def test_the_first_start_on_a_terminal_prints_a_link_that_logs_in_and_into_a_log_none(tmp_path):
    ours, theirs = pty.openpty()
    command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data")]
    process = subprocess.Popen(command, stderr=theirs)
    os.close(theirs)
    with open(ours, encoding="utf-8") as terminal:
        said = list(itertools.takewhile(lambda line: "listening on" not in line, terminal))
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    assert any("/ui/setup?code=phk_" in line for line in said), said
    logged = Posthaste(tmp_path)
    logged.stop()
    assert not any("code=" in line for line in logged.said)
