"""One direction of a connection: the data of one side, and the acknowledgments that it receives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.recording.history import Endpoint, TransmittedSegment
from handshake_lab.tcp.sequence_numbers import distance, occupied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.report.layout.connections import Connection, Side


class Acknowledgment(msgspec.Struct, frozen=True):
    """A segment with an acknowledgment that reached the sender; all numbers count from the sender's SYN."""

    time: int
    number: int
    acknowledged: int
    window: int | None  #: bytes; None if the window's scale is not on record
    sack: tuple[tuple[int, int], ...]


class Direction(msgspec.Struct, frozen=True):
    """What one side of a connection sends to the other.

    ``sent`` holds the segments with data, SYN or FIN in order of their departure.
    """

    connection: int
    sender: str
    receiver: str
    endpoint: Endpoint | None  #: the sender's socket
    began: int
    ended: int
    sent: tuple[TransmittedSegment, ...]
    acknowledgments: tuple[Acknowledgment, ...]

    @property
    def data(self) -> Iterator[TransmittedSegment]:
        """The segments with data."""
        return (segment for segment in self.sent if segment.length)


def main_direction(connection: Connection) -> Direction | None:
    """The direction in which more data was sent; None if none was."""
    carried: dict[Side, int] = {"left": 0, "right": 0}
    for segment in connection.segments:
        if segment.length and segment.protocol == "TCP" and not segment.icmp:
            carried[connection.side_of(segment)] += segment.length
    side: Side = "right" if carried["right"] > carried["left"] else "left"
    return direction(connection, side) if carried[side] else None


def direction(connection: Connection, side: Side) -> Direction:
    """One direction of a connection, by the side that sends."""
    sent = []
    acknowledgments = []
    for segment in connection.segments:
        if segment.icmp or segment.protocol != "TCP":
            continue
        if connection.side_of(segment) == side:
            if segment.sent is not None and occupied(segment.flags, segment.length):
                sent.append(segment)
        elif segment.received is not None and "A" in segment.flags and "R" not in segment.flags:
            base = segment.ack - segment.rel_ack
            acknowledgments.append(
                Acknowledgment(
                    segment.received,
                    segment.number,
                    segment.rel_ack,
                    segment.scaled_window,
                    tuple((distance(base, left), distance(base, right)) for left, right in _sack(segment)),
                )
            )
    sent.sort(key=lambda segment: segment.sent or 0)
    acknowledgments.sort(key=lambda each: each.time)
    own, peer = (connection.left, connection.right) if side == "left" else (connection.right, connection.left)
    return Direction(
        connection.number,
        own.node,
        peer.node,
        own.endpoint,
        connection.began,
        connection.ended,
        tuple(sent),
        tuple(acknowledgments),
    )


def _sack(segment: TransmittedSegment) -> tuple[tuple[int, int], ...]:
    # Only longer options can contain blocks: decoding is expensive for a hundred thousand segments.
    return segment.options.sack if len(segment.raw_options) > 12 else ()
