"""The segments that a fault matches: its parts as conditions, and why a fault never fired, by a record. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from handshake_lab.plan.fault_text import OTHER_KINDS, PROGRAM_ACTIONS
from handshake_lab.tcp import flags

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.plan.fault import Fault
    from handshake_lab.recording.history import TransmittedSegment


class Packet(Protocol):
    """The properties of a segment or a datagram that `is_kind` uses."""

    @property
    def flags(self) -> str:
        """Letters; empty for a datagram."""

    @property
    def length(self) -> int:
        """Bytes of payload."""


class Datagram(msgspec.Struct, frozen=True):
    """A UDP datagram or an ICMP error: ``kind`` is "UDP", or the error's name: "ICMP-port-unreachable"."""

    kind: str
    length: int = 0
    flags: str = ""


#: Kinds that are not a combination of flags.
_KINDS: dict[str, Callable[[Packet], bool]] = {
    "any": lambda _: True,
    "DATA": lambda packet: packet.length > 0,
    "FIN": lambda packet: "F" in packet.flags and "R" not in packet.flags,
    "RST": lambda packet: "R" in packet.flags,
}


def is_kind(packet: Packet, kind: str, *, labelled: bool = False) -> bool:
    """Whether a segment is of a kind (`handshake_lab.plan.fault_text.KINDS`, a combination of flags, an ICMP error).

    Args:
        packet: The segment or datagram.
        kind: The kind.
        labelled: Whether the kind is from a ladder's label, in which ACK only means the flag, with data or without.
    """
    if isinstance(packet, Datagram):
        return packet.kind == kind or (kind == "ICMP" and packet.kind.startswith("ICMP"))
    if kind in OTHER_KINDS or kind.startswith("ICMP"):
        return False
    if kind in _KINDS:
        return _KINDS[kind](packet)
    return (labelled or not (kind == "ACK" and packet.length)) and flags.match(packet.flags, flags.letters(kind) or "")


def icmp_kind(name: str) -> str:
    """The kind of an ICMP error by its name in a record: "port unreachable" is "ICMP-port-unreachable"."""
    return "ICMP-" + name.partition(",")[0].replace(" ", "-")


def _packet(segment: TransmittedSegment) -> Packet:
    if segment.icmp:  # also one about a UDP datagram
        return Datagram(icmp_kind(segment.icmp))
    return Datagram("UDP", segment.length) if segment.protocol == "UDP" else segment


_Condition = Callable[["TransmittedSegment"], bool]


def conditions(fault: Fault) -> list[tuple[str, _Condition]]:
    """The parts of a fault as conditions on a segment of a record, each with its text in the fault."""
    own = (
        fault.action != "inject"
    )  # the sender and receiver of an injected segment are not those of the counted segments
    to = own and fault.action not in PROGRAM_ACTIONS
    length = fault.length
    every: list[tuple[bool, str, _Condition]] = [
        (bool(fault.number), f"#{fault.number}", lambda s: s.number == fault.number),
        (
            not fault.number or fault.watched != "any",
            fault.watched,
            lambda s: is_kind(_packet(s), fault.watched, labelled=bool(fault.number)),
        ),
        (fault.rel_seq is not None, f"seq={fault.rel_seq}", lambda s: s.rel_seq == fault.rel_seq),
        (fault.rel_ack is not None, f"ack={fault.rel_ack}", lambda s: s.rel_ack == fault.rel_ack),
        (length is not None, f"len={length}", lambda s: s.length == length),
        (own and bool(fault.sender), f"from {fault.sender}", lambda s: s.sender == fault.sender),
        (to and bool(fault.receiver), f"to {fault.receiver}", lambda s: s.receiver == fault.receiver),
        (bool(fault.port), f"port={fault.port}", lambda s: fault.port in (s.src.port, s.dst.port)),
        (bool(fault.family), fault.family, lambda s: (":" in s.src.ip) == (fault.family == "ipv6")),
    ]
    return [(text, condition) for there, text, condition in every if there]


def matching(fault: Fault, segments: Iterable[TransmittedSegment]) -> list[TransmittedSegment]:
    """The segments of a record that a fault counts: those that crossed the network and meet all conditions."""
    wanted = [condition for _, condition in conditions(fault)]
    return [segment for segment in _crossing(segments) if all(condition(segment) for condition in wanted)]


def _crossing(segments: Iterable[TransmittedSegment]) -> list[TransmittedSegment]:
    return [segment for segment in segments if segment.sent is not None and segment.sender != segment.receiver]


def why_never(fault: Fault, segments: Iterable[TransmittedSegment]) -> str:
    """Why a fault never fired: how many segments of the record met each of its conditions.

    Args:
        fault: The fault.
        segments: The segments of the record.
    """
    left = _crossing(segments)
    steps = [f"of {len(left)} {'datagrams' if fault.watched == 'UDP' else 'segments'}"]
    for text, condition in conditions(fault):
        before, left = left, [segment for segment in left if condition(segment)]
        if not left and fault.number and len(before) == 1:
            only = before[0]
            label = f"#{only.number} {only.name} seq={only.rel_seq} ack={only.rel_ack} len={only.length}"
            return f"{', '.join(steps)}: segment {label} is not {text}"
        verb = "is" if len(left) == 1 else "are"
        steps.append(f"{len(left) or 'none'} {verb} {text}")
        if not left:
            return ", ".join(steps)
    counted = next((part for part in str(fault).split() if part.startswith(("nth=", "every=", "first="))), "")
    if fault.action in PROGRAM_ACTIONS and any(fault.hits(number + 1) for number in range(len(left))):
        return f"{', '.join(steps)}; no server was running on {fault.receiver}"
    return ", ".join(steps) + (f"; {counted} was not reached" if counted else "")
