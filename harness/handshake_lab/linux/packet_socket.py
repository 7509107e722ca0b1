"""Packet sockets: receive frames, filtered in the kernel, and send frames.

Source: packet(7); include/uapi/linux/filter.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from typing import TYPE_CHECKING

from handshake_lab.errors import SystemCallFailed
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

#: How many interfaces one filter can distinguish (a jump of BPF reaches 255 instructions).
MOST_INTERFACES = 200

#: Large enough for all frames that a test has in flight or not yet processed.
_BUFFER = 16 << 20

# Classic BPF: ld abs, jeq, jset, ret; and the negative offsets at which the kernel provides metadata.
_LD_W, _LD_H, _LD_B, _JEQ, _RET = 0x20, 0x28, 0x30, 0x15, 0x06
_AD = -0x1000 & 0xFFFFFFFF
_IFINDEX = _AD + 8
_JGE = 0x35
_TCP, _UDP = 6, 17
_ICMP, _ICMPV6 = 1, 58


def receiver(space: int, interfaces: Sequence[int], *, size: int, every: bool = False) -> socket.socket:
    """A socket that receives every TCP frame that the given interfaces send or receive.

    Args:
        space: A descriptor of their namespace.
        interfaces: Their indexes, at most `MOST_INTERFACES`.
        size: How many bytes of each frame to receive.
        every: Receive the frames of all protocols.
    """
    program = _program(interfaces, [(_RET, 0, 0, size)] if every else tcp_frames(size))
    with netns.inside(space):
        # Not bound to a protocol yet: no frame may arrive before the filter is attached.
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    _enlarge(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF)
    attach(sock, program)
    _bind_everywhere(sock)
    return sock


def attach(sock: socket.socket, program: Sequence[tuple[int, int, int, int]]) -> None:
    """Attach a classic BPF program: the socket then receives only the frames that it accepts."""
    raw = b"".join(struct.pack("=HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(raw, len(raw))
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    )


def tcp_frames(size: int) -> list[tuple[int, int, int, int]]:
    """A program that accepts the first ``size`` bytes of IPv4 and IPv6 frames with TCP, and rejects other frames.

    Classic BPF has no loops. After one extension header of IPv6 the program accepts TCP and any second
    extension header; `handshake_lab.tcp.segment.decode` then determines whether a TCP header follows.
    """
    others = sorted(EXTENSIONS)
    behind = 7 + len(others)  # the instruction at which an extension header is handled
    accept = behind + 2 + len(others)
    refuse = accept + 1
    # Jumps, given by their target instructions.
    jumps = [
        (_JEQ, 2, 4, 0x0800),
        (_LD_B, 0, 0, 23),  # IPv4's protocol
        (_JEQ, accept, refuse, _TCP),
        (_JEQ, 5, refuse, 0x86DD),
        (_LD_B, 0, 0, 20),  # IPv6's next header
        (_JEQ, accept, 7, _TCP),
        *((_JEQ, behind, place + 1 if place + 1 < behind else refuse, kind) for place, kind in enumerate(others, 7)),
        (_LD_B, 0, 0, 54),  # the next header of the first extension header
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


def icmp_errors(size: int) -> list[tuple[int, int, int, int]]:
    """The beginning of a program: it accepts ICMP and errors of ICMPv6; other frames are passed to the rest.

    Types of ICMPv6 below 128 are errors (RFC 4443, section 2.1): neighbour discovery is not among them.
    """
    return [
        (_LD_H, 0, 0, 12),  # EtherType
        (_JEQ, 0, 2, 0x0800),
        (_LD_B, 0, 0, 23),  # IPv4's protocol
        (_JEQ, 5, 7, _ICMP),
        (_JEQ, 0, 6, 0x86DD),
        (_LD_B, 0, 0, 20),  # IPv6's next header
        (_JEQ, 0, 4, _ICMPV6),
        (_LD_B, 0, 0, 54),  # ICMPv6's type
        (_JGE, 1, 0, 128),
        (_RET, 0, 0, size),
        (_RET, 0, 0, 0),
    ]


def udp_frames(size: int) -> list[tuple[int, int, int, int]]:
    """The beginning of a program that accepts UDP; other frames are for what follows it."""
    return [
        (_LD_H, 0, 0, 12),  # EtherType
        (_JEQ, 0, 2, 0x0800),
        (_LD_B, 0, 0, 23),  # IPv4's protocol
        (_JEQ, 3, 4, _UDP),
        (_JEQ, 0, 3, 0x86DD),
        (_LD_B, 0, 0, 20),  # IPv6's next header
        (_JEQ, 0, 1, _UDP),
        (_RET, 0, 0, size),
    ]


def _bind_everywhere(sock: socket.socket) -> None:
    """Start receiving on all interfaces; the bind() of Python's sockets requires the name of one interface."""
    # struct sockaddr_ll: family, protocol (network byte order), interface, three fields about hardware addresses.
    where = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0, b"")
    if ctypes.CDLL(None, use_errno=True).bind(sock.fileno(), where, len(where)) != 0:
        raise SystemCallFailed(ctypes.get_errno(), "binding a packet socket")


def _program(
    interfaces: Sequence[int], accepted: Sequence[tuple[int, int, int, int]]
) -> list[tuple[int, int, int, int]]:
    """A program that accepts what another one accepts, of any of these interfaces."""
    checks = len(interfaces)
    program = [(_LD_W, 0, 0, _IFINDEX)]
    program += [(_JEQ, checks - n, 0, index) for n, index in enumerate(interfaces)]
    return [*program, (_RET, 0, 0, 0), *accepted]


def sender(space: int, mark: int) -> socket.socket:
    """A socket that sends frames and sets a mark on each of them.

    Args:
        space: A descriptor of the namespace.
        mark: The mark, as nft's ``meta mark`` sees it.
    """
    with netns.inside(space):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    # A frame occupies the send buffer until netem has released it.
    _enlarge(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF)
    return sock


def read(sock: socket.socket, size: int) -> Iterator[tuple[bytes, bool]]:
    """The frames in the receive queue, each with whether the interface sent it."""
    while True:
        try:
            frame, address = sock.recvfrom(size)
        except BlockingIOError:
            return
        yield frame, address[2] == OUTGOING


def overrun(sock: socket.socket) -> int:
    """How many frames the kernel has dropped since the previous call, because the receive buffer was full."""
    answer = sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
    return int(struct.unpack("=II", answer)[1])


def _enlarge(sock: socket.socket, force: int, polite: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, polite, _BUFFER)
    # More than net.core.rmem_max requires CAP_NET_ADMIN in the namespace (and Linux 5.18 or newer).
    with contextlib.suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, force, _BUFFER)
