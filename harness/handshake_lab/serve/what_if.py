"""A recorded run once more, with another fate of one of its segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.experiment.execute import conducted
from handshake_lab.plan.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.plan.run_plan import RunPlan
    from handshake_lab.recording.history import Record

    #: Makes the plan of a command again, and the kernel for it.
    Replayed = Callable[[str], tuple[RunPlan, Kernel]]

#: The verbs whose runs can be had again.
VERBS = ("demo", "record")
#: The fault for each fate. The same seed gives the same run up to this segment.
_FAULTS = {
    "drop": "drop #{number}",
    "delay": "delay #{number} 300ms",
    "duplicate": "duplicate #{number}",
    "reset": "inject RST to {receiver} on #{number}",
}


def can_be_had_again(record: Record) -> bool:
    """Whether a run is one of `VERBS` on a lab kernel; to have it again may be refused nevertheless."""
    ours = record.header.replay.startswith(tuple(f"handshake {verb}" for verb in VERBS))
    return ours and record.header.kernel.kind == "lab"


def another_run(record: Record, number: int, fate: str, replayed: Replayed) -> tuple[Record, str]:
    """Run a recorded command again with a fault.

    Args:
        record: The recorded run.
        number: The number of a segment in its ladder.
        fate: A key of `_FAULTS`.
        replayed: Makes its plan again.

    Returns:
        The record of the other run, and the command that gives it.

    Raises:
        UsageError: There is no such segment or fate, or the run cannot be had again here.
        HandshakeError: The run failed.
    """
    segment = next((each for each in record.segments if each.number == number), None)
    if segment is None or fate not in _FAULTS:
        raise UsageError("segment", f"{fate} #{number}", "is not a fate of a segment of this run", "drop #2")
    text = _FAULTS[fate].format(number=number, receiver=segment.receiver)
    command = record.header.replay
    plan, kernel = replayed(command)
    plan = msgspec.structs.replace(plan, faults=(*plan.faults, Fault.parse(text)))
    with conducted(plan, kernel) as run:
        return run.record, f'{command} --fault "{text}"'
