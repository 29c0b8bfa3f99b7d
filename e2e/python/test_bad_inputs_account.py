"""Every bad input that we know of is accounted for: run as data, run by a test of its own, or not possible here."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
ACCOUNT = json.loads((ROOT / "e2e/fixtures/bad_inputs_account.json").read_text())
CASES = ACCOUNT["cases"]


def text_of(path):
    return (ROOT / path).read_text()


def is_run(case, by):
    """Whether the data, or the test, that is named for a case is there."""
    path, _, test = by.partition("::")
    if not test:
        return case in [one["id"] for one in json.loads(text_of(path))["cases"]]
    if path.endswith(".mjs"):
        return f'test("{test}"' in text_of(path)
    return re.search(rf"(def|fn) {test}\(", text_of(path)) is not None


def test_no_case_is_missing():
    assert len(CASES) == ACCOUNT["known"]
    run = [case for case, by in CASES.items() if isinstance(by, str)]
    print(f"{len(run)} of {len(CASES)} bad inputs are run, {len(CASES) - len(run)} are not possible here")


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_run_or_there_is_a_reason_why_not(case):
    by = CASES[case]
    if isinstance(by, str):
        assert is_run(case, by), f"{case}: {by} is not there"
        return
    assert len(by["not_applicable"]) > 40, f"{case} needs a reason"
    if "while" in by:
        path, words = by["while"]
        assert words in text_of(path), f"{case}: what it is about seems to be built now, so it must be run"
