"""The vocabulary of the checks of deployment files: the files, what the source says, and what the product knows."""

import os
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "posthaste"
BINARY = os.environ.get("POSTHASTE_BIN", ROOT / "target/debug/posthaste")
DEADLINE_S = 60


def tool(name):
    """A program that was installed beside this Python."""
    return str(pathlib.Path(os.sys.prefix) / "bin" / name)


def runs(*command, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=DEADLINE_S, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_source(file, pattern):
    """A value that the source has, so that a file here cannot differ from it for long."""
    (found,) = re.findall(pattern, (ROOT / file).read_text())
    return found


def known_settings():
    """Every setting of the product, as a variable of the environment."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")}
    rows = runs(BINARY, "config", "show", env=env).splitlines()
    return {"POSTHASTE_" + row.split()[0].replace("-", "_").upper(): row.split()[1] for row in rows}


def drain_s():
    """How long a server may take to end after SIGTERM, beside its notice and the timeout of an attempt."""
    connections = in_source("crates/posthaste-http/src/serve.rs", r"drain: Duration::from_secs\((\d+)\)")
    commits = in_source("crates/posthaste/src/wiring.rs", r"DRAIN_SLACK: Duration = Duration::from_secs\((\d+)\)")
    return int(connections) + int(commits)


def seconds(text):
    """`45s` as a number."""
    assert text.endswith("s") and text[:-1].isdigit(), text
    return int(text[:-1])


@pytest.fixture(scope="session")
def version():
    return in_source("Cargo.toml", r'(?m)^version = "([^"]+)"')


def compose(name, tmp_path):
    """The file as Docker Compose understands it, with secrets of its own."""
    copy = tmp_path / "deploy"
    (copy / "secrets").mkdir(parents=True)
    for secret in ("main-secret", "database-url", "postgres-password"):
        (copy / "secrets" / secret).write_text("x")
    for file in ("Dockerfile", "haproxy.cfg", name):
        (copy / file).write_text((DEPLOY / file).read_text())
    return yaml.safe_load(runs(tool("docker-compose"), "-f", copy / name, "config"))
