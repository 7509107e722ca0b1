"""What the shell shows of a moment, as plain lines: sockets, the last cause, and where two futures differ."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from handshake_lab.recording.observations import SocketGone, SocketSeen, StateChange, Witness
from handshake_lab.report.text.cells import aligned
from handshake_lab.report.text.times import clock, span
from handshake_lab.report.text.translations import words
from handshake_lab.tcp.flags import names
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.experiment.under_way import SegmentInMiddle
    from handshake_lab.plan.network_plan import NetworkPlan
    from handshake_lab.recording.history import Endpoint, Record, Transition
    from handshake_lab.recording.observations import Address, Observation


def network_lines(plan: NetworkPlan) -> list[str]:
    """Each node with its interfaces and the ones at their other ends, as Mininet's ``net``."""
    return [" ".join([name, *(f"{port.name}:{port.peer}" for port in node.ports)]) for name, node in plan.nodes.items()]


def link_lines(plan: NetworkPlan) -> list[str]:
    """Both ends of each link, as Mininet's ``links``."""
    return [f"{one.name}<->{other.name}" for one, other in plan.links]


def waiting_line(waiting: SegmentInMiddle | None, number: int | None) -> str:
    """The segment that is about to be delivered, with its number in the ladder."""
    if waiting is None:
        return "no segment waits"
    label = f"#{number} " if number else ""
    carried = f", {waiting.length} bytes" if waiting.length else ""
    sender = waiting.sender or waiting.src
    return f"{label}{names(waiting.flags)} from {sender} to {waiting.receiver}{carried} waits: about to be delivered"


def socket_rows(observations: Iterable[Observation], record: Record) -> list[tuple[str, ...]]:
    """The sockets that exist: host, both addresses, the state as each observer reported it last, the timer.

    A poll shows sockets of all states; the tracepoint has no event for a request in SYN-RECEIVED.
    """
    polled: dict[tuple[str, int], SocketSeen] = {}
    traced: dict[tuple[Address, Address], State] = {
        (end.local, end.remote): step.new
        for end in record.endpoints
        for step in end.transitions
        if Witness.TRACEPOINT in step.witnesses and step.new is not State.LISTEN
    }
    now = 0
    for each in observations:
        now = max(now, each.t)
        if isinstance(each, SocketSeen) and each.observer == "diag":
            polled[each.node, each.cookie] = each
        elif isinstance(each, SocketGone) and each.observer == "diag":
            polled.pop((each.node, each.cookie), None)
        elif isinstance(each, StateChange):
            traced[each.local, each.remote] = each.new
    rows: list[tuple[str, ...]] = []
    for (node, _), seen in sorted(polled.items()):
        due = max(seen.t + seen.expires - now, 0)
        timer = f"{seen.timer} in {span(due)}" if seen.timer else "-"
        event = traced.get((seen.local, seen.remote))
        rows.append((node, str(seen.local), str(seen.remote), str(seen.state), str(event or "-"), timer))
    return rows


def socket_lines(observations: Iterable[Observation], record: Record) -> list[str]:
    """The rows of `socket_rows`, aligned below their headings."""
    rows = socket_rows(observations, record)
    return aligned([("host", "local", "remote", "sock_diag", "tracepoint", "timer"), *rows]) if rows else ["no sockets"]


def why_lines(record: Record) -> list[str]:
    """The last transition of the run, its cause, and who reported it."""
    steps = [(step.time, number, end, step) for number, end in enumerate(record.endpoints) for step in end.transitions]
    if not steps:
        return ["no transition yet"]
    *_, end, step = max(steps, key=lambda each: each[:2])
    reported = ", ".join(step.witnesses) if step.witnesses else "inferred: the diagram has only this way"
    edge = f"edge {step.edge} of the diagram" if step.edge else "not an edge of the diagram"
    return [_transition_line(end, step), f"  {edge}; reported by: {reported}"]


def _transition_line(end: Endpoint, step: Transition) -> str:
    cause = words("en").caused(step.cause, "->")
    return f"{clock(step.time)} s  {end.node}: {step.old} -> {step.new}: {cause}"


def event_lines(record: Record) -> list[str]:
    """The segments and transitions of a run in order of time, one line each; comparable between futures."""
    found: list[tuple[int, str]] = []
    for segment in record.segments:
        t = segment.sent if segment.sent is not None else segment.received or 0
        fate = "has not arrived" if segment.received is None else f"arrives at {clock(segment.received)} s"
        found.append(
            (t, f"{clock(t)} s  #{segment.number} {segment.name} {segment.sender} -> {segment.receiver}: {fate}")
        )
    for end in record.endpoints:
        found += [(step.time, _transition_line(end, step)) for step in end.transitions]
    return [line for _, line in sorted(found, key=lambda each: each[0])]


def difference_lines(other: Record, this: Record) -> list[str]:
    """What two futures have in common (two spaces), what only the other has (``-``), what only this one has (``+``)."""
    lines = [line for line in difflib.ndiff(event_lines(other), event_lines(this)) if not line.startswith("?")]
    common = next((number for number, line in enumerate(lines) if not line.startswith(" ")), len(lines))
    if common == len(lines):
        return ["both futures are the same so far"]
    shared = [f"  ({common} events in common)"] if common else []
    return [*shared, *(line.rstrip() for line in lines[common:])]
