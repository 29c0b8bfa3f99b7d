"""A PostgreSQL of the tests' own, on a socket in a temporary directory."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

PROGRAMS = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))


class Cluster:
    """A cluster that can be stopped and started again."""

    def __init__(self, standby_of=None):
        if not PROGRAMS:
            pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
        self.programs = PROGRAMS[-1].parent
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="posthaste-pg-"))
        self.dir.chmod(0o777)
        if standby_of:
            self.run("pg_basebackup", "-D", "data", "-h", str(standby_of.dir), "-U", "postgres", "-R", "-c", "fast")
        else:
            self.run("initdb", "-D", "data", "-A", "trust", "-E", "UTF8", "--locale", "C", "-U", "postgres")
        conf = f"listen_addresses = ''\nunix_socket_directories = '{self.dir}'\nmax_connections = 200\n"
        self.run("tee", "-a", "data/postgresql.conf", input=conf)
        self.start()
        self.databases = 0

    def run(self, program, *arguments, **options):
        """PostgreSQL refuses to run as root: then its own user runs it."""
        known = self.programs / program
        command = [str(known) if known.exists() else program, *arguments]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", *command]
        output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, cwd=self.dir, check=True, text=True, timeout=60, **output, **options)

    def start(self):
        self.run("pg_ctl", "-D", "data", "-l", "data/log", "-w", "start")

    def stop(self):
        self.run("pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")

    def promote(self):
        self.run("pg_ctl", "-D", "data", "-w", "promote")

    def waits_for_its_standbys(self):
        """From now on a commit is one once a standby has it too."""
        for sql in ("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"):
            self.run("psql", "-h", str(self.dir), "-U", "postgres", "-c", sql)

    def new_database(self, *standbys):
        """Makes a database and returns its URL."""
        self.databases += 1
        name = f"nodes_{self.databases}"
        self.run("createdb", "-h", str(self.dir), "-U", "postgres", name)
        hosts = ",".join(str(cluster.dir).replace("/", "%2F") for cluster in (self, *standbys))
        return f"postgres://postgres@{hosts}/{name}"

    def answers(self, url, sql):
        """What a database says to a statement, as text."""
        command = [str(self.programs / "psql"), url, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def close(self):
        if (self.dir / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.dir)
