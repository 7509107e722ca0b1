"""A connection as rows of a page's tables; each row has the same reference as its drawing."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from handshake_lab.report.layout.connections import middle
from handshake_lab.report.layout.hops import path
from handshake_lab.report.layout.lines import ladder
from handshake_lab.report.svg import diagram_svg
from handshake_lab.report.svg.ladder_svg import switchable
from handshake_lab.report.text.times import seconds, span, with_time_wait
from handshake_lab.tcp.diagram.lookup import BY_ID
from handshake_lab.tcp.options import show_options
from handshake_lab.tcp.states import State
from handshake_lab.verdict.expected_states import marks
from handshake_lab.verdict.without_effect import is_answered_only

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handshake_lab.recording.history import Endpoint, Record, Transition, TransmittedSegment
    from handshake_lab.report.layout.connections import Connection, Lane
    from handshake_lab.report.layout.hops import Hop
    from handshake_lab.report.text.translations import Words
    from handshake_lab.verdict.expected_states import ComparedState
    from handshake_lab.verdict.judge import Verdict

#: The columns of a table of segments.
COLUMNS = (
    "number", "sent", "arrived", "from", "to", "flags", "seq", "ack", "length", "window", "options", "path", "fate",
)  # fmt: skip

#: How many segments a page lists for one connection.
LISTED = 400


def connection_view(
    record: Record,
    connection: Connection,
    verdict: Verdict | None,
    w: Words,
    marked: Mapping[str, str],
    ways: Mapping[int, tuple[Hop, ...]],
    *,
    drawn: bool,
) -> dict[str, Any]:
    """Everything that a page shows about a connection, as plain values."""
    view: dict[str, Any] = {
        "number": connection.number,
        "drawn": drawn,
        "left": f"{connection.left.node} {connection.left.address}",
        "right": f"{connection.right.node} {connection.right.address}",
        "count": len(connection.segments),
        "lost": connection.lost,
        "again": connection.again,
        "duration": with_time_wait(connection.settled - connection.began, connection.time_wait),
        "segments": [],
        "endpoints": [],
    }
    if not drawn:
        return view
    edges = {side: [f"{old}>{new}" for old, new in diagram_svg.edges([connection], side)] for side in ("left", "right")}
    view["edges"] = json.dumps(edges)
    # The drawing escapes all text: see svg/elements.py.
    view["svg"] = Markup(switchable(ladder(connection, middle(record, connection), ways=ways), w, marked))  # noqa: S704
    caused: dict[int, list[tuple[Lane, int]]] = defaultdict(list)
    for _, lane in connection.lanes:
        if lane.endpoint and lane.index is not None:
            view["endpoints"].append(_endpoint(lane.endpoint, lane.index, verdict, w))
            for place, step in enumerate(lane.endpoint.transitions):
                if step.cause.segment is not None and step.cause.kind in ("segment", "reset"):
                    caused[step.cause.segment].append((lane, place))
    view["segments"] = [
        _segment(segment, caused[segment.number], connection, w) | {"path": path(ways.get(segment.number, ()), w)}
        for segment in connection.segments[:LISTED]
    ]
    return view


def _endpoint(endpoint: Endpoint, index: int, verdict: Verdict | None, w: Words) -> dict[str, Any]:
    name = w("states.heading", node=endpoint.node, role=w(f"role.{endpoint.role}"), local=endpoint.local)
    held = marks(endpoint, index, verdict)
    return {"name": name, "rows": [_state(endpoint, index, mark, w) for mark in held]}


def _state(endpoint: Endpoint, index: int, mark: ComparedState, w: Words) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(
        ("ref", "caused_by", "since", "spent", "cause", "witnesses", "edge", "section", "doubt", "title"), ""
    )
    row["state"] = mark.state
    row["parts"] = mark.parts
    row["bad"] = mark.ok is False
    row["mark"] = "" if mark.ok is None else "✓" if mark.ok else "✗"
    row["style"] = "good" if mark.ok else "bad"
    doubts = [w("states.parts")] if mark.parts else []
    if mark.place is None:
        doubts.insert(0, w("states.missing"))
    elif mark.ok is False:
        doubts.insert(0, w("states.unexpected"))
    if mark.place:
        place = mark.place - 1
        step = endpoint.transitions[place]
        after = endpoint.transitions[mark.place].time if mark.place < len(endpoint.transitions) else None
        row["ref"] = f"t{index}-{place}"
        row["title"] = f"{endpoint.node}: {step.old} → {step.new}"
        row["since"] = seconds(step.time)
        row["bad"] = row["bad"] or bool(step.objection)
        if step.earliest < step.time:
            doubts.append(w("states.between", earliest=seconds(step.earliest), time=seconds(step.time)))
        forever = "" if step.new is State.CLOSED else w("states.forever")
        row["spent"] = span(after - step.time) if after is not None else forever
        row["cause"], row["caused_by"] = _cause(step, w)
        row["witnesses"] = ", ".join(w(f"witness.{each}") for each in step.witnesses) or w("states.not_observed")
        row["edge"] = step.edge or ""
        row["section"] = section(step)
        if step.inferred and step.witnesses:
            doubts.append(w("states.not_observed"))
        if step.flaw:
            doubts.append(w(f"flaw.{step.flaw}"))
        if step.objection:
            doubts.append(w.message(step.objection))
    row["doubt"] = "; ".join(doubts)
    return row


def _cause(step: Transition, w: Words) -> tuple[str, str]:
    return w.caused(step.cause, "→"), "" if step.cause.segment is None else f"p{step.cause.segment}"


def section(step: Transition) -> str:
    """The section of the document that describes a transition: of RFC 9293, unless it names another document."""
    edge = BY_ID.get(step.edge or "")
    if edge is None:
        return ""
    return edge.section if " " in edge.section or not edge.section[:1].isdigit() else f"RFC 9293 {edge.section}"


def fate_of(connection: Connection, segment: TransmittedSegment, w: Words) -> str:
    """What happened to a segment besides its arrival: lost and why, a retransmission, without effect; "" if nothing."""
    fate = []
    ignored = connection.ignored.get(segment.number)
    if segment.lost:
        fate.append(w("page.lost"))
    if segment.under_way:
        fate.append(w("page.under_way"))
    if segment.number in connection.lost_because:
        fate.append(w.message(connection.lost_because[segment.number]))
    if segment.sent is None:
        fate.append(w("page.made") if segment.copies is None else w("page.copy", number=segment.copies))
    if segment.retransmits is not None:
        fate.append(w("page.again", number=segment.retransmits))
    if ignored is not None:
        why = w.message(ignored)
        fate.append(why if is_answered_only(ignored) else w("page.no_effect", why=why))
    return ", ".join(fate)


def _segment(
    segment: TransmittedSegment, caused: list[tuple[Lane, int]], connection: Connection, w: Words
) -> dict[str, Any]:
    shown = []
    for lane, place in caused:
        if lane.endpoint:
            step = lane.endpoint.transitions[place]
            shown.append(f"{lane.node}: {step.old} → {step.new}")
    name = segment.name
    return {
        "number": segment.number,
        "title": f"#{segment.number} {name}, {segment.sender} → {segment.receiver}",
        "sent": "" if segment.sent is None else seconds(segment.sent),
        "arrived": "" if segment.received is None else seconds(segment.received),
        "from": f"{segment.sender} {segment.src}",
        "to": f"{segment.receiver} {segment.dst}",
        "flags": name,
        "seq": f"{segment.rel_seq} ({segment.seq})" if segment.protocol == "TCP" else "",
        "ack": f"{segment.rel_ack} ({segment.ack})" if "A" in segment.flags else "",
        "length": segment.length,
        "window": segment.window if segment.protocol == "TCP" else "",
        "options": show_options(segment.raw_options),
        "fate": fate_of(connection, segment, w),
        "caused": ", ".join(shown),
        "caused_refs": " ".join(f"t{lane.index}-{place}" for lane, place in caused),
    }
