"""Measurements of several claims: a connection's two ends, the segments, and their times."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net
    from handshake_lab.experiment.recorded_socket import RecordedSocket
    from handshake_lab.recording.history import TransmittedSegment

_MASK = (1 << 32) - 1
_TCP_REPAIR, _TCP_REPAIR_QUEUE, _TCP_QUEUE_SEQ = 19, 20, 21
_RECEIVING, _SENDING = 1, 2
_REPAIR_ON, _REPAIR_OFF_WITHOUT_A_WORD = 1, -1


def connected(net: Net, port: int = 80, *, from_port: int = 0) -> tuple[RecordedSocket, RecordedSocket, RecordedSocket]:
    """A listening socket of h2, a client of h1 connected to it, and the server's end of that connection."""
    listener = net.h2.listen(port)
    client = net.h1.begin_connect(listener, port=from_port)
    server, _ = listener.accept()
    return listener, client, server


def segments(net: Net, client: RecordedSocket) -> list[TransmittedSegment]:
    """The segments of the last connection from a client's port, in the order in which they were sent."""
    port = client.getsockname()[1]
    found = [each for each in net.record().segments if port in (each.src.port, each.dst.port)]
    starts = [place for place, each in enumerate(found) if each.flags == "S" and each.src.port == port]
    return found[max(starts, default=0) :]


def flags(segments: list[TransmittedSegment]) -> list[str]:
    """Segments by their flags: ``["S", "SA", "A"]``."""
    return [each.flags for each in segments]


def ms(time: float) -> float:
    """Seconds in milliseconds, rounded to a tenth."""
    return round(time * 1e3, 1) + 0.0  # no -0.0


def distance(start: int, end: int) -> int:
    """How far a sequence number is ahead of another."""
    return (end - start) & _MASK


def next_numbers(of: RecordedSocket) -> tuple[int, int]:
    """The sequence numbers that a socket sends next and expects next, as the kernel holds them (TCP_REPAIR)."""
    of.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_ON)
    numbers = []
    for queue in (_SENDING, _RECEIVING):
        of.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR_QUEUE, queue)
        numbers.append(of.getsockopt(socket.IPPROTO_TCP, _TCP_QUEUE_SEQ) & _MASK)
    of.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_OFF_WITHOUT_A_WORD)
    return numbers[0], numbers[1]


def read(of: RecordedSocket, size: int) -> bytes:
    """Receive this many bytes, or those that arrive before the end."""
    data = b""
    while len(data) < size and (chunk := of.recv(size - len(data))):
        data += chunk
    return data
