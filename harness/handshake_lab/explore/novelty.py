"""The features of a run: the search prefers runs with features that no earlier run had."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handshake_lab.reconcile.stored_run import Run

#: The number of lines at the end of a program's output that are features.
_LINES = 50


def features(run: Run, results: Path) -> frozenset[str]:
    """The features of a run: pairs of states, edges, causes, numbers of retransmissions, lines that programs wrote."""
    return frozenset((*_pairs(run), *_steps(run), *_retransmissions(run), *_lines(results)))


def _pairs(run: Run) -> Iterator[str]:
    """The states of both ends of each connection at the same time."""
    for client in run.record.endpoints:
        for server in run.record.endpoints:
            if client.role != "client" or (server.local, server.remote) != (client.remote, client.local):
                continue
            steps = [(step.time, 0, step.new) for step in client.transitions]
            steps += [(step.time, 1, step.new) for step in server.transitions]
            now = [State.CLOSED, State.CLOSED]
            for _, side, state in sorted(steps, key=lambda step: step[:2]):
                now[side] = state
                yield f"states {now[0]} {now[1]}"


def _steps(run: Run) -> Iterator[str]:
    for endpoint in run.record.endpoints:
        for step in endpoint.transitions:
            yield f"{endpoint.role} {step.old} {step.new} {re.sub('[0-9]+', '0', step.cause.text)}"


def _retransmissions(run: Run) -> Iterator[str]:
    counts: dict[tuple[str, str], int] = {}
    for segment in run.record.segments:
        if segment.retransmits is not None:
            counts[segment.sender, segment.name] = counts.get((segment.sender, segment.name), 0) + 1
    for (sender, name), count in counts.items():
        yield from (f"{sender} retransmits {name} {number}" for number in range(1, count + 1))


def _lines(results: Path) -> Iterator[str]:
    for file in sorted(results.iterdir()):
        if file.suffix in (".out", ".err"):
            for line in file.read_text("utf-8", "replace").splitlines()[-_LINES:]:
                yield f"{file.name} {re.sub('[0-9]+', '0', line)}"
