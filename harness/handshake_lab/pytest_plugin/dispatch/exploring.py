"""Exploring a test: its job and its kernel as what is explored, how a run is judged, and what is left of a finding."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.explore.keep import keep
from handshake_lab.explore.outcome import Failed
from handshake_lab.explore.search import explore
from handshake_lab.explore.target import Target
from handshake_lab.explore.workers import chosen
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.shared.job import PACKAGE_ROOT
from handshake_lab.pytest_plugin.dispatch import finding_test
from handshake_lab.pytest_plugin.dispatch.worker import REPORTS
from handshake_lab.pytest_plugin.options.report_properties import RAISED_CLASS

if TYPE_CHECKING:
    import pytest

    from handshake_lab.explore.finding import Finding
    from handshake_lab.explore.search import Exploration
    from handshake_lab.explore.settings import Settings
    from handshake_lab.kernel.shared.job import Job, JobResult


def target(item: pytest.Item, job: Job, kernel_name: str, seed: int, wall_limit: float) -> Target:
    """What is explored, for a test."""
    return Target(
        item.nodeid, job, functools.partial(choose_kernel, kernel_name, seed, wall_limit, fresh_boot=False), judge
    )


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
    longrepr = report["longrepr"]
    name = ".".join(report.get(RAISED_CLASS) or ("", "failed"))
    place = _place(longrepr) if isinstance(longrepr, dict) else ""
    if not place:
        text = str(longrepr)
        return Failed(f"{name} {re.sub(r'[0-9]+', '0', text)[:80]}", text)
    return Failed(f"{name} {place}", f"{longrepr['reprcrash']['message']}\n({place})")


def _place(longrepr: dict[str, Any]) -> str:
    """The last line of a traceback that is not this package's, as ``file:line``."""
    if not longrepr.get("reprcrash"):
        return ""
    entries = [entry["data"].get("reprfileloc") for entry in longrepr["reprtraceback"]["reprentries"]]
    found = [entry for entry in entries if entry and not Path(entry["path"]).absolute().is_relative_to(PACKAGE_ROOT)]
    place = (found or [longrepr["reprcrash"]])[-1]
    return f"{Path(place['path']).name}:{place['lineno']}"


#: Where findings are kept, unless the command line names another directory.
FINDINGS = "handshake-findings"


def explored(item: pytest.Function, wanted: Target, settings: Settings, directory: Path) -> tuple[Exploration, str]:
    """Explore a test, and keep its findings.

    Args:
        item: The test.
        wanted: The test as a target.
        settings: What to try.
        directory: Where findings are kept.

    Returns:
        What was done, and a text about it.
    """
    place = directory / re.sub(r"[^\w.\[\]=-]+", "-", item.nodeid)
    with chosen(wanted, settings) as workers:
        exploration = explore(workers, settings, lambda _: None)
        told = [_told(exploration)]
        for finding in exploration.findings:
            kept = keep(wanted, finding, place / finding.name)
            test = _write_test(item, finding)
            told.append(_about(finding, kept, test))
    return exploration, "\n\n".join(told)


def _told(exploration: Exploration) -> str:
    found = f"{len(exploration.findings)} findings" if len(exploration.findings) != 1 else "1 finding"
    walked = "all that was asked for" if exploration.complete else "not all that was asked for"
    if exploration.interrupted:
        walked = "interrupted"
    rate = exploration.runs / exploration.seconds if exploration.seconds else 0.0
    return (
        f"explored: {exploration.segments} segments, {exploration.runs} runs ({walked}) "
        f"in {exploration.seconds:.1f} s, {rate:.1f} runs/s: {found}"
    )


def _about(finding: Finding, kept: Path, test: Path) -> str:
    faults = ", ".join(map(str, finding.faults)) or "no fault"
    lines = [f"FINDING: {faults} (found after {finding.runs} runs)", *finding.failed.text.splitlines()[:15]]
    if not finding.repeatable:
        lines.append("A second run gave another record: the test depends on something besides the seed.")
    return "\n".join([*lines, f"record: handshake show {kept}", f"test: pytest {test}"])


def _write_test(item: pytest.Function, finding: Finding) -> Path:
    """Write the finding's test beside the explored one, whose helpers and fixtures it needs."""
    name = re.sub(r"\W+", "_", f"{item.originalname}_{finding.name}")
    path = item.path.with_name(f"{name}.py")
    path.write_text(finding_test.source(item, finding), "utf-8")
    return Path(path)
