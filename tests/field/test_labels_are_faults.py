"""What a ladder prints about a segment can be given to ``--fault``, and means that segment: over all scenarios."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.fault_matching import matching
from handshake_lab.reconcile.stored_run import read
from handshake_lab.report.layout import labels
from handshake_lab.report.terminal.canvas import ASCII, BOX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.recording.history import Record, TransmittedSegment

SCENARIOS = Path(__file__).parents[1] / "scenarios"
#: As many runs as there are scenarios, at least.
MANY_RUNS, MANY_SEGMENTS = 100, 1000


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The records of all scenarios, from one run of them."""
    kept = tmp_path_factory.mktemp("scenarios")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(SCENARIOS)]
    done = subprocess.run(
        [*command, "--handshake-artifacts", str(kept)],
        cwd=SCENARIOS.parents[1],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return [read(events.parent).record for events in sorted(kept.rglob("events.jsonl"))]


def spellings(segment: TransmittedSegment) -> Iterator[str]:
    """Everything that ladders and sentences write for a segment."""
    for glyphs in (BOX, ASCII):
        yield from labels.forms(segment, glyphs.again)
    yield f"#{segment.number}"
    yield f"{segment.name} #{segment.number}"


def test_every_label_is_a_fault_for_its_segment(records: list[Record]) -> None:
    """Read, written and read again, it is the same fault; and of the record's segments it matches that one alone."""
    seen = 0
    for record in records:
        for segment in record.segments:
            if segment.sent is None or segment.sender == segment.receiver:
                continue  # it did not cross the network
            seen += 1
            for text in spellings(segment):
                fault = Fault.parse(f"drop {text}")
                assert fault == Fault.parse(str(fault)), text
                assert matching(fault, record.segments) == [segment], text

    assert len(records) >= MANY_RUNS
    assert seen >= MANY_SEGMENTS
