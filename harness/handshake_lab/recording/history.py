"""The history of a run as values: endpoints with their transitions, and segments. `reconcile` creates them."""

from __future__ import annotations

from typing import Literal

import msgspec

from handshake_lab.recording.messages import Message
from handshake_lab.recording.observations import Address, CounterGrowth, LinkChange, QdiscReport, RunHeader, Witness
from handshake_lab.tcp.flags import names
from handshake_lab.tcp.segment import Options, parse_options
from handshake_lab.tcp.states import State


class Cause(msgspec.Struct, frozen=True):
    """Why a transition happened.

    ``message`` is its text: a `Message`, or a system call as the program made it, which is the same in every language.
    ``segment`` is the `TransmittedSegment.number` of the segment that was the cause.
    """

    kind: Literal["segment", "call", "timer", "reset", "unknown"]
    message: Message | str
    segment: int | None = None

    @property
    def text(self) -> str:
        """The text in English: "received SYN-ACK", "connect()", "the TIME-WAIT timer"."""
        return str(self.message)


class Transition(msgspec.Struct, frozen=True):
    """An endpoint entered a state.

    It happened in [earliest, time], in nanoseconds. ``witnesses`` are the observers that reported it. If none did, and
    the diagram has only one path, it is ``inferred``. ``edge`` is the id of the edge in
    `handshake_lab.tcp.diagram.lookup`. ``objection`` says where observers contradict each other, or what none observed.

    ``flaw`` is "gap" where the states between ``old`` and ``new`` were not observed: there may have been others.
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
    flaw: Literal["gap"] | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """One side of a connection, or a listener without connections."""

    node: str
    role: Literal["client", "server", "listener"]
    local: Address
    remote: Address
    cookie: int
    transitions: tuple[Transition, ...]
    ended: int  #: when observation ended: its last state lasted at least until then

    @property
    def states(self) -> list[State]:
        """The states in order; the first one is that in which it was when the recording began."""
        if not self.transitions:
            return []
        return [self.transitions[0].old, *(step.new for step in self.transitions)]

    def time_in(self, state: State | str) -> int:
        """Nanoseconds spent in a state, over all visits; 0 if it was not entered."""
        total = 0
        for step, after in zip(self.transitions, [*self.transitions[1:], None], strict=True):
            if step.new == state:
                total += (after.time if after else self.ended) - step.time
        return total


class TransmittedSegment(msgspec.Struct, frozen=True):
    """One segment: when it was sent, and when it arrived or that it was lost. Times are nanoseconds.

    ``flags`` are letters (`handshake_lab.tcp.flags`). ``seq`` and ``ack`` are absolute; ``rel_seq`` and ``rel_ack``
    count from the initial sequence numbers. ``retransmits`` is the number of the earlier segment that this one
    retransmits. ``copies`` is the number of the original, if this is a duplicate made by the network. ``damaged``: it
    was changed in transit, so that the receiver's TCP dropped it.

    ``src`` and ``dst`` are the addresses with which it was sent; ``translated`` those with which it arrived, or would
    have arrived, if routers on the path translate addresses (NAT). ``stopped_at`` is the last router that a lost
    segment reached, "" if it reached none.

    For an ICMP error, ``icmp`` is its name and ``flags`` is empty. ``src`` and ``dst`` are the reverse of those of the
    segment that caused it, and ``seq`` is that segment's. Its sender may be a router.

    ``dropped`` says why a router dropped it, if its kernel reported that.

    A UDP datagram has the ``protocol`` UDP, no flags, and no sequence numbers.

    ``raw_options`` are the options of its header, undecoded: see `options`. ``window`` is the field; ``scaled_window``
    is the number of bytes, if the SYNs of both sides are on record.

    ``ignored`` says why the kernel of its receiver discarded it, if the kernel reported that.

    ``under_way``: it had not arrived when the record was made, and was not lost up to then. Only the records of a
    session of the shell have such segments; otherwise one that did not arrive counts as lost.
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
    sent: int | None  #: None: no host sent it (the network crafted or duplicated it)
    received: int | None  #: None: it did not arrive
    retransmits: int | None = None
    copies: int | None = None
    damaged: bool = False
    translated: tuple[Address, Address] | None = None
    stopped_at: str = ""
    icmp: str = ""
    ignored: Message | None = None
    protocol: Literal["TCP", "UDP"] = "TCP"
    dropped: Message | None = None
    raw_options: bytes = b""
    scaled_window: int | None = None
    under_way: bool = False

    @property
    def options(self) -> Options:
        """The options of its header, decoded."""
        return parse_options(self.raw_options)

    @property
    def name(self) -> str:
        """For example "SYN-ACK", "UDP", or "ICMP host unreachable"."""
        if self.icmp:
            return f"ICMP {self.icmp}"
        return "UDP" if self.protocol == "UDP" else names(self.flags)

    @property
    def arriving(self) -> tuple[Address, Address]:
        """Source and destination with which it arrives, translated or not."""
        return self.translated or (self.src, self.dst)

    @property
    def lost(self) -> bool:
        """Whether it did not arrive, and is not under way."""
        return self.received is None and not self.under_way

    @property
    def departed(self) -> int:
        """When it was sent; for one that no host sent, when it arrived."""
        return self.sent if self.sent is not None else self.received or 0


class Record(msgspec.Struct, frozen=True):
    """A whole run, reconciled."""

    header: RunHeader
    endpoints: tuple[Endpoint, ...]
    segments: tuple[TransmittedSegment, ...]
    objections: tuple[Message, ...]  #: where observers contradict each other, and what none of them observed
    complete: bool  #: False: the recording stopped before the run ended
    #: Hosts whose captures lost segments: segments that were not captured may have been sent or received there.
    blurred: frozenset[str] = frozenset()
    counters: dict[str, dict[str, int]] = {}  #: the growth of the kernel's counters, by host
    #: The increments, in order of time, of the counters that show why a segment had no effect.
    counter_growth: tuple[CounterGrowth, ...] = ()
    #: How many packets each full queue dropped, by interface: only if nothing else can have dropped any.
    full_queues: dict[str, int] = {}
    #: UDP datagrams and ICMP errors about them; their numbers follow those of the segments.
    datagrams: tuple[TransmittedSegment, ...] = ()
    queues: tuple[QdiscReport, ...] = ()  #: the queues of links that dropped packets
    link_changes: tuple[LinkChange, ...] = ()  #: the script's changes of links, in order of time
