"""The unit for systemd."""

import re
import shutil
import subprocess

import pytest
from conftest import DEPLOY, DEADLINE_S, drain_s, known_settings, seconds

EXPOSURE_MAX = 20
UNIT = (DEPLOY / "posthaste.service").read_text()


@pytest.fixture
def unit(tmp_path):
    """The unit with a program that is installed here."""
    unit = tmp_path / "posthaste.service"
    unit.write_text(UNIT.replace("/usr/local/bin/posthaste", shutil.which("true")))
    return unit


def analyze(*arguments):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=DEADLINE_S)


def test_systemd_understands_it(unit):
    verified = analyze("verify", "--man=no", str(unit))
    assert verified.returncode == 0 and not verified.stderr, verified.stderr


def test_it_exposes_little(unit):
    """Out of 100; a unit without any protection has 96."""
    judged = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", str(unit))
    assert judged.returncode == 0, judged.stdout[-200:]


def test_it_has_the_time_that_a_drain_takes_and_settings_that_exist():
    known = known_settings()
    patience = seconds(re.search(r"^TimeoutStopSec=(\S+)$", UNIT, re.MULTILINE)[1])
    assert patience > drain_s() + seconds(known["POSTHASTE_REQUEST_TIMEOUT"]) + seconds(known["POSTHASTE_LEAVE_NOTICE"])
    for setting in re.findall(r"(POSTHASTE_\w+)=", UNIT):
        assert setting.removesuffix("_FILE") in known, setting
