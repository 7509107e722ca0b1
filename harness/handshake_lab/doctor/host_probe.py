"""Tries features of the machine's own kernel; runs inside temporary namespaces.

`handshake_lab.doctor.host_checks` starts it as a separate program. It prints one JSON object:
the name of each feature, and its error ("" for none). All that it makes is in its own network
namespace, which is removed when it ends.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT = 10.0  # seconds, for each command and each answer

# include/uapi/linux/netlink.h, sock_diag.h, inet_diag.h
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 0x1, 0x4, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY, _SOCK_DESTROY = 20, 21
_ETH_P_ALL = 3


def main() -> None:
    """Try every feature and print the errors."""
    found: dict[str, str] = {}
    for name, attempt in _ATTEMPTS.items():
        try:
            attempt()
        except (OSError, subprocess.SubprocessError) as error:
            found[name] = _reason(error)
        else:
            found[name] = ""
    json.dump(found, sys.stdout)


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or "").strip().splitlines()
        named = [line.partition("Error: ")[2] for line in lines if "Error: " in line]
        return (named or lines or [str(error)])[0]
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer within {_TIMEOUT:g} s"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no {error.filename}"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=_TIMEOUT)
    return done.stdout


# --- Devices and queueing disciplines ---------------------------------------------


def _veth() -> None:
    _run("ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1")


def _bridge() -> None:
    _run("ip", "link", "add", "probebr", "type", "bridge")


def _ifb() -> None:
    _run("ip", "link", "add", "probeifb", "type", "ifb")


def _netem() -> None:
    # On the loopback device, which exists even if veth does not.
    _run("tc", "qdisc", "replace", "dev", "lo", "root", "netem", "delay", "50ms", "loss", "1%")
    # Older kernels and some containers accept a discipline without setting it.
    if "qdisc netem " not in _run("tc", "qdisc", "show", "dev", "lo"):
        raise OSError(0, "tc accepted netem, but did not set it")


def _nftables() -> None:
    device = "probe0" if os.path.exists("/sys/class/net/probe0") else "lo"  # noqa: PTH110  a name in the kernel, not a file
    rules = f"""
        table netdev probe {{
            chain drops {{
                type filter hook ingress device "{device}" priority 0;
                numgen inc mod 3 == 0 counter drop
            }}
        }}"""
    _run("nft", "-f", "-", given=rules)


# --- Sockets --------------------------------------------------------------------------


def _packet() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)).close()


def _netlink(family: int, kind: int, flags: int, body: bytes) -> list[tuple[int, bytes]]:
    """Send one request; returns all answers, as (type, body)."""
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)) as channel:
        channel.settimeout(_TIMEOUT)
        channel.bind((0, 0))
        channel.send(struct.pack("=IHHII", 16 + len(body), kind, _NLM_F_REQUEST | flags, 1, 0) + body)
        answers: list[tuple[int, bytes]] = []
        while True:
            data = channel.recv(65536)
            while len(data) >= 16:
                length, answer = struct.unpack_from("=IH", data)
                content, data = data[16:length], data[(length + 3) & ~3 :]
                if answer == _NLMSG_DONE:
                    return answers
                if answer == _NLMSG_ERROR:
                    (number,) = struct.unpack_from("=i", content)
                    if number:
                        raise OSError(-number, os.strerror(-number))
                    return answers
                answers.append((answer, content))


def _listening_sockets() -> list[bytes]:
    """The socket identities (struct inet_diag_sockid, 48 bytes) of all listeners here."""
    request = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 1 << 10) + bytes(48)
    answers = _netlink(_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_DUMP, request)
    return [body[4:52] for kind, body in answers if kind == _SOCK_DIAG_BY_FAMILY]


def _inet_diag() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # noqa: S104  in a namespace without external interfaces
        listener.listen()
        if not _listening_sockets():
            raise OSError(0, "the kernel answered, but did not report a listening socket")


def _inet_diag_destroy() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # noqa: S104
        listener.listen()
        for identity in _listening_sockets():
            request = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 1 << 10) + identity
            _netlink(_NETLINK_SOCK_DIAG, _SOCK_DESTROY, _NLM_F_ACK, request)
        if _listening_sockets():
            raise OSError(0, "the kernel accepted the request, but did not destroy the socket")


# In this order: the nftables attempt uses the veth.
_ATTEMPTS: dict[str, Callable[[], None]] = {
    "veth": _veth,
    "bridge": _bridge,
    "ifb": _ifb,
    "sch_netem": _netem,
    "nftables": _nftables,
    "packet": _packet,
    "inet_diag": _inet_diag,
    "inet_diag_destroy": _inet_diag_destroy,
}

if __name__ == "__main__":
    main()
