"""What happened: the reconciled account of a run. Values only; `reconcile` makes them."""

from __future__ import annotations

from typing import Literal

import msgspec

from handshake_lab.recording.messages import Message
from handshake_lab.recording.observations import Address, RunHeader, Witness
from handshake_lab.tcp.states import State


class Cause(msgspec.Struct, frozen=True):
    """Why a transition happened.

    ``message`` says it for a person: a `Message`, or a call just as the program made it, which no
    language changes. ``segment`` is the `TransmittedSegment.number` where a segment was the cause.
    """

    kind: Literal["segment", "call", "timer", "reset", "unknown"]
    message: Message | str
    segment: int | None = None

    @property
    def text(self) -> str:
        """It in English: "received SYN-ACK", "connect()", "the TIME-WAIT timer"."""
        return str(self.message)


class Transition(msgspec.Struct, frozen=True):
    """An endpoint entered a state.

    ``time`` is the best account; it happened in [earliest, time]. Who saw it is in
    ``witnesses``: nobody, where it was ``inferred`` because the diagram has no other way.
    ``edge`` is the number of the edge in `handshake_lab.tcp.diagram.lookup`, ``objection`` what one
    witness says against another (or against the document).

    ``flaw`` names what a program must know of the objection: "lie", where the kernel's
    word contradicts the wire; "gap", where nobody can know how the endpoint came from
    ``old`` to ``new``, so that it may have been in other states between.
    """

    old: State
    new: State
    time: int
    earliest: int
    witnesses: tuple[Witness, ...]
    cause: Cause
    edge: str | None = None
    inferred: bool = False
    objection: Message | None = None
    flaw: Literal["lie", "gap"] | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """One side of one connection, or a listener that no connection reached."""

    node: str
    role: Literal["client", "server", "listener"]
    local: Address
    remote: Address
    cookie: int
    transitions: tuple[Transition, ...]
    ended: int  #: when watching it ended: a state that was never left lasted at least until then

    @property
    def states(self) -> list[State]:
        """The states in order, the starting one first."""
        if not self.transitions:
            return []
        return [self.transitions[0].old, *(step.new for step in self.transitions)]

    def time_in(self, state: State | str) -> int:
        """Nanoseconds spent in a state, over all visits; 0 where it was never entered."""
        total = 0
        for step, after in zip(self.transitions, [*self.transitions[1:], None], strict=True):
            if step.new == state:
                total += (after.time if after else self.ended) - step.time
        return total


class TransmittedSegment(msgspec.Struct, frozen=True):
    """One segment on its way: when it was sent, when it arrived, or that it was lost.

    ``seq`` and ``ack`` are absolute; ``rel_seq`` and ``rel_ack`` count from the initial
    sequence numbers. ``retransmits`` is the number of the passage whose sequence numbers
    its sender sent again; ``copies`` that of the one which the middle duplicated.
    ``damaged``: it arrived, but changed on the way, so that the receiver's TCP dropped it.
    """

    number: int
    sender: str
    receiver: str
    src: Address
    dst: Address
    flags: str
    seq: int
    ack: int
    rel_seq: int
    rel_ack: int
    length: int
    window: int
    sent: int | None  #: None: no sender sent it (made up in the middle, or a duplicate made there)
    received: int | None  #: None: it never arrived
    retransmits: int | None = None
    copies: int | None = None
    damaged: bool = False

    @property
    def lost(self) -> bool:
        """Whether it was sent and never arrived."""
        return self.received is None


class Record(msgspec.Struct, frozen=True):
    """A whole run, reconciled."""

    header: RunHeader
    endpoints: tuple[Endpoint, ...]
    segments: tuple[TransmittedSegment, ...]
    objections: tuple[Message, ...]  #: what does not fit, for a person
    complete: bool  #: False: the record was cut before its end
    blurred: frozenset[str] = frozenset()  #: hosts whose captures lost segments: what was not seen there may have been
