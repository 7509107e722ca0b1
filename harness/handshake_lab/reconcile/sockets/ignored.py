"""Segments that reached their socket and that the kernel dropped there, with the kernel's reason."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.reconcile.sockets.traced import SLACK
from handshake_lab.recording.messages import Message, sentence
from handshake_lab.tcp.sequence_numbers import add

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from handshake_lab.reconcile.sockets.traced import ObservedSocket
    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.recording.observations import TcpEvent
    from handshake_lab.tcp.address import Address

#: The kernel's reasons (enum skb_drop_reason, include/net/dropreason-core.h), grouped by message.
_MEANING = {
    "ignored_paws": ("TCP_RFC7323_PAWS", "TCP_RFC7323_PAWS_ACK", "TCP_RFC7323_TW_PAWS", "TCP_RFC7323_TSECR"),
    "ignored_sequence": ("TCP_OLD_SEQUENCE", "TCP_INVALID_SEQUENCE", "TCP_INVALID_END_SEQUENCE"),
    "ignored_window": ("TCP_OVERWINDOW", "TCP_ZEROWINDOW"),
    "ignored_ack": ("TCP_INVALID_ACK_SEQUENCE", "TCP_OLD_ACK", "TCP_TOO_OLD_ACK", "TCP_ACK_UNSENT_DATA"),
    "ignored_accept_queue": ("TCP_LISTEN_OVERFLOW",),
    "ignored_buffer": ("SOCKET_RCVBUFF", "SOCKET_BACKLOG", "PROTO_MEM", "TCP_OFO_QUEUE_PRUNE", "TCP_OFO_DROP"),
    "ignored_flags": ("TCP_FLAGS",),
    "ignored_syn": ("TCP_INVALID_SYN",),
    "ignored_signature": (
        "TCP_MD5NOTFOUND",
        "TCP_MD5UNEXPECTED",
        "TCP_MD5FAILURE",
        "TCP_AUTH_HDR",
        "TCP_AONOTFOUND",
        "TCP_AOUNEXPECTED",
        "TCP_AOKEYNOTFOUND",
        "TCP_AOFAILURE",
    ),
    "ignored_ttl": ("TCP_MINTTL",),
}
_SENTENCES = {reason: sentence(code) for code, reasons in _MEANING.items() for reason in reasons}


def name_ignored(
    segments: Sequence[TransmittedSegment],
    events: Iterable[TcpEvent],
    all_observed: Iterable[ObservedSocket],
    pause: int,
) -> tuple[TransmittedSegment, ...]:
    """Add the reason to the segments that a kernel dropped.

    Args:
        segments: All of a run, in the order of their numbers.
        events: The tracepoint's reports of dropped segments, each with the socket that it had reached.
        all_observed: The run's sockets.
        pause: Nanoseconds that the kernel may take from a segment's arrival to its end.
    """
    sockets: dict[int, list[ObservedSocket]] = defaultdict(list)
    for each in all_observed:
        if each.traced:
            sockets[each.traced.sk].append(each)
    arrivals: dict[tuple[str, Address], list[TransmittedSegment]] = defaultdict(list)
    for segment in segments:
        if segment.received is not None and not segment.damaged:
            arrivals[segment.receiver, segment.arriving[1]].append(segment)
    why: dict[int, Message] = {}
    for event in events:
        owner = next((each for each in reversed(sockets.get(event.sk, [])) if each.born <= event.t + SLACK), None)
        message = _message(event.reason, owner) if owner else None
        if message is None or owner is None:
            continue
        first, last = event.t - pause, event.t + SLACK
        came = [segment for segment in _came_to(owner, arrivals) if first <= (segment.received or 0) <= last]
        # If several arrived at that time, it is not known which one was dropped.
        if len(came) == 1 and not (event.reason == "TCP_OLD_SEQUENCE" and _is_probe(came[0], segments)):
            why[came[0].number] = message
    return _with_reasons(segments, why)


def name_too_big(
    segments: Sequence[TransmittedSegment], stops: Mapping[int, int], reported: Sequence[int], pause: int
) -> tuple[TransmittedSegment, ...]:
    """Add the reason to the segments that were larger than the MTU of a router's next link (ip_forward()).

    Args:
        segments: All of a run, in the order of their numbers.
        stops: When a lost segment arrived at the last router that it reached, by its number.
        reported: When a kernel reported a packet that was too big; it does not report which one.
        pause: Nanoseconds that a router may take from a segment's arrival to the report.
    """
    why: dict[int, Message] = {}
    for t in reported:
        near = [number for number, at in stops.items() if t - pause <= at <= t + SLACK]
        reports = [other for other in reported if abs(other - t) <= pause]
        # If other segments stopped there at that time, it is not known which of them was too big.
        if near and len(near) <= len(reports):
            why.update({number: sentence("too_big_for", node=segments[number - 1].stopped_at) for number in near})
    if not why:
        return tuple(segments)
    return tuple(
        msgspec.structs.replace(each, dropped=why[each.number]) if each.number in why else each for each in segments
    )


def _message(reason: str, owner: ObservedSocket) -> Message | None:
    """What a reason means for a socket."""
    if owner.listens and reason == "TCP_FLAGS":
        return sentence("ignored_no_connection")
    return _SENTENCES.get(reason)


def _with_reasons(segments: Sequence[TransmittedSegment], why: Mapping[int, Message]) -> tuple[TransmittedSegment, ...]:
    if not why:
        return tuple(segments)
    return tuple(
        msgspec.structs.replace(segment, ignored=why[segment.number]) if segment.number in why else segment
        for segment in segments
    )


def _is_probe(segment: TransmittedSegment, segments: Sequence[TransmittedSegment]) -> bool:
    """Whether a segment is meant to be out of the window: a probe for keepalive or of a zero window asks for an ACK.

    It has the number before the one that the peer expects (tcp_xmit_probe_skb(), net/ipv4/tcp_output.c).
    """
    if segment.flags != "A" or segment.length > 1:
        return False
    source, target = segment.arriving
    at = segment.received or 0
    for other in reversed(segments[: segment.number - 1]):
        if (other.src, other.dst) == (target, source) and "A" in other.flags and (other.sent or at) < at:
            return other.ack == add(segment.seq, 1)
    return False


def _came_to(
    owner: ObservedSocket, arrivals: Mapping[tuple[str, Address], Sequence[TransmittedSegment]]
) -> Iterable[TransmittedSegment]:
    """The segments that a socket received; a listener may have any address of its node."""
    if owner.listens:
        return [
            segment
            for (node, target), came in arrivals.items()
            if (node, target.port) == (owner.node, owner.local.port)
            for segment in came
        ]
    came = arrivals.get((owner.node, owner.local), ())
    return [segment for segment in came if segment.arriving[0] == owner.remote]
