"""What a record reports of a run: all of it for a failing test's message, or only what it holds against the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.verdict.judge import judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.recording.history import Endpoint, Record, Transition


def describe(record: Record) -> str:
    """Every endpoint with its transitions and their causes, every finding and every objection, one per line."""
    verdict = judge(record)
    lines = [verdict.summary]
    for end in record.endpoints:
        lines.append(f"{end.node} {end.role} {end.local} {' → '.join(end.states)}")
        lines += [f"    {_describe(step)}" for step in end.transitions]
    lines += [f"finding, ok={finding.ok}: {finding.text}" for finding in verdict.findings]
    lines += [f"objection: {objection}" for objection in record.objections]
    return "\n".join(lines)


def complaints(record: Record) -> list[str]:
    """What a record holds against the kernel, or reports as unknown: empty where it explains everything."""
    found = [
        f"{end.node} {end.local} {step.old}→{step.new}: {complaint}"
        for end in record.endpoints
        for step in end.transitions
        for complaint in _complaints(step)
    ]
    return found + [finding.text for finding in judge(record).findings if finding.ok is False]


def _complaints(step: Transition) -> Iterator[str]:
    if step.cause.kind == "unknown":
        yield f"unknown cause: {step.cause.text}"
    if step.edge is None:
        yield "no edge"
    if step.flaw is not None:
        yield f"flaw: {step.flaw}"
    if step.objection is not None:
        yield f"objection: {step.objection}"
    if step.inferred:
        yield "inferred"


def _describe(step: Transition) -> str:
    line = f"{step.time / 1e9:.4f} s: {step.old} → {step.new}, edge {step.edge}, {step.cause.kind}: {step.cause.text}"
    if step.flaw is not None:
        line += f"; flaw: {step.flaw}"
    return line + (f"; objection: {step.objection}" if step.objection is not None else "")


def last(end: Endpoint) -> tuple[str | None, str]:
    """The edge of an endpoint's last transition, and the kind of its cause: ``("26.LA", "reset")``."""
    step = end.transitions[-1]
    return step.edge, step.cause.kind
