"""What comes back from a kernel: reports and warnings, made what the outer session expects of its own."""

from __future__ import annotations

import sys
import time
import warnings as standard
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handshake_lab.pytest_plugin.dispatch.worker import REPORTS, WARNINGS, Failed
from handshake_lab.pytest_plugin.options.report_properties import RAISED

if TYPE_CHECKING:
    from pathlib import Path

#: The sections of a report that hold what was printed.
_PRINTED = ("Captured stdout", "Captured stderr")
#: What fails a test by ending it, rather than its cleaning up: told on its call.
_OF_THE_TEST = ("FaultNeverFired", "NotAsDocumented")


def reports(config: pytest.Config, results: Path) -> list[pytest.TestReport | pytest.CollectReport]:
    """The reports that were written down, complete ones only."""
    file = results / REPORTS
    if not file.exists():
        return []
    lines = file.read_bytes().splitlines(keepends=True)
    found: list[pytest.TestReport | pytest.CollectReport] = [
        config.hook.pytest_report_from_serializable(config=config, data=_with_tuples(msgspec.json.decode(line)))
        for line in lines
        if line.endswith(b"\n")
    ]
    _blame_the_test([report for report in found if isinstance(report, pytest.TestReport)])
    return found


def _with_tuples(data: dict[str, Any]) -> dict[str, Any]:
    """What pytest has as tuples, which JSON does not know."""
    if isinstance(data.get("longrepr"), list):  # a skip: path, line, reason
        data["longrepr"] = tuple(data["longrepr"])
    if isinstance(data.get("location"), list):
        data["location"] = tuple(data["location"])
    for name in ("sections", "user_properties"):
        data[name] = [tuple(pair) for pair in data.get(name, ())]
    return data


def _blame_the_test(found: list[pytest.TestReport]) -> None:
    """Move to the call what its teardown found wrong with the test itself."""
    by_phase = {report.when: report for report in found}
    call, teardown = by_phase.get("call"), by_phase.get("teardown")
    if teardown is None or not teardown.failed or not set(_OF_THE_TEST) & set(getattr(teardown, RAISED, ())):
        return
    if call is not None and call.passed:
        call.outcome, call.longrepr = "failed", teardown.longrepr
        setattr(call, RAISED, getattr(teardown, RAISED))
    teardown.outcome, teardown.longrepr = "passed", None


def failure(item: pytest.Item, message: str) -> pytest.TestReport:
    """The report of a test that could not tell its own end."""
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome="failed",
        longrepr=message,
        when="call",
    )


def of_the_call(found: list[pytest.TestReport]) -> pytest.TestReport:
    """The report of a test's call, which comes after those of its subtests; the first, if it never was called."""
    return next((report for report in reversed(found) if report.when == "call"), found[0])


def finish(item: pytest.Item, found: list[pytest.TestReport], began: float) -> None:
    """Give the reports this machine's time, and show what was printed if nothing is to be captured.

    Args:
        item: The test.
        found: Its reports. Inside, their durations were virtual.
        began: When it was sent into the kernel.
    """
    ended = time.time()
    main = of_the_call(found)
    for report in found:
        report.start = began if report is main else ended
        report.stop = ended
        report.duration = report.stop - report.start
    if item.config.option.capture == "no":
        _show(found)


def _show(found: list[pytest.TestReport]) -> None:
    """Print what was captured, once: each report has what those before it have."""
    shown = set()
    for report in found:
        for name, text in report.sections:
            if name.startswith(_PRINTED) and name not in shown:
                shown.add(name)
                (sys.stdout if "stdout" in name else sys.stderr).write(text)
        report.sections = [pair for pair in report.sections if not pair[0].startswith(_PRINTED)]


def warnings(item: pytest.Item, results: Path) -> None:
    """Hand the test's warnings to the outer session."""
    file = results / WARNINGS
    if not file.exists():
        return
    for line in file.read_bytes().splitlines():
        told = msgspec.json.decode(line, type=Failed)
        category = _category(told)
        message = standard.WarningMessage(
            message=category(told.message), category=category, filename=told.filename, lineno=told.lineno
        )
        item.ihook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": message,
                "when": "runtest",
                "nodeid": item.nodeid,
                "location": told.location,
            }
        )


def _category(told: Failed) -> type[Warning]:
    try:
        found = getattr(import_module(told.module), told.category)
        found("")
    except (ImportError, AttributeError, TypeError):
        return Warning  # a class that is known inside only, or wants more than a message
    return found if isinstance(found, type) and issubclass(found, Warning) else Warning
