"""The outcome of a run, from the files of its results."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import RecordUnreadable
from handshake_lab.experiment.properties import SOMETIMES, Sometimes
from handshake_lab.experiment.scheduled import POINTS
from handshake_lab.explore import equivalence, novelty, properties
from handshake_lab.explore.outcome import Failed, Outcome
from handshake_lab.plan.schedule import SegmentPoint
from handshake_lab.reconcile.stored_run import read
from handshake_lab.recording.run_files import EVENTS

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.plan.schedule import Fate

_points = msgspec.json.Decoder(SegmentPoint)
_sometimes = msgspec.json.Decoder(Sometimes)


def read_outcome(results: Path, fates: tuple[Fate, ...], failed: Failed | None, names: tuple[str, ...] = ()) -> Outcome:
    """The outcome of a run.

    Args:
        results: The directory of its files.
        fates: The faults of its schedule.
        failed: The failure that the target itself reported; None if it reported none.
        names: The properties that are also required.
    """
    points, said, events = results / POINTS, results / SOMETIMES, results / EVENTS
    outcome = Outcome(
        fates,
        tuple(_points.decode_lines(points.read_bytes())) if points.exists() else (),
        failed,
        hashlib.sha256(events.read_bytes()).hexdigest() if events.exists() else "",
        sometimes=tuple(_sometimes.decode_lines(said.read_bytes())) if said.exists() else (),
    )
    try:
        run = read(results)
    except RecordUnreadable:  # it failed before its record began
        return outcome
    return msgspec.structs.replace(
        outcome,
        failed=failed or properties.check(run, names),
        features=novelty.features(run, results),
        held=properties.held(run),
        keys=equivalence.keys(run, outcome.points),
    )
