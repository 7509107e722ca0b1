"""The edges of the state diagram, and what triggers them."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from handshake_lab.tcp.states import State


class Trigger(StrEnum):
    """What triggers a transition, as far as it distinguishes edges."""

    CALL = "a call"  #: listen(), connect(), close(), shutdown(): the only one an edge has
    SEGMENT = "a segment"  #: SYN, ACK or FIN: the only one an edge has
    TIMER = "a timer"  #: a retransmission limit, keepalive, the user timeout, 2 MSL
    EXPIRED = "the timer of a request or mini-socket"
    RESET = "a RST"
    ABORT = "an abort"  #: the program's: SO_LINGER 0, or data left unread
    DATA = "data after close"
    LISTENER = "its listener closed"
    OVERFLOW = "a full table"
    NEW_SYN = "a new SYN"
    REUSE = "a new connection"
    DESTROYED = "SOCK_DESTROY"
    ICMP = "an ICMP error"
    ORPHANS = "too many orphans"


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """One edge of the diagram, or one event that does not change the state.

    ``id`` is stable: the number, and where one number covers several edges, a dot and the
    state it starts from. If ``old`` is ``new``, the state does not change.
    ``linux`` names the function and file that implement it in Linux; ``absent`` is the reason why
    Linux does not have it, "" if it does. ``gate`` names the kernel versions between which it differs.
    The last three contain what each observer reports of it; "" for nothing.
    """

    id: str
    old: State
    new: State
    why: Trigger
    event: str
    action: str
    section: str  #: of RFC 9293 unless another document is named
    source: Literal["figure 5", "a note to figure 5", "the text", "Linux"]
    linux: str
    absent: str = ""
    gate: str = ""
    tracepoint: str = ""
    diag: str = ""
    capture: str = ""

    @property
    def number(self) -> int:
        """The edge's number in the list: 1 to 20 are Figure 5's."""
        return int(self.id.partition(".")[0].rstrip("ab"))

    @property
    def moves(self) -> bool:
        """Whether the connection changes its state."""
        return self.old is not self.new

    @property
    def in_linux(self) -> bool:
        """Whether Linux has it."""
        return not self.absent

    @property
    def observers(self) -> tuple[str, ...]:
        """The observers that can report it: of "tracepoint", "diag" and "capture"."""
        return tuple(name for name in ("tracepoint", "diag", "capture") if getattr(self, name))


#: How states are abbreviated in edge ids.
SHORT: dict[State, str] = {
    State.CLOSED: "CL",
    State.LISTEN: "LI",
    State.SYN_SENT: "SS",
    State.SYN_RECEIVED: "SR",
    State.ESTABLISHED: "ES",
    State.FIN_WAIT_1: "F1",
    State.FIN_WAIT_2: "F2",
    State.CLOSE_WAIT: "CW",
    State.CLOSING: "CG",
    State.LAST_ACK: "LA",
    State.TIME_WAIT: "TW",
}
