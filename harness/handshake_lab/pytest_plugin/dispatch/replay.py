"""Replaying a worker's reports and warnings in the controller."""

from __future__ import annotations

import sys
import time
import warnings as standard
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handshake_lab.pytest_plugin.dispatch.worker import REPORTS, WARNINGS, SentWarning
from handshake_lab.pytest_plugin.options.report_properties import RAISED
from handshake_lab.pytest_plugin.results.pytest_reports import of_the_call

if TYPE_CHECKING:
    from pathlib import Path

#: The sections of a report that hold captured output begin with these.
_PRINTED = ("Captured stdout", "Captured stderr")
#: Errors of the test itself that only its teardown detects.
_OF_THE_TEST = ("FaultNeverFired", "NotAsDocumented")


def reports(config: pytest.Config, results: Path) -> list[pytest.TestReport | pytest.CollectReport]:
    """The reports that a worker has written; an incomplete last one is omitted."""
    file = results / REPORTS
    if not file.exists():
        return []
    lines = file.read_bytes().splitlines(keepends=True)
    found: list[pytest.TestReport | pytest.CollectReport] = [
        config.hook.pytest_report_from_serializable(config=config, data=_with_tuples(msgspec.json.decode(line)))
        for line in lines
        if line.endswith(b"\n")
    ]
    _move_to_call([report for report in found if isinstance(report, pytest.TestReport)])
    return found


def _with_tuples(data: dict[str, Any]) -> dict[str, Any]:
    """Convert those lists to tuples for which pytest has tuples."""
    if isinstance(data.get("longrepr"), list):  # a skip: path, line, reason
        data["longrepr"] = tuple(data["longrepr"])
    if isinstance(data.get("location"), list):
        data["location"] = tuple(data["location"])
    for name in ("sections", "user_properties"):
        data[name] = [tuple(pair) for pair in data.get(name, ())]
    return data


def _move_to_call(found: list[pytest.TestReport]) -> None:
    """Re-attribute errors of the test from its teardown to its call."""
    by_phase = {report.when: report for report in found}
    call, teardown = by_phase.get("call"), by_phase.get("teardown")
    if teardown is None or not teardown.failed or not set(_OF_THE_TEST) & set(getattr(teardown, RAISED, ())):
        return
    if call is not None and call.passed:
        call.outcome, call.longrepr = "failed", teardown.longrepr
        setattr(call, RAISED, getattr(teardown, RAISED))
    teardown.outcome, teardown.longrepr = "passed", None


def finish(item: pytest.Item, found: list[pytest.TestReport], began: float) -> None:
    """Set the wall time of the reports, and print the captured output if the session does not capture.

    Args:
        item: The test.
        found: Its reports, whose durations are in the kernel's time.
        began: When the controller started it, in seconds since the epoch.
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
    """Print the captured output once: each report repeats the sections of the previous ones."""
    shown = set()
    for report in found:
        for name, text in report.sections:
            if name.startswith(_PRINTED) and name not in shown:
                shown.add(name)
                (sys.stdout if "stdout" in name else sys.stderr).write(text)
        report.sections = [pair for pair in report.sections if not pair[0].startswith(_PRINTED)]


def warnings(item: pytest.Item, results: Path) -> None:
    """Replay the warnings of a test."""
    file = results / WARNINGS
    if not file.exists():
        return
    for line in file.read_bytes().splitlines():
        sent = msgspec.json.decode(line, type=SentWarning)
        category = _category(sent)
        message = standard.WarningMessage(
            message=category(sent.message), category=category, filename=sent.filename, lineno=sent.lineno
        )
        item.ihook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": message,
                "when": "runtest",
                "nodeid": item.nodeid,
                "location": sent.location,
            }
        )


def _category(sent: SentWarning) -> type[Warning]:
    try:
        found = getattr(import_module(sent.module), sent.category)
        found("")
    except (ImportError, AttributeError, TypeError):
        return Warning  # a class that cannot be imported here, or needs more than a message
    return found if isinstance(found, type) and issubclass(found, Warning) else Warning
