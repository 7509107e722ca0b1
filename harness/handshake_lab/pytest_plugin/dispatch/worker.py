"""The worker: runs one test with pytest in a kernel, and writes its reports to a file."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handshake_lab.errors import EnvironmentUnsupported, HandshakeError, SettingMissing
from handshake_lab.kernel.lab.branch_point import end_here
from handshake_lab.kernel.lab.stage import reach_stage
from handshake_lab.kernel.shared.job import PACKAGE_ROOT
from handshake_lab.plan.schedule import Schedule
from handshake_lab.pytest_plugin.dispatch import shared_fixtures
from handshake_lab.pytest_plugin.dispatch.code_coverage import measured
from handshake_lab.pytest_plugin.dispatch.time_limit import limited
from handshake_lab.pytest_plugin.options import time_limits
from handshake_lab.pytest_plugin.options.command_line import spelled
from handshake_lab.pytest_plugin.options.report_properties import COMPARED, RAISED, RAISED_AT, RAISED_CLASS
from handshake_lab.pytest_plugin.results import state_comparison
from handshake_lab.recording.observations import KernelInfo

if TYPE_CHECKING:
    import warnings
    from collections.abc import Generator

#: The file of reports, one per line.
REPORTS = "reports.jsonl"
#: The file of warnings, one per line.
WARNINGS = "warnings.jsonl"


class Place(msgspec.Struct, frozen=True):
    """Where a test runs, for the fixture ``net``."""

    kernel: KernelInfo
    links: tuple[str, ...]
    results: Path
    replay: str = ""  #: the command that runs the test again with the same result
    follow: tuple[int, ...] | None = (
        None  #: the numbers of the decisions to take at branch points, instead of branching
    )
    schedule: Schedule | None = None  #: what happens to the run's segments, where it is explored


class SentWarning(msgspec.Struct, frozen=True):
    """A warning, as a worker sends it to the controller."""

    message: str
    module: str  #: of its category
    category: str
    filename: str
    lineno: int
    location: tuple[str, int, str] | None


PLACE = pytest.StashKey[Place]()


class Reporter:
    """Writes each report to the file, serialised as in pytest-xdist, and applies the controller's options."""

    def __init__(self, argument: dict[str, Any], results: Path) -> None:
        self._options: dict[str, Any] = argument["options"]
        self._markers: list[str] = argument["markers"]
        self._results = results
        self._place = _place(argument, results)
        self._config: pytest.Config
        self._compared: tuple[list[str], list[str]] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Apply the controller's options and markers."""
        self._config = config
        config.stash[PLACE] = self._place
        vars(config.option).update(self._options)
        known = set(config.getini("markers"))
        for marker in self._markers:
            if marker not in known:
                config.addinivalue_line("markers", marker)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Run one of the collected tests. Its name is known only after the fork from the kernel that has collected."""
        if session.testsfailed:  # the collection failed: pytest ends here, with reports of the reasons
            return
        shared_fixtures.set_up(session)
        argument = reach_stage()
        self._place = session.config.stash[PLACE] = _place(argument, self._results)
        session.items[:] = [item for item in session.items if item.nodeid == argument["item"]]
        session.testscollected = len(session.items)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Mark in the record where the test's own code begins and ends; innermost, to exclude the code of plugins."""
        from handshake_lab.experiment.net import Net

        net = pyfuncitem.funcargs.get("net")
        with contextlib.ExitStack() as stack:
            if isinstance(net, Net):
                stack.enter_context(net.recording.script())
                stack.enter_context(limited(self._options["handshake_time_limit"], net.recording.programs))
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the exception that failed a test; an error of this package is shown as a message, without a traceback."""
        report = yield
        if report.failed and call.excinfo is not None:
            error = call.excinfo.value
            kinds = [kind.__name__ for kind in type(error).__mro__]
            setattr(report, RAISED, kinds)
            setattr(report, RAISED_CLASS, (type(error).__module__, type(error).__qualname__))
            setattr(report, RAISED_AT, _place_of(call.excinfo))
            setattr(report, COMPARED, self._compared)
            if isinstance(error, HandshakeError):
                report.longrepr = spelled(str(error))
            real = isinstance(error, EnvironmentUnsupported) and self._place.kernel.real_time
            if real or isinstance(error, SettingMissing):
                # If this machine's kernel lacks a feature, the test does not fail; the lab kernel has all features,
                # but not each release has each setting.
                report.outcome = "skipped"
                report.longrepr = time_limits.skipped(item, spelled(str(error))).longrepr
        return report

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> list[str] | None:
        """Explain a comparison of states, and keep it for the ladder."""
        found = state_comparison.compared(left, right) if op == "==" else None
        if found is None:
            return None
        self._compared = found
        return state_comparison.explanation(*found, self._options["handshake_lang"])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the report of a setup, call or teardown."""
        # In this hook pytest fails a test with failed subtests (_pytest/subtests.py). The terminal reporter, which a
        # worker does not have, would call it.
        self._config.hook.pytest_report_teststatus(report=report, config=self._config)
        self._report(report)
        if report.when == "teardown" and self._place.schedule is not None:
            end_here()  # all that is read of an explored run is written

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write the report of a collection that failed."""
        if report.failed:
            self._report(report)

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, location: tuple[str, int, str] | None
    ) -> None:
        """Write a warning of the test; the controller has already shown those of the collection."""
        if when != "runtest":
            return
        sent = SentWarning(
            message=str(warning_message.message),
            module=warning_message.category.__module__,
            category=warning_message.category.__qualname__,
            filename=warning_message.filename,
            lineno=warning_message.lineno,
            location=location,
        )
        self._write(WARNINGS, sent)

    def _report(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._write(REPORTS, data)

    def _write(self, name: str, data: object) -> None:
        with (self._place.results / name).open("ab") as file:
            file.write(msgspec.json.encode(data, enc_hook=str) + b"\n")


def run(argument: Any, results: Path) -> int:
    """The job: run the test ``argument["item"]`` of the file in ``argument["args"]``; returns pytest's exit status."""
    os.chdir(argument["directory"])
    sys.path[:] = dict.fromkeys([*argument["path"], *sys.path])
    plugins = ["handshake_lab.pytest_plugin.hooks", *argument["plugins"]]
    with measured(argument["coverage"], results):
        return int(pytest.main(argument["args"], plugins=[*map(_load, plugins), Reporter(argument, results)]))


def _place_of(raised: pytest.ExceptionInfo[BaseException]) -> str:
    """The last line of a traceback outside this package."""
    found = [entry for entry in raised.traceback if not Path(entry.path).absolute().is_relative_to(PACKAGE_ROOT)]
    entry = (found or list(raised.traceback))[-1]
    return f"{Path(entry.path).name}:{entry.lineno + 1}"


def _place(argument: dict[str, Any], results: Path) -> Place:
    return Place(
        kernel=msgspec.convert(argument["kernel"], KernelInfo),
        links=tuple(argument["links"]),
        results=results,
        replay=argument["replay"],
        follow=None if argument["follow"] is None else tuple(argument["follow"]),
        schedule=msgspec.convert(argument["schedule"], Schedule | None),
    )


def _load(name: str) -> object:
    """The object that an entry point refers to."""
    module, _, attributes = name.partition(":")
    found: object = importlib.import_module(module)
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute)
    return found
