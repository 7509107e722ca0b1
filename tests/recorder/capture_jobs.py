"""Jobs for private namespaces: a pair of interfaces, crafted frames, and the observations of a capture."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from handshake_lab.observers.capture import Capture
from handshake_lab.observers.clock import Clock

TCP, UDP = 6, 17
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60


def tcp(port: int) -> bytes:
    """A SYN from a port, which identifies it."""
    return struct.pack("!HHIIBBHHH", port, 80, 1, 0, 5 << 4, 2, 1000, 0, 0)


def ipv4(protocol: int, payload: bytes) -> bytes:
    """A frame of IPv4."""
    ends = ip_address("10.0.0.1").packed + ip_address("10.0.0.2").packed
    return b"\x08\x00" + struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + ends + payload


def ipv6(headers: tuple[int, ...], protocol: int, payload: bytes) -> bytes:
    """A frame of IPv6 with extension headers of eight bytes each."""
    kinds = [*headers, protocol]
    for following in reversed(kinds[1:]):
        payload = bytes([following, 0]) + bytes(6) + payload
    ends = ip_address("fd00::1").packed + ip_address("fd00::2").packed
    return b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(payload), kinds[0], 64) + ends + payload


FRAMES = (
    ipv4(TCP, tcp(1)),
    ipv4(UDP, tcp(2)),
    ipv6((), TCP, tcp(3)),
    ipv6((), UDP, tcp(4)),
    ipv6((HOP_BY_HOP,), TCP, tcp(5)),
    ipv6((HOP_BY_HOP, ROUTING, DESTINATION), TCP, tcp(6)),
    ipv6((DESTINATION,), TCP, tcp(7)),
    ipv6((DESTINATION,), UDP, tcp(8)),
    ipv6((FRAGMENT,), TCP, tcp(9)),
    b"\x08\x06" + bytes(60),  # ARP
)


def _pair() -> tuple[socket.socket, Capture]:
    """A socket to send from one end, and a capture on the other."""
    subprocess.run(["ip", "link", "add", "name", "v1", "type", "veth", "peer", "name", "v2"], check=True)
    for name in ("v1", "v2"):
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
    while not all(Path(f"/sys/class/net/{name}/operstate").read_text() == "up\n" for name in ("v1", "v2")):
        time.sleep(0.01)  # the kernel takes up to a second (net/core/link_watch.c)
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind(("v1", 0))
    return sender, Capture("h", "v2", Clock())


def _address() -> bytes:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("v2", 0))
        return bytes(sock.getsockname()[4])


def what_passes(argument: Any, results: Path) -> None:
    """Each frame to the interface's own address, and the first again to another address."""
    del argument
    sender, capture = _pair()
    for frame in FRAMES:
        sender.send(_address() + bytes(6) + frame)
    sender.send(b"\x02\0\0\0\0\x99" + bytes(6) + ipv4(TCP, tcp(99)))
    (descriptor,) = capture.descriptors()
    seen = [(each.src.port, each.src.ip, each.flags, each.direction) for each in capture.read(descriptor)]
    (results / "found.json").write_text(json.dumps({"seen": seen, "dropped": capture.dropped()}))


def too_many(frames: Any, results: Path) -> None:
    """More frames than the buffer can hold, without reading, and one after them."""
    sender, capture = _pair()
    capture._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    frame = _address() + bytes(6) + ipv4(TCP, tcp(1))
    for _ in range(frames):
        sender.send(frame)
    (descriptor,) = capture.descriptors()
    seen, dropped, again = len(list(capture.read(descriptor))), capture.dropped(), capture.dropped()
    sender.send(frame)
    after = len(list(capture.read(descriptor)))
    (results / "found.json").write_text(json.dumps([seen, dropped, again, after]))
