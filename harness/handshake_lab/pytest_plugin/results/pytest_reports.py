"""Reports of pytest: the one of a test's call, and those that no worker has written."""

from __future__ import annotations

import pytest


def failure(item: pytest.Item, message: str) -> pytest.TestReport:
    """A failed report for a test that has no report."""
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome="failed",
        longrepr=message,
        when="call",
    )


def of_the_call(found: list[pytest.TestReport]) -> pytest.TestReport:
    """The report of a test's call, which follows those of its subtests; the first report if there was no call."""
    return next((report for report in reversed(found) if report.when == "call"), found[0])


def skip(item: pytest.Item, report: pytest.TestReport, reason: str) -> None:
    """Make a report that of a skipped test."""
    path, line, _ = item.location
    report.outcome = "skipped"
    report.longrepr = (path, line or 0, reason)
