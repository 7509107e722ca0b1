"""The document of ``handshake edges --json``: the state diagram of RFC 9293 and TCP's timers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.recording.observations import FORMAT_VERSION
from handshake_lab.report.export.json_document import Document
from handshake_lab.tcp.diagram.lookup import EDGES
from handshake_lab.tcp.states import State
from handshake_lab.tcp.timers import TIMERS, DocumentedTimer

if TYPE_CHECKING:
    from handshake_lab.tcp.diagram.edge import Edge


class EdgeDocument(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """An edge of the diagram, or an event that does not change the state (``from`` equals ``to``).

    ``id`` is stable; ``number`` is its first part. ``section`` is one of RFC 9293 unless it names another document.
    ``linux`` names the function and file that implement the edge in Linux; ``absent`` is the reason why Linux does not
    have it, "" if it does. ``gate`` names the kernel releases between which it differs. ``tracepoint``, ``diag`` and
    ``capture`` state what each observer reports of it, "" for nothing; ``observers`` lists those that report anything.
    """

    id: str
    number: int
    from_: State
    to: State
    event: str
    action: str
    section: str
    source: str
    in_linux: bool
    linux: str
    absent: str
    gate: str
    observers: list[str]
    tracepoint: str
    diag: str
    capture: str


class EdgesDocument(Document, frozen=True, tag="edges"):
    """The state diagram and the timers."""

    edges: list[EdgeDocument]
    timers: list[DocumentedTimer]


def edges_document() -> EdgesDocument:
    """Describe the diagram for programs."""
    return EdgesDocument(FORMAT_VERSION, [_edge(edge) for edge in EDGES], list(TIMERS))


def _edge(edge: Edge) -> EdgeDocument:
    return EdgeDocument(
        id=edge.id,
        number=edge.number,
        from_=edge.old,
        to=edge.new,
        event=edge.event,
        action=edge.action,
        section=edge.section,
        source=edge.source,
        in_linux=edge.in_linux,
        linux=edge.linux,
        absent=edge.absent,
        gate=edge.gate,
        observers=list(edge.observers),
        tracepoint=edge.tracepoint,
        diag=edge.diag,
        capture=edge.capture,
    )
