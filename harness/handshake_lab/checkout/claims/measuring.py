"""Measuring the claims with pytest: the tests in ``tests/documented/``, by the ids of the claims."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec

from handshake_lab.checkout.claims.claim import CLAIMS, PROPERTY, ClaimFinding, ClaimOutcome
from handshake_lab.checkout.pytest_run import run_pytest
from handshake_lab.checkout.root import REPOSITORY
from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TESTS = "tests/documented"
_NAME = re.compile(r"test_c(\d+)_")


def measure(kernel: str, seed: int, only: Sequence[str] = ()) -> list[ClaimOutcome]:
    """Measure claims on a kernel; pytest's output goes to standard error.

    Args:
        kernel: As for ``--kernel``.
        seed: As for ``--seed``.
        only: The ids of the claims; all claims if there are none.

    Returns:
        The outcome of each, in the order of the notes.

    Raises:
        UsageError: This is not a checkout of the project; the tests are not installed with the package.
        PytestFailed: pytest did not run all tests.
    """
    if not (REPOSITORY / _TESTS).is_dir():
        raise UsageError(
            "claims", str(REPOSITORY), "is not a checkout of Handshake Lab", "cd handshake-lab && ./handshake claims"
        )
    wanted = tuple(only) or CLAIMS
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "claims.xml"
        words = [_TESTS, "--quiet", "--no-header", "--numprocesses=auto", "--handshake-slow"]
        words += [f"--handshake-seed={seed}", f"--junitxml={report}"]
        if only:
            words += ["-k", " or ".join(f"test_c{int(each[1:]):02}_" for each in only)]
        run_pytest(words, REPOSITORY, kernel, quiet=True)
        found = {outcome.id: outcome for outcome in read(report.read_text("utf-8"))}
    return [found.get(each, ClaimOutcome(each, None, "its test did not run")) for each in wanted]


def read(report: str) -> list[ClaimOutcome]:
    """The outcomes in pytest's JUnit report."""
    return [_outcome(case) for case in ET.fromstring(report).iter("testcase")]  # noqa: S314 -- pytest has just written it


def _outcome(case: ET.Element) -> ClaimOutcome:
    name = case.get("name", "")
    number = _NAME.match(name)
    if number is None:
        raise UsageError(str(_TESTS), name, "is not the test of a claim", "def test_c01_three_segments(net)")
    claim = f"C{int(number[1])}"
    trouble = next((each for each in case if each.tag in ("failure", "error", "skipped")), None)
    if trouble is not None:
        return ClaimOutcome(claim, None, (trouble.get("message") or trouble.tag).partition("\n")[0])
    for each in case.iter("property"):
        if each.get("name") == PROPERTY:
            return ClaimOutcome(claim, msgspec.json.decode(each.get("value", ""), type=ClaimFinding))
    return ClaimOutcome(claim, None, "its test reported no verdict")
