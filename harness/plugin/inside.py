"""Where the kernel is: run one test with pytest, and write its reports down."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.timeline.observations import KernelInfo

#: One serialized report a line.
REPORTS = "reports.jsonl"


class Place(msgspec.Struct, frozen=True):
    """Where a test runs: what the fixture ``net`` needs to know."""

    kernel: KernelInfo
    links: tuple[str, ...]
    results: Path


PLACE = pytest.StashKey[Place]()


class Reporter:
    """Writes each report down as pytest-xdist would send it, and takes over the outer session's options."""

    def __init__(self, options: dict[str, Any], place: Place) -> None:
        self._options = options
        self._place = place
        self._config: pytest.Config

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Let the outer command line's options hold here."""
        self._config = config
        config.stash[PLACE] = self._place
        vars(config.option).update(self._options)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a report of setup, call or teardown."""
        self._write(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write down why the test could not be collected here."""
        if report.failed:
            self._write(report)

    def _write(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        with (self._place.results / REPORTS).open("ab") as file:
            file.write(msgspec.json.encode(data, enc_hook=str) + b"\n")


def run(argument: Any, results: Path) -> int:
    """The job: run the test that ``argument["args"]`` selects; the exit status is pytest's."""
    os.chdir(argument["directory"])
    kernel = msgspec.convert(argument["kernel"], KernelInfo)
    place = Place(kernel=kernel, links=tuple(argument["links"]), results=results)
    return int(pytest.main(argument["args"], plugins=[Reporter(argument["options"], place)]))
