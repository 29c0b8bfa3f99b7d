"""Stores that earlier versions wrote move to PostgreSQL too: all that is tested of them where they were holds there."""

import subprocess

import pytest

from cluster import Cluster
from conftest import BINARY, DEADLINE_S, embedded_only
from importing import Import
from kept_store import MAIN_SECRET, Kept
from test_kept_stores import (  # noqa: F401
    NAMES,
    SETTINGS,
    opened,
    receivers,
    test_everything_in_it_is_read_as_it_was_written,
    test_its_sources_take_requests_and_know_those_that_they_had,
    test_what_waited_goes_out_signed_and_what_was_delivered_does_not,
)

pytestmark = embedded_only("what is imported is an embedded store, and the database is these tests' own")

ANOTHER_SECRET = "the main secret of the database"


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture(params=[(name, ANOTHER_SECRET) for name in NAMES] + [(NAMES[-1], MAIN_SECRET)])
def kept(request, tmp_path, receivers, cluster):  # noqa: F811
    name, secret = request.param
    kept = Kept(name, tmp_path / "data", receivers)
    (kept.database.parent / "main-secret").write_text(MAIN_SECRET + "\n")
    kept.moves = Import(kept.database, cluster.new_database(), secret)
    return kept


@pytest.fixture
def start(tmp_path):
    def start(kept):
        if kept.facts["schema"] < 6:
            said = kept.moves.refused()
            assert "and this version reads 6: bring it there with `posthaste migrate --data-dir" in said
        command = [BINARY, "migrate", "--data-dir", str(kept.database.parent)]
        migrated = subprocess.run(command, env=SETTINGS, capture_output=True, text=True, timeout=DEADLINE_S)
        assert migrated.returncode == 0, migrated.stderr
        before = kept.moves.source_digest()
        kept.moves.passes()
        assert kept.moves.source_digest() == before
        return kept.moves.serve(tmp_path / "node", kept.facts["token"], POSTHASTE_RETENTION=SETTINGS["POSTHASTE_RETENTION"])

    return start
