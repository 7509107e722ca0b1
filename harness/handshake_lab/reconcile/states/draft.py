"""A transition whose cause and witnesses are not final yet."""

from __future__ import annotations

from typing import Literal

import msgspec

from handshake_lab.reconcile.segments.matching import SegmentAtEnd
from handshake_lab.recording.history import Cause, Transition
from handshake_lab.recording.messages import Message, sentence
from handshake_lab.recording.observations import Witness
from handshake_lab.tcp.diagram.edge import Trigger
from handshake_lab.tcp.states import State

#: The cause if nobody saw it: docs/explanation/causes.md lists when this can be, with the reason for each case.
UNKNOWN = Cause("unknown", sentence("cause_unobserved"))


class TransitionDraft(msgspec.Struct):
    """A transition whose witnesses and cause are not final yet.

    ``leg`` is the segment that caused it, or that it caused, if one is known.
    """

    old: State
    new: State
    time: int
    earliest: int
    witnesses: set[Witness]
    leg: SegmentAtEnd | None = None
    objection: Message | None = None
    flaw: Literal["gap"] | None = None
    why: Trigger | None = None
    cause: Cause = UNKNOWN
    edge: str | None = None

    def object(self, message: Message) -> None:
        """Add an objection."""
        self.objection = sentence("several", first=self.objection, other=message) if self.objection else message

    def final(self) -> Transition:
        """The transition."""
        return Transition(
            old=self.old,
            new=self.new,
            time=self.time,
            earliest=min(self.earliest, self.time),
            witnesses=tuple(witness for witness in Witness if witness in self.witnesses),
            cause=self.cause,
            edge=self.edge,
            inferred=not self.witnesses and self.flaw is None,
            objection=self.objection,
            flaw=self.flaw,
        )
