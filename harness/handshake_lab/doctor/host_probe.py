"""Tests features of the machine's own kernel by using them; runs in temporary namespaces.

`handshake_lab.doctor.host_checks` starts it as a separate program. It prints one JSON object:
the name of each feature, and its error ("" for none). Each attempt makes the same requests as a run, in a separate
network namespace, which is removed when the attempt ends.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, HandshakeError, NetlinkError
from handshake_lab.linux import netns, nftables, packet_socket
from handshake_lab.linux.netlink import links, qdisc
from handshake_lab.linux.netlink.connection import Netlink
from handshake_lab.linux.netlink.sock_diag import LISTENERS
from handshake_lab.network import netem
from handshake_lab.network.faults import drop_rules
from handshake_lab.observers.socket_snapshot import SocketSnapshots
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.link import Impairment

if TYPE_CHECKING:
    from collections.abc import Callable

#: The loopback device, which exists even if veth does not.
_LOOPBACK, _LOOPBACK_INDEX = "lo", 1
_BRIDGE_INDEX = 100


def main() -> None:
    """Try every feature and print the errors."""
    found: dict[str, str] = {}
    for name, attempt in _ATTEMPTS.items():
        try:
            attempt()
        except (OSError, HandshakeError) as error:
            found[name] = _reason(error)
        else:
            found[name] = ""
    json.dump(found, sys.stdout)


def _reason(error: BaseException) -> str:
    if isinstance(error, EnvironmentUnsupported) and error.__cause__ is not None:
        return _reason(error.__cause__)
    if isinstance(error, NetlinkError):
        return os.strerror(error.errno) + (f" ({error.detail})" if error.detail else "")
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no {error.filename}"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _veth() -> None:
    with Netlink() as netlink:
        netlink.ask([links.veth_pair("probe0", "probe1"), links.switch_on("probe0"), links.switch_on("probe1")])


def _bridge() -> None:
    with Netlink() as netlink:
        netlink.ask([links.bridge("probebr", _BRIDGE_INDEX)])


def _ifb() -> None:
    with Netlink() as netlink:
        netlink.ask([links.device("ifb", "probeifb")])
        netlink.ask(qdisc.redirect_arriving(_LOOPBACK_INDEX, links.indexes(netlink)["probeifb"], _LOOPBACK))


def _netem() -> None:
    with Netlink() as netlink:
        # The discipline is read back: older kernels and some containers accept one without installing it.
        netem.apply(netlink, [(_LOOPBACK_INDEX, _LOOPBACK, Impairment.parse("delay=50ms,loss=1%"), False)])


def _nftables() -> None:
    if shutil.which("nft") is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "nft")
    with Netlink() as netlink:
        device = "probe0" if "probe0" in links.indexes(netlink) else _LOOPBACK
    rules = drop_rules.base([device]) + drop_rules.drop("probe", Fault.parse("drop SYN nth=1"), [device], [])
    if refused := nftables.load(rules):
        raise OSError(0, refused.partition("Error: ")[2] or refused)


def _packet() -> None:
    space = netns.here()
    try:
        packet_socket.receiver(space, [_LOOPBACK_INDEX], size=64).close()
    finally:
        os.close(space)


def _inet_diag() -> None:
    with socket.socket() as listener, closing(SocketSnapshots("this machine")) as sockets:
        listener.bind(("0.0.0.0", 0))  # noqa: S104  in a namespace without external interfaces
        listener.listen()
        if not sockets.dump(LISTENERS, {}).found:
            raise OSError(0, "the kernel answered, but did not report a listening socket")


# In this order: the nftables attempt uses the veth.
_ATTEMPTS: dict[str, Callable[[], None]] = {
    "veth": _veth,
    "bridge": _bridge,
    "ifb": _ifb,
    "sch_netem": _netem,
    "nftables": _nftables,
    "packet": _packet,
    "inet_diag": _inet_diag,
}

if __name__ == "__main__":
    main()
