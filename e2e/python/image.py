"""The image of deploy/Dockerfile without Docker: the binary in a root of its own that nothing can be written to, as the
user and with the settings that the file names."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

from conftest import BINARY, Posthaste

ROOT = pathlib.Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
# Mounts as a container engine does, and becomes the image's user, without a process between us and the server.
ENTER = """
set -eu
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount --bind "$DATA" "$ROOT/data"
mount -t proc proc "$ROOT/proc"
for device in null random urandom; do mount --bind "/dev/$device" "$ROOT/dev/$device"; done
mount -o remount,bind,ro "$ROOT"
cd /
exec setpriv --no-new-privs chroot --userspec="$AS" --groups= "$ROOT" "$@"
"""


class Recipe:
    """What the last stage of the Dockerfile says."""

    def __init__(self):
        text = DOCKERFILE.read_text().replace("\\\n", " ")
        stage = text[text.rindex("\nFROM scratch") :]
        said = re.findall(r"^([A-Z]+) +(.*)$", stage, re.MULTILINE)
        self.entrypoint = json.loads(dict(said)["ENTRYPOINT"])
        self.command = json.loads(dict(said)["CMD"])
        self.user = dict(said)["USER"]
        self.healthcheck = json.loads(dict(said)["HEALTHCHECK"].split(" CMD ")[1])
        self.env = dict(pair.split("=", 1) for pair in shlex.split(dict(said)["ENV"]))


class Image(Posthaste):
    """A server as its container would run it. `files`: what the engine writes into the root before that."""

    def __init__(self, directory, files, **settings):
        if os.getuid() != 0:
            pytest.skip("a root of its own needs root's rights: run the tests as root")
        self.recipe = Recipe()
        self.root = directory / "root"
        self._lay_root(directory)
        for file, text in files.items():
            (self.root / file.lstrip("/")).write_text(text)
        self.run_in = directory / "run-in-image"
        self._write_entry(directory / "data")
        kept = {"POSTHASTE_LISTEN": "127.0.0.1:0", "POSTHASTE_DATA_DIR": "/data"}
        super().__init__(directory / "data", str(self.run_in), **self.recipe.env | kept | settings)

    def _lay_root(self, directory):
        for name in ("data", "dev", "etc", "proc"):
            (self.root / name).mkdir(parents=True)
        # Every engine gives these; a static binary reads its random bytes from one.
        for device in ("null", "random", "urandom"):
            (self.root / "dev" / device).touch()
        inside = self.root / self.recipe.entrypoint[0].lstrip("/")
        inside.parent.mkdir(parents=True)
        shutil.copy(BINARY, inside)
        for library in libraries(BINARY):
            there = self.root / library.lstrip("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, there)
        (directory / "data").mkdir(mode=0o700)
        user, group = map(int, self.recipe.user.split(":"))
        os.chown(directory / "data", user, group)

    def _write_entry(self, data):
        """A program that runs the image's own with other arguments; where its data is, the image knows better."""
        inside = " ".join(self.recipe.entrypoint)
        self.run_in.write_text(
            f"""#!/bin/sh
test "$1" = serve && set -- {" ".join(self.recipe.command)}
export ROOT={self.root} DATA={data} AS={self.recipe.user}
exec unshare --mount sh -c {shlex.quote(ENTER)} image {inside} "$@"
"""
        )
        self.run_in.chmod(0o755)

    def runs(self, *arguments):
        """Runs the image's program beside the server."""
        command = [str(self.run_in), *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)


def libraries(binary):
    """What the binary needs beside itself; nothing if it is static, as that of the image is."""
    said = subprocess.run(["ldd", binary], capture_output=True, text=True).stdout
    return re.findall(r"(/\S+) \(0x", said)
