"""Attempts of a test that pytest-rerunfailures runs again: only the last one counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

#: What pytest-rerunfailures makes of the outcome that causes a rerun.
_RERUN = "rerun"


class Attempts:
    """Tells the reports of attempts that are run again from those of the last attempt."""

    def __init__(self) -> None:
        self._superseded: dict[str, int] = {}

    def counts(self, report: pytest.TestReport) -> bool:
        """Whether a report can still belong to the last attempt. Call it once for each report, in their order.

        The report of a setup that passed may belong to an attempt that fails later; it says nothing then.
        """
        attempt: int = getattr(report, "rerun", 0)
        outcome: str = report.outcome
        if outcome == _RERUN:
            self._superseded[report.nodeid] = attempt
        return attempt > self._superseded.get(report.nodeid, -1)
