"""What a record does not explain: unknown causes, gaps, contradictions, objections."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record


def unexplained(record: Record) -> list[str]:
    """What a record does not explain, in sentences; a test of this project's asserts that it is empty.

    These are transitions whose cause is unknown, transitions to which there is an objection (a gap between the observed
    states, or observers that contradict each other), objections to the whole record, and a record that was cut off.
    """
    found = [str(objection) for objection in record.objections]
    if not record.complete:
        found.append("the record is not complete")
    for endpoint in record.endpoints:
        for step in endpoint.transitions:
            where = f"{endpoint.node} {endpoint.local}: {step.old} to {step.new}"
            if step.objection is not None or step.flaw is not None:
                found.append(f"{where}: {step.objection or step.flaw}")
            if step.cause.kind == "unknown":
                found.append(f"{where}: {step.cause.text}")
    return found
