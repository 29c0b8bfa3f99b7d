"""The Dockerfile, and what it is given to build from. How the image runs: e2e/python/test_image.py."""

import os
import pathlib
import re
import shutil
import subprocess

from conftest import DEADLINE_S, DEPLOY, ROOT, in_source, runs, tool

TEXT = (DEPLOY / "Dockerfile").read_text()


def test_hadolint_finds_nothing():
    assert runs(tool("hadolint"), DEPLOY / "Dockerfile") == ""


def test_it_builds_with_the_compiler_and_as_the_version_that_the_workspace_says(version):
    compiler = in_source("Cargo.toml", r'(?m)^rust-version = "([^"]+)"')
    assert re.search(rf"^FROM rust:{re.escape(compiler)}[.-]", TEXT, re.MULTILINE)
    assert f"ARG VERSION={version}\n" in TEXT


def test_the_last_stage_is_empty_but_for_the_binary_and_a_place_for_the_store():
    stage = TEXT[TEXT.rindex("\nFROM ") :]
    assert stage.startswith("\nFROM scratch\n")
    assert re.findall(r"^COPY .* (\S+)$", stage, re.MULTILINE) == ["/usr/local/bin/posthaste", "/data"]
    assert not re.search(r"^(RUN|ADD|SHELL) ", stage, re.MULTILINE)
    assert re.search(r"^USER \d+:\d+$", stage, re.MULTILINE), "a name needs /etc/passwd, and is not known to be no root"


def kept(path):
    """Whether .dockerignore lets a file through: the last pattern that fits decides."""
    let = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("#") or not line:
            continue
        pattern = line.removeprefix("!")
        depth = pattern.count("/") + 1
        if any(parent.match(pattern) for parent in (path, *path.parents) if len(parent.parts) == depth):
            let = line.startswith("!")
    return let


def test_what_is_built_from_is_enough_and_holds_nothing_else(tmp_path):
    files = [pathlib.Path(line) for line in runs("git", "ls-files", cwd=ROOT).splitlines()]
    files = [path for path in files if kept(path) and (ROOT / path).is_file()]
    assert {path.parts[0] for path in files} == {"Cargo.toml", "Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "crates"}
    for path in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    # The smallest crate is enough for Cargo to look for everything that any manifest names, and for a change that the
    # lock file would need.
    env = os.environ | {"CARGO_TARGET_DIR": str(tmp_path / "target")}
    checked = subprocess.run(
        ["cargo", "check", "--locked", "--offline", "--quiet", "--package", "posthaste-fault"],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    for path in files:
        # Benches include fixtures of tests, and are not built.
        if path.suffix == ".rs" and "src" in path.parts:
            for included in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', (ROOT / path).read_text()):
                there = (ROOT / path).parent / included
                assert kept(there.resolve().relative_to(ROOT.resolve())), f"{path} includes {included}"
