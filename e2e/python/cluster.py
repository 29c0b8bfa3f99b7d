"""A PostgreSQL of the tests' own, on a socket in a temporary directory."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

import two_nodes

PROGRAMS = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))


class Cluster:
    """A cluster that can be stopped and started again."""

    SETTINGS = {"max_connections": 200}
    POOLER_PORT = 6432

    def __init__(self, standby_of=None, pooled=False, **settings):
        if not PROGRAMS:
            pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
        self.programs = PROGRAMS[-1].parent
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="posthaste-pg-"))
        self.dir.chmod(0o777)
        if standby_of:
            self.run("pg_basebackup", "-D", "data", "-h", str(standby_of.dir), "-U", "postgres", "-R", "-c", "fast")
        else:
            self.run("initdb", "--no-sync", "-D", "data", "-A", "trust", "-E", "UTF8", "--locale", "C", "-U", "postgres")
        settings = self.SETTINGS | {"listen_addresses": "", "unix_socket_directories": self.dir} | settings
        conf = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        self.run("tee", "-a", "data/postgresql.conf", input=conf)
        self.start()
        self.databases = 0
        self.port = 5432
        if pooled:
            self.start_pooler()

    def run(self, program, *arguments, **options):
        """PostgreSQL refuses to run as root: then its own user runs it."""
        known = self.programs / program
        command = two_nodes.as_postgres([str(known) if known.exists() else program, *arguments])
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

    def start_pooler(self):
        """In transaction mode, and with few connections: who needs one for longer than a transaction is soon found out.

        While PostgreSQL is away it would hold what it is asked for two minutes: as operating.md says, it must not.
        """
        if not shutil.which("pgbouncer"):
            raise SystemExit("PgBouncer is not installed (apt-get install pgbouncer)")
        conf = f"""
            [databases]
            * = host={self.dir} user=postgres
            [pgbouncer]
            listen_addr =
            unix_socket_dir = {self.dir}
            listen_port = {self.POOLER_PORT}
            auth_type = any
            pool_mode = transaction
            max_client_conn = 2000
            default_pool_size = 10
            server_idle_timeout = 5
            server_login_retry = 1
            query_wait_timeout = 3
            pidfile = {self.dir}/pgbouncer.pid
            logfile = {self.dir}/data/pgbouncer.log
        """
        (self.dir / "pgbouncer.ini").write_text("\n".join(line.strip() for line in conf.splitlines()))
        self.run("pgbouncer", "-d", "pgbouncer.ini")
        self.port = self.POOLER_PORT

    def new_database(self, *standbys):
        """Makes a database and returns its URL, by way of the pooler if there is one."""
        self.databases += 1
        name = f"nodes_{self.databases}"
        self.run("createdb", "-h", str(self.dir), "-U", "postgres", name)
        hosts = ",".join(f"{str(cluster.dir).replace('/', '%2F')}:{cluster.port}" for cluster in (self, *standbys))
        return f"postgres://postgres@{hosts}/{name}"

    def answers(self, url, sql):
        """What a database says to a statement, as text."""
        command = [str(self.programs / "psql"), url, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def close(self):
        pooler = self.dir / "pgbouncer.pid"
        if pooler.exists():
            os.kill(int(pooler.read_text()), signal.SIGTERM)
        if (self.dir / "data" / "postmaster.pid").exists():
            self.stop()
        # The pooler removes its files as it ends.
        shutil.rmtree(self.dir, ignore_errors=True)


class SessionCluster(Cluster):
    """One for a whole run of tests, that nobody crashes: databases are copies of one that has the schema already."""

    SETTINGS = {"max_connections": 500, "fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "1h"}

    def __init__(self, binary, store):
        if not PROGRAMS:
            raise SystemExit("PostgreSQL is not installed (apt-get install postgresql)")
        super().__init__(pooled=store == "pooled")
        (self.dir / "databases").mkdir()
        self.environment = {
            "POSTHASTE_BIN": two_nodes.__file__,
            two_nodes.STORE: store,
            two_nodes.REAL: os.path.abspath(binary),
            two_nodes.CLUSTER: str(self.dir),
            two_nodes.PORT: str(self.port),
        }
        self.make_template(binary)

    def make_template(self, binary):
        self.run("createdb", "-h", str(self.dir), "-U", "postgres", two_nodes.TEMPLATE)
        url = f"postgres://postgres@{str(self.dir).replace('/', '%2F')}/{two_nodes.TEMPLATE}"
        env = {"POSTHASTE_DATABASE_URL": url, "POSTHASTE_MAIN_SECRET": "any"}
        subprocess.run([binary, "migrate"], env=os.environ | env, check=True, stdout=subprocess.DEVNULL, timeout=60)
        # Each copy is opened with the secret of its own test.
        sql = "DELETE FROM setting WHERE name = 'key_check'"
        self.run("psql", "-h", str(self.dir), "-U", "postgres", "-d", two_nodes.TEMPLATE, "-c", sql)
