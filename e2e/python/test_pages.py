"""What the pages for operators name: metrics that exist, settings that exist, and figures that are those of the source."""

import pathlib
import re
import subprocess
import urllib.request

from svix import api

from conftest import BINARY, DEADLINE_S, wait_for_attempts

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "docs" / name for name in ("deploying.md", "operating.md")]
# Only with HTTPS.
ELSEWHERE = {"posthaste_tls_certificate_expiry_seconds"}


def in_source(file, pattern):
    return int(re.search(pattern, (ROOT / "crates" / file).read_text())[1])


def metrics(server):
    """The names of all metrics, as Prometheus keeps them."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=DEADLINE_S) as answer:
        lines = answer.read().decode().splitlines()
    types = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE "))
    suffixes = {"counter": "_total", "info": "_info"}
    return {name + suffixes.get(kind, "") for name, kind in types.items()}


def test_every_metric_that_is_to_be_watched_exists(posthaste, receiver):
    client = api.Svix(posthaste.token, api.SvixOptions(server_url=posthaste.url))
    app = client.application.create(api.ApplicationIn(name="App"))
    client.endpoint.create(app.id, api.EndpointIn(url=receiver.url))
    message = client.message.create(app.id, api.MessageIn(event_type="a.b", payload={}))
    wait_for_attempts(client, app, message, 1)
    # Some are there once they have something to count.
    receiver.answers_with(500, 500, 500)
    refused = client.message.create(app.id, api.MessageIn(event_type="a.b", payload={}))
    wait_for_attempts(client, app, refused, 3)
    named = {name for page in PAGES for name in re.findall(r"`(posthaste_\w+)`", page.read_text())}
    # Counted a moment after they were recorded.
    for _ in range(500):
        missing = named - metrics(posthaste) - ELSEWHERE
        if named and not missing:
            return
    raise AssertionError(f"there is no {missing}")


def test_every_setting_that_is_named_exists():
    shown = subprocess.run([BINARY, "config", "show"], capture_output=True, text=True, timeout=DEADLINE_S)
    known = {"POSTHASTE_" + row.split()[0].replace("-", "_").upper() for row in shown.stdout.splitlines()}
    for page in PAGES:
        named = {name.removesuffix("_FILE") for name in re.findall(r"POSTHASTE_[A-Z_]+", page.read_text())}
        assert named <= known, f"{page.name}: {named - known}"


def test_what_a_balancer_and_a_database_must_allow_is_what_the_source_says():
    page = (ROOT / "docs" / "deploying.md").read_text()
    idle_s = in_source("posthaste-http/src/serve.rs", r"header_timeout: Duration::from_secs\((\d+)\)")
    drain_s = in_source("posthaste-http/src/serve.rs", r"drain: Duration::from_secs\((\d+)\)")
    slack_s = in_source("posthaste/src/wiring.rs", r"DRAIN_SLACK: Duration = Duration::from_secs\((\d+)\)")
    reading = in_source("posthaste-store/src/postgres/open.rs", r"CONNECTIONS_MAX: usize = (\d+)")
    writing = in_source("posthaste-store/src/postgres/writer.rs", r"WRITERS: usize = (\d+)")
    assert f"a node closes one after {idle_s} s" in page
    assert f"finishes requests ({drain_s} s at most)" in page and f"and {slack_s} s at most" in page
    assert f"opens {reading + writing} at most, {reading} that read and {writing} that write" in page


def test_links_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"
