"""The ``--json`` document of a run: for programs, deterministic to the byte.

Times are seconds as decimals with all nine digits, exact; segments are counted relative to their
initial sequence numbers; states have RFC 9293's names. An endpoint's first state was there when
recording began: its time is 0 and nobody caused it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.report.text.times import exact

if TYPE_CHECKING:
    from handshake_lab.recording.history import Endpoint, Record, TransmittedSegment

#: Raised whenever a reader of an earlier document would misread a later one.
VERSION = 1


def document(record: Record, *, link: Any = None, verdict: Any = None) -> dict[str, Any]:
    """Describe a run in plain values; times are `decimal.Decimal` seconds.

    Args:
        record: The run.
        link: The links in the caller's words; those of the record's header by default.
        verdict: What the caller found: plain values, or a `handshake_lab.verdict.judge.Verdict`.
    """
    header = record.header
    return {
        "version": VERSION,
        "kernel": {"kind": header.kernel.kind, "release": header.kernel.release, "seed": header.kernel.seed},
        "topology": header.topology,
        "link": list(header.links) if link is None else link,
        "faults": list(header.faults),
        "observers": dict(header.observers),
        "replay": header.replay,
        "complete": record.complete,
        "endpoints": [_endpoint(endpoint) for endpoint in record.endpoints],
        "segments": [_segment(segment) for segment in record.segments],
        "objections": [str(each) for each in record.objections],
        "verdict": msgspec.to_builtins(verdict, str_keys=True),
    }


def to_json(described: dict[str, Any]) -> str:
    """Write a document as JSON, indented, one newline at its end."""
    return msgspec.json.format(msgspec.json.encode(_numbers(described)), indent=2).decode() + "\n"


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    states: list[dict[str, Any]] = []
    if endpoint.transitions:
        states.append({"state": endpoint.transitions[0].old, "time": exact(0), "witnesses": [], "cause": None})
    for step in endpoint.transitions:
        state: dict[str, Any] = {
            "state": step.new,
            "time": exact(step.time),
            "witnesses": list(step.witnesses),
            "cause": {"kind": step.cause.kind, "text": step.cause.text, "segment": step.cause.segment},
        }
        if step.earliest != step.time:
            state["earliest"] = exact(step.earliest)
        if step.edge is not None:
            state["edge"] = step.edge
        if step.inferred:
            state["inferred"] = True
        if step.flaw is not None:
            state["flaw"] = step.flaw
        if step.objection is not None:
            state["objection"] = str(step.objection)
        states.append(state)
    return {
        "host": endpoint.node,
        "role": endpoint.role,
        "local": str(endpoint.local),
        "remote": str(endpoint.remote),
        "states": states,
        "watched_until": exact(endpoint.ended),
    }


def _segment(segment: TransmittedSegment) -> dict[str, Any]:
    when = segment.sent if segment.sent is not None else segment.received
    return {
        "number": segment.number,
        "time": None if when is None else exact(when),
        "arrived": None if segment.received is None else exact(segment.received),
        "from": segment.sender,
        "to": segment.receiver,
        "flags": segment.flags,
        "seq": segment.rel_seq,
        "ack": segment.rel_ack if "A" in segment.flags else None,
        "length": segment.length,
        "lost": segment.lost,
        "retransmits": segment.retransmits,
        "copies": segment.copies,
    }


def _numbers(value: Any) -> Any:
    """Write decimals as they are: JSON's own writers would round them or turn to exponents."""
    if isinstance(value, Decimal):
        return msgspec.Raw(f"{value:f}".encode())
    if isinstance(value, dict):
        return {key: _numbers(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers(each) for each in value]
    return value
