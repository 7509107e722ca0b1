"""Attempts of a test that pytest-rerunfailures runs again: only the last one counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

#: The outcome that pytest-rerunfailures gives to an attempt that is run again.
_RERUN = "rerun"


class Attempts:
    """Distinguishes the reports of the last attempt from those of attempts that are run again."""

    def __init__(self) -> None:
        self._superseded: dict[str, int] = {}

    def counts(self, report: pytest.TestReport) -> bool:
        """Whether a report may belong to the last attempt. Must be called once for each report, in their order.

        The report of a setup that passed may belong to an attempt that fails later, and is then of no interest.
        """
        attempt: int = getattr(report, "rerun", 0)
        outcome: str = report.outcome
        if outcome == _RERUN:
            self._superseded[report.nodeid] = attempt
        return attempt > self._superseded.get(report.nodeid, -1)
