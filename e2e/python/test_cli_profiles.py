"""Which server is asked, and with which token: flags, then the environment, then profiles, then what lies here."""

import stat
import uuid

import pytest

from cli import FORBIDDEN, OK, UNREACHABLE, USAGE, Cli


@pytest.fixture
def bare(tmp_path):
    """A command line that knows no server."""
    return Cli(None, tmp_path)


@pytest.fixture
def token(posthaste):
    return posthaste.new_token(f"e{uuid.uuid4().hex[:12]}")


def test_a_profile_names_a_server_and_its_token_and_shows_only_its_beginning(bare, posthaste, token, tmp_path):
    said = bare.run("config", "profile", "set", "work", "--server", posthaste.url, "--token", "-", stdin=token.encode() + b"\n")
    file = tmp_path / "posthaste" / "config.toml"
    assert said.returncode == OK and token.encode() not in said.stdout + said.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    bare.does("config", "profile", "set", "other", "--server", "http://127.0.0.1:1", "--token", "phk_other")
    listed = bare.does("config", "profile", "list")
    assert token not in listed and token[:12] in listed
    # The first is the default; others are named.
    assert bare.rows("app", "list") == []
    bare.fails(UNREACHABLE, "app", "list", "--profile", "other")
    bare.fails(UNREACHABLE, "app", "list", POSTHASTE_PROFILE="other")
    assert "there are: other, work" in bare.fails(USAGE, "app", "list", "--profile", "wrok")
    bare.does("config", "profile", "remove", "work")
    assert "work" not in bare.does("config", "profile", "list")


def test_flags_go_before_the_environment_and_that_before_profiles(bare, posthaste, token):
    bare.does("config", "profile", "set", "work", "--server", posthaste.url, "--token", token)
    nowhere = "http://127.0.0.1:1"
    assert bare.rows("app", "list") == []
    bare.fails(UNREACHABLE, "app", "list", POSTHASTE_SERVER=nowhere, POSTHASTE_TOKEN="phk_x")
    assert bare.rows("app", "list", "--server", posthaste.url, "--token", token) == []
    bare.fails(UNREACHABLE, "app", "list", "--server", nowhere, "--token", "x", POSTHASTE_SERVER=posthaste.url)
    # A profile that a flag names is a flag.
    bare.does("app", "list", "--profile", "work", POSTHASTE_SERVER=nowhere, POSTHASTE_TOKEN="phk_x")


def test_a_token_goes_to_its_own_server_only(bare, posthaste, token):
    bare.does("config", "profile", "set", "work", "--server", posthaste.url, "--token", token)
    assert "there is no token for http://elsewhere.example" in bare.fails(FORBIDDEN, "app", "list", "--server", "http://elsewhere.example")
    # Nor does it stay when the profile moves to another server.
    bare.does("config", "profile", "set", "work", "--server", "http://elsewhere.example")
    bare.fails(FORBIDDEN, "app", "list")


def test_a_profile_that_others_can_read_is_warned_of_and_a_bad_one_is_refused(bare, posthaste, token, tmp_path):
    bare.does("config", "profile", "set", "work", "--server", posthaste.url, "--token", token)
    file = tmp_path / "posthaste" / "config.toml"
    file.chmod(0o644)
    done = bare.run("app", "list")
    assert done.returncode == OK and b"chmod 600" in done.stderr
    file.write_text("[profile.work]\nservr = 'x'\n")
    said = bare.fails(USAGE, "app", "list")
    assert "config.toml cannot be used" in said and "servr" in said and token not in said
