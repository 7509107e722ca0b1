"""Packet sockets of the middle: seeing frames, filtered in the kernel, and sending them.

Source: packet(7); include/uapi/linux/filter.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from typing import TYPE_CHECKING

from handshake_lab.linux import netns
from handshake_lab.tcp.segment import EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ETH_P_ALL = 3
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE = 33, 32
_PACKET_STATISTICS = 6
_SOL_PACKET = 263
OUTGOING = 4  #: PACKET_OUTGOING: the frame was sent by this interface

#: So many interfaces one filter can tell apart (a jump of BPF reaches 255 steps).
MOST_INTERFACES = 200

#: Room for all that a test has in flight or not yet looked at.
_BUFFER = 16 << 20

# Classic BPF: ld abs, jeq, jset, ret; and what the kernel answers at negative offsets.
_LD_W, _LD_H, _LD_B, _JEQ, _RET = 0x20, 0x28, 0x30, 0x15, 0x06
_AD = -0x1000 & 0xFFFFFFFF
_IFINDEX = _AD + 8
_TCP = 6


def receiver(space: int, interfaces: Sequence[int], *, size: int) -> socket.socket:
    """A socket that is shown every TCP frame that some interfaces send or receive.

    Args:
        space: A descriptor of their namespace.
        interfaces: Their indexes, at most `MOST_INTERFACES`.
        size: How many bytes of each frame are wanted.
    """
    program = _program(interfaces, size)
    with netns.inside(space):
        # Bound to no protocol yet: nothing may slip in before the filter is there.
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    _enlarge(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF)
    attach(sock, program)
    _bind_everywhere(sock)
    return sock


def attach(sock: socket.socket, program: Sequence[tuple[int, int, int, int]]) -> None:
    """Have the kernel show a packet socket only what a program of classic BPF accepts."""
    raw = b"".join(struct.pack("=HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(raw, len(raw))
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    )


def tcp_frames(size: int) -> list[tuple[int, int, int, int]]:
    """A program that accepts the first ``size`` bytes of IPv4 and IPv6 frames with TCP, and refuses others.

    A program of classic BPF has no loop: behind an extension header of IPv6, TCP and a second one are accepted,
    whatever is behind that; `handshake_lab.tcp.segment.decode` finds the TCP header there, or none.
    """
    others = sorted(EXTENSIONS)
    behind = 7 + len(others)  # where the program goes on for an extension header
    accept = behind + 2 + len(others)
    refuse = accept + 1
    # Jumps by the places that they go to.
    jumps = [
        (_JEQ, 2, 4, 0x0800),
        (_LD_B, 0, 0, 23),  # IPv4's protocol
        (_JEQ, accept, refuse, _TCP),
        (_JEQ, 5, refuse, 0x86DD),
        (_LD_B, 0, 0, 20),  # IPv6's next header
        (_JEQ, accept, 7, _TCP),
        *((_JEQ, behind, place + 1 if place + 1 < behind else refuse, kind) for place, kind in enumerate(others, 7)),
        (_LD_B, 0, 0, 54),  # and the one that the first extension header names
        (_JEQ, accept, behind + 2, _TCP),
        *(
            (_JEQ, accept, place + 1 if place + 1 < accept else refuse, kind)
            for place, kind in enumerate(others, behind + 2)
        ),
    ]
    return [
        (_LD_H, 0, 0, 12),  # EtherType
        *(
            (code, yes - place - 1, no - place - 1, value) if code == _JEQ else (code, 0, 0, value)
            for place, (code, yes, no, value) in enumerate(jumps, 1)
        ),
        (_RET, 0, 0, size),
        (_RET, 0, 0, 0),
    ]


def _bind_everywhere(sock: socket.socket) -> None:
    """Begin to receive, on all interfaces: Python's own bind wants the name of one."""
    # struct sockaddr_ll: family, protocol (in the network's order), interface, three about addresses.
    where = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0, b"")
    if ctypes.CDLL(None, use_errno=True).bind(sock.fileno(), where, len(where)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"listening on a packet socket: {os.strerror(number)}")


def _program(interfaces: Sequence[int], size: int) -> list[tuple[int, int, int, int]]:
    """Any of these interfaces, and TCP."""
    checks = len(interfaces)
    program = [(_LD_W, 0, 0, _IFINDEX)]
    program += [(_JEQ, checks - n, 0, index) for n, index in enumerate(interfaces)]
    return [*program, (_RET, 0, 0, 0), *tcp_frames(size)]


def sender(space: int, mark: int) -> socket.socket:
    """A socket to send frames from, each with a mark on it.

    Args:
        space: A descriptor of the namespace.
        mark: The mark, as nft's ``meta mark`` sees it.
    """
    with netns.inside(space):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    # A frame counts against this until the link's impairment has let it go.
    _enlarge(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF)
    return sock


def read(sock: socket.socket, size: int) -> Iterator[tuple[bytes, bool]]:
    """The frames that wait at a receiver, each with whether its interface sent it."""
    while True:
        try:
            frame, address = sock.recvfrom(size)
        except BlockingIOError:
            return
        yield frame, address[2] == OUTGOING


def overrun(sock: socket.socket) -> int:
    """How many frames the socket has missed since this was last asked."""
    answer = sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
    return int(struct.unpack("=II", answer)[1])


def _enlarge(sock: socket.socket, force: int, polite: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, polite, _BUFFER)
    # Beyond the machine's limit only with privilege over the namespace (and on Linux 5.18 on).
    with contextlib.suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, force, _BUFFER)
