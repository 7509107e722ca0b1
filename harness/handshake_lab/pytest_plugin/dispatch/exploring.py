"""Exploring a test: the target (its job and its kernel), the result of a run, and the test of a finding."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.explore.outcome import Failed
from handshake_lab.explore.session import search_and_keep
from handshake_lab.explore.target import Target, kernel_maker
from handshake_lab.pytest_plugin.dispatch import finding_test
from handshake_lab.pytest_plugin.dispatch.worker import REPORTS
from handshake_lab.pytest_plugin.options.report_properties import RAISED_AT, RAISED_CLASS

if TYPE_CHECKING:
    import pytest

    from handshake_lab.explore.finding import Finding
    from handshake_lab.explore.search import Exploration
    from handshake_lab.explore.settings import Settings
    from handshake_lab.kernel.shared.job import Job, JobResult


def target(
    item: pytest.Item, job: Job, kernel_name: str, seed: int, wall_limit: float, properties: tuple[str, ...] = ()
) -> Target:
    """A test as a target of the exploration."""
    loaded = item.config.pluginmanager._getconftestmodules(item.path)  # noqa: SLF001  pytest has no public access to it
    conftests = [Path(module.__file__) for module in loaded if module.__file__]
    kernel = kernel_maker(kernel_name, seed, wall_limit)
    return Target(item.nodeid, job, kernel, judge, properties, (item.path, *conftests))


def judge(result: JobResult) -> Failed | None:
    """How a test failed; None if it passed or was skipped."""
    file = result.results / REPORTS
    reports = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()] if file.exists() else []
    for report in reports:
        if report["outcome"] == "failed":
            return _failed(report)
    if not any(report.get("when") == "teardown" for report in reports):
        return Failed("unfinished", f"the test exited unexpectedly (exit status {result.status})\n{result.console}")
    return None


def _failed(report: dict[str, Any]) -> Failed:
    """The first line of a failure with its place; the signature has neither numbers nor times."""
    name = ".".join(report.get(RAISED_CLASS) or ("", "failed"))
    longrepr = report["longrepr"]
    if not isinstance(longrepr, dict) or not longrepr.get("reprcrash"):
        text = str(longrepr)
        return Failed(f"{name} {re.sub(r'[0-9]+', '0', text)[:80]}", text)
    place = report[RAISED_AT]
    return Failed(f"{name} {place}", f"{longrepr['reprcrash']['message']}\n({place})")


def explored(item: pytest.Function, wanted: Target, settings: Settings, directory: Path) -> tuple[Exploration, str]:
    """Explore a test, and keep its findings.

    Args:
        item: The test.
        wanted: The test as a target.
        settings: The settings of the exploration.
        directory: Where findings are kept.

    Returns:
        The exploration, and its summary as text.
    """
    place = directory / re.sub(r"[^\w.\[\]=-]+", "-", item.nodeid)
    return search_and_keep(wanted, settings, place, lambda finding: f"test: pytest {_write_test(item, finding)}")


def _write_test(item: pytest.Function, finding: Finding) -> Path:
    """Write the finding's test beside the explored one, whose helpers and fixtures it needs."""
    name = re.sub(r"\W+", "_", f"{item.originalname}_{finding.name}")
    path = item.path.with_name(f"{name}.py")
    path.write_text(finding_test.source(item, finding), "utf-8")
    return path
