"""The files of a finding that are kept: its record with a page and a capture, and the data to run it again."""

from __future__ import annotations

import platform
import shutil
import sys
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.explore.explain import Inevitable
from handshake_lab.explore.finding import Finding
from handshake_lab.explore.walk import Walker
from handshake_lab.reconcile.stored_run import read
from handshake_lab.recording.observations import KernelInfo
from handshake_lab.report.html.comparison import comparison
from handshake_lab.report.kept_run import write_capture, write_page
from handshake_lab.verdict.judge import judge

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from handshake_lab.explore.target import Target

#: The file with the finding itself.
FINDING = "finding.json"
#: The page with the passing and the failing run side by side.
COMPARISON = "comparison.html"


class KeptFinding(msgspec.Struct, frozen=True):
    """A finding, with what is needed to run it again.

    Attributes:
        target: The test's id.
        kernel: The kernel on which it was found, with its seed.
        python: The version of Python.
        machine: The architecture.
        finding: The finding.
        inevitable: Where the failure became inevitable.
    """

    target: str
    kernel: KernelInfo
    finding: Finding
    inevitable: Inevitable | None = None
    python: str = sys.version.split()[0]
    machine: str = platform.machine()


def keep(target: Target, finding: Finding, inevitable: Inevitable | None, directory: Path) -> Path:
    """Run a finding, and keep its record, beside that of the run without faults.

    Returns:
        The directory.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    passing = directory / "passing"
    with Walker(target) as walker:
        walker.keep(finding.outcome.fates, directory)
        walker.keep((), passing)
        kernel = walker.kernel.info
    kept = KeptFinding(target.name, kernel, finding, inevitable)
    (directory / FINDING).write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
    run = read(directory)
    verdict = judge(run.record)
    title = f"{target.name}: {', '.join(map(str, finding.faults))}"
    write_page(directory, run.record, run.observations, title=title, verdict=verdict, back=COMPARISON, lang="en")
    write_capture(directory, run.record, run.observations)
    facts = [finding.failed.text, str(inevitable) if inevitable else ""]
    html = comparison(read(passing).record, run.record, title=title, facts=facts, back="index.html")
    (directory / COMPARISON).write_text(html, "utf-8")
    return directory


def load(directory: Path) -> KeptFinding:
    """A finding that was kept.

    Raises:
        UsageError: There is none in this directory.
    """
    try:
        return msgspec.json.decode((directory / FINDING).read_bytes(), type=KeptFinding)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(
            "FINDING", str(directory), f"is not a finding ({error})", "handshake explore --replay DIR"
        ) from None


def kept_since(place: Path, time: float) -> list[KeptFinding]:
    """The findings in a directory that were kept, or kept again, since a time (`time.time`)."""
    files = sorted(place.glob(f"*/*/{FINDING}"))
    return [load(file.parent) for file in files if file.stat().st_mtime >= time]


def compared(findings: Mapping[str, Sequence[KeptFinding]], failed: Collection[str] = ()) -> str:
    """Which kernels break a target, as text: a line for each failure.

    Args:
        findings: By kernel.
        failed: The kernels whose exploration failed: with a finding, or for another reason.
    """
    without = {
        kernel: "failed, see above" if kernel in failed and not each else "nothing found"
        for kernel, each in findings.items()
    }
    broken: dict[tuple[str, str], dict[str, str]] = {}
    for kernel, each in findings.items():
        for kept in each:
            faults = ", ".join(map(str, kept.finding.faults)) or "no fault"
            broken.setdefault((kept.target, kept.finding.failed.signature), {})[kernel] = faults
    if not broken and not failed:
        return f"nothing found on Linux {', '.join(findings)}"
    if not broken:
        return "\n".join(f"Linux {kernel}: {text}" for kernel, text in without.items())
    lines = []
    for (target, signature), found in broken.items():
        shown = [f"Linux {kernel}: {found.get(kernel, without[kernel])}" for kernel in findings]
        lines.append("\n  ".join([f"{target}: {signature}", *shown]))
    return "\n".join(lines)
