"""The files of a finding that are kept: its record with a page and a capture, and the data to run it again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.explore.walk import Walker
from handshake_lab.reconcile.stored_run import read
from handshake_lab.report.kept_run import write_capture, write_page
from handshake_lab.verdict.judge import judge

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.explore.finding import Finding
    from handshake_lab.explore.target import Target

#: The file with the finding itself.
FINDING = "finding.json"


def keep(target: Target, finding: Finding, directory: Path) -> Path:
    """Run a finding, and keep its record.

    Returns:
        The directory.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with Walker(target) as walker:
        walker.keep(finding.outcome.fates, directory)
    (directory / FINDING).write_bytes(msgspec.json.format(msgspec.json.encode(finding), indent=1) + b"\n")
    run = read(directory)
    verdict = judge(run.record)
    title = f"{target.name}: {', '.join(map(str, finding.faults))}"
    write_page(directory, run.record, run.observations, title=title, verdict=verdict, back="", lang="en")
    write_capture(directory, run.record, run.observations)
    return directory
