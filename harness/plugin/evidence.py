"""What a test leaves behind: its record, what it says of the state diagram, and its ladder where it failed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import RecordUnreadable
from harness.timeline.store import EVENTS, read

if TYPE_CHECKING:
    import pytest

    from harness.timeline.history import Record
    from harness.timeline.observations import Witness

#: Names of the properties that travel on a test's reports.
EDGES = "handshake_edges"
TCP_SECONDS = "handshake_tcp_seconds"

DEFAULT_ARTIFACTS = "handshake-artifacts"


def attach(item: pytest.Item, reports: list[pytest.TestReport], results: Path, artifacts: str | None) -> None:
    """Add to a test's reports what its record says, and keep the record where it is wanted.

    Args:
        item: The test.
        reports: Its reports; the one on its call gets the properties, a failed one the ladder.
        results: The directory with its record.
        artifacts: Where every record is kept; None keeps those of failed tests in `DEFAULT_ARTIFACTS`.
    """
    if not (results / EVENTS).exists():
        return
    from harness.timeline.reconcile import reconcile

    try:
        log = read(results)
    except RecordUnreadable as error:
        reports[-1].sections.append(("record", str(error)))
        return
    record = reconcile(log.observations)
    last = max(observation.t for observation in log.observations)
    for report in reports:
        if report.when == "call":
            report.user_properties.append((EDGES, _edges(record)))
            report.user_properties.append((TCP_SECONDS, last / 1e9))
    failed = next((report for report in reports if report.failed), None)
    if failed is None and artifacts is None:
        return
    kept = keep(item, results, Path(artifacts or DEFAULT_ARTIFACTS))
    if failed is not None:
        from harness.report.ladder import text

        failed.sections.append(("ladder", text(record)))
        failed.sections.append(("record", f"kept in {kept}; look again with: handshake show {kept}"))


def _edges(record: Record) -> list[tuple[str, list[str]]]:
    seen: dict[str, set[Witness]] = {}
    for endpoint in record.endpoints:
        for step in endpoint.transitions:
            if step.edge is not None:
                seen.setdefault(step.edge, set()).update(step.witnesses)
    # Plain words: pytest-xdist sends nothing else between processes.
    return [(edge, sorted(witness.value for witness in witnesses)) for edge, witnesses in sorted(seen.items())]


def keep(item: pytest.Item, results: Path, artifacts: Path) -> Path:
    """Copy a test's record to the artifacts, replacing that of an earlier run."""
    directory = artifacts / re.sub(r"[^\w.\[\]=-]+", "-", item.nodeid)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    shutil.copy2(results / EVENTS, directory / EVENTS)
    return directory
