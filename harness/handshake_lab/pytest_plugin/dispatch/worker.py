"""Where the kernel is: run one test with pytest, and write its reports down."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handshake_lab.errors import EnvironmentUnsupported, HandshakeError
from handshake_lab.pytest_plugin.dispatch.code_coverage import measured
from handshake_lab.pytest_plugin.options import time_limits
from handshake_lab.pytest_plugin.options.command_line import spelled
from handshake_lab.pytest_plugin.options.report_properties import COMPARED, RAISED, RAISED_CLASS
from handshake_lab.pytest_plugin.results import state_comparison
from handshake_lab.recording.observations import KernelInfo

if TYPE_CHECKING:
    import warnings
    from collections.abc import Generator

#: One serialized report a line.
REPORTS = "reports.jsonl"
#: One warning a line.
WARNINGS = "warnings.jsonl"


class Place(msgspec.Struct, frozen=True):
    """Where a test runs: what the fixture ``net`` needs to know."""

    kernel: KernelInfo
    links: tuple[str, ...]
    results: Path
    replay: str = ""  #: the command that gives the run again


class Failed(msgspec.Struct, frozen=True):
    """A warning on its way home."""

    message: str
    module: str  #: of its category
    category: str
    filename: str
    lineno: int
    location: tuple[str, int, str] | None


PLACE = pytest.StashKey[Place]()


class Reporter:
    """Writes each report down as pytest-xdist would send it, and takes over the outer session's options."""

    def __init__(self, argument: dict[str, Any], place: Place) -> None:
        self._options: dict[str, Any] = argument["options"]
        self._markers: list[str] = argument["markers"]
        self._place = place
        self._config: pytest.Config
        self._compared: tuple[list[str], list[str]] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Let the outer command line's options and markers hold here."""
        self._config = config
        config.stash[PLACE] = self._place
        vars(config.option).update(self._options)
        known = set(config.getini("markers"))
        for marker in self._markers:
            if marker not in known:
                config.addinivalue_line("markers", marker)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Say which exception failed a test; one of ours is a message, without the way it came."""
        report = yield
        if report.failed and call.excinfo is not None:
            error = call.excinfo.value
            kinds = [kind.__name__ for kind in type(error).__mro__]
            setattr(report, RAISED, kinds)
            setattr(report, RAISED_CLASS, (type(error).__module__, type(error).__qualname__))
            setattr(report, COMPARED, self._compared)
            if isinstance(error, HandshakeError):
                report.longrepr = spelled(str(error))
            if isinstance(error, EnvironmentUnsupported) and self._place.kernel.real_time:
                # What this machine's own kernel lacks is no failure of the test; the lab kernel lacks nothing.
                report.outcome = "skipped"
                report.longrepr = time_limits.skipped(item, spelled(str(error))).longrepr
        return report

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> list[str] | None:
        """Tell a comparison of states in the document's words, and remember it for the ladder."""
        found = state_comparison.compared(left, right) if op == "==" else None
        if found is None:
            return None
        self._compared = found
        return state_comparison.explanation(*found, self._options["handshake_lang"])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a report of setup, call or teardown."""
        # Where this is asked, pytest fails a test of which subtests failed (_pytest/subtests.py); the outer session
        # does not know of them, and there is no terminal here that would ask.
        self._config.hook.pytest_report_teststatus(report=report, config=self._config)
        self._report(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write down why the test could not be collected here."""
        if report.failed:
            self._report(report)

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, location: tuple[str, int, str] | None
    ) -> None:
        """Write down a warning of the test; those of its collection the outer session has had."""
        if when != "runtest":
            return
        told = Failed(
            message=str(warning_message.message),
            module=warning_message.category.__module__,
            category=warning_message.category.__qualname__,
            filename=warning_message.filename,
            lineno=warning_message.lineno,
            location=location,
        )
        self._write(WARNINGS, told)

    def _report(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._write(REPORTS, data)

    def _write(self, name: str, data: object) -> None:
        with (self._place.results / name).open("ab") as file:
            file.write(msgspec.json.encode(data, enc_hook=str) + b"\n")


def run(argument: Any, results: Path) -> int:
    """The job: run the test that ``argument["args"]`` selects; the exit status is pytest's."""
    os.chdir(argument["directory"])
    sys.path[:] = dict.fromkeys([*argument["path"], *sys.path])
    kernel = msgspec.convert(argument["kernel"], KernelInfo)
    place = Place(kernel=kernel, links=tuple(argument["links"]), results=results, replay=argument["replay"])
    plugins = ["handshake_lab.pytest_plugin.hooks", *argument["plugins"]]
    with measured(argument["coverage"], results):
        return int(pytest.main(argument["args"], plugins=[*map(_load, plugins), Reporter(argument, place)]))


def _load(name: str) -> object:
    """What an entry point names."""
    module, _, attributes = name.partition(":")
    found: object = importlib.import_module(module)
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute)
    return found
