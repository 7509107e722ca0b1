"""Faults as methods: ``net.drop("SYN", nth=1, from_="h1")``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypedDict

from handshake_lab.plan.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from handshake_lab.network.faults.active_faults import ActiveFault


class Counted(TypedDict, total=False):
    """Which of the segments of a kind, by number and origin; by default all.

    Only one of ``nth``, ``first`` and ``every`` can be given.
    """

    #: By number, counted from 1: ``1``, ``(1, 3)`` or ``"1,3"``.
    nth: int | Sequence[int] | str
    #: Only the first N.
    first: int
    #: Only each Nth.
    every: int
    #: Only segments that this host sends.
    from_: str
    #: Only segments from or to this TCP port (of datagrams: UDP port).
    port: int
    #: Only "ipv4", or only "ipv6".
    family: str
    #: Whether the run may succeed although the fault never fired.
    optional: bool


class Which(Counted, total=False):
    """Which of the segments of a kind, by destination too."""

    #: Only segments to this host.
    to: str
    #: The segment with this number in the ladder, instead of a count: ``net.drop("any", number=11)``.
    number: int


class Made(Counted, total=False):
    """What an injected segment holds, and which connection it is for."""

    #: Its data: bytes, text, or a number of zero bytes.
    payload: bytes | str | int
    #: Its window field; 65535 by default.
    window: int
    #: Its options: ``"mss:1460,sackok,ts:1:0,nop,ws:7"``, ``"sack:100-200"``, or bytes of the header.
    options: str | bytes
    #: ``seq`` and ``ack`` are the numbers in the header themselves, not distances.
    absolute: bool
    #: Its source port. With ``from_`` and ``port``, it needs no connection that has been observed.
    sport: int
    #: The MTU that an ICMP error reports.
    mtu: int


class FaultMethods(ABC):
    """What can be done to chosen segments of a running network.

    A kind of segment is one of ``SYN``, ``SYN-ACK``, ``ACK``, ``DATA``, ``FIN``, ``RST`` and ``any``. Every method
    raises `UsageError` for an invalid value, and `EnvironmentUnsupported` if this kernel does not support it.
    """

    @abstractmethod
    def fault(self, fault: str | Fault) -> ActiveFault:
        """Activate a fault, from a value or in the syntax of ``--fault``: ``net.fault("drop SYN nth=1")``."""

    def drop(self, kind: str, **which: Unpack[Which]) -> ActiveFault:
        """Drop segments: ``net.drop("SYN", nth=1, from_="h1")``."""
        return self.fault(Fault.make("drop", kind, **which))

    def delay(self, kind: str, by: str, **which: Unpack[Which]) -> ActiveFault:
        """Delay segments, in addition to the link's own delay: ``net.delay("FIN", "300ms")``.

        Args:
            kind: The kind of segment.
            by: A duration with its unit (ns, us, ms, s).
            which: Which of these segments.
        """
        return self.fault(Fault.make("delay", kind, by=by, **which))

    def duplicate(self, kind: str, *, copies: int = 1, **which: Unpack[Which]) -> ActiveFault:
        """Duplicate segments.

        Args:
            kind: The kind of segment.
            copies: The number of copies that follow the segment.
            which: Which of these segments.
        """
        return self.fault(Fault.make("duplicate", kind, copies=copies, **which))

    def reorder(self, kind: str, *, behind: int = 1, **which: Unpack[Which]) -> ActiveFault:
        """Send a segment after later ones of its flow.

        Args:
            kind: The kind of segment.
            behind: The number of later segments that go first.
            which: Which of these segments.
        """
        return self.fault(Fault.make("reorder", kind, behind=behind, **which))

    def corrupt(self, kind: str, **which: Unpack[Which]) -> ActiveFault:
        """Invert one bit of segments, so that TCP's checksum is wrong and the receiver drops them."""
        return self.fault(Fault.make("corrupt", kind, **which))

    def hold(self, kind: str, **which: Unpack[Which]) -> ActiveFault:
        """Hold segments until `ActiveFault.release` is called."""
        return self.fault(Fault.make("hold", kind, **which))

    @abstractmethod
    def inject(
        self,
        kind: str,
        *,
        to: str,
        seq: int = 0,
        ack: int | None = None,
        on: str | None = None,
        **which: Unpack[Made],
    ) -> ActiveFault:
        """Craft a segment or an ICMP error, at once or after a segment (``on``).

        It is for the most recently active connection of ``to``; with ``from_``, ``port`` and ``sport``, for any.
        Several times, as for a retransmission: call it again.

        Args:
            kind: Flags (``SYN``, ``PSH-ACK``, ``none``, …), or an ICMP error (``ICMP-port-unreachable``,
                ``ICMP-fragmentation-needed``), which quotes the last segment that ``to`` has sent.
            to: The host or router that receives it.
            seq: Distance from the sequence number that it expects next; 0 is exact, and +100000 is outside of most
                windows. Of an ICMP error: distance from the sequence number of the quoted segment.
            ack: Distance from the number that acknowledges all data that it has sent; None for no acknowledgment,
                except in kinds that have one (then it is exact).
            on: The kind of segment after which it is sent.
            which: ``from_`` and ``port``: which connection, and from which node an ICMP error comes; ``nth``, ``first``
                and ``every``: after which segments; the others: what it holds.

        Raises:
            FaultImpossible: No such connection has been observed.
        """
