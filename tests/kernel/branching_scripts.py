"""Scripts that branch: they run inside the kernel, and are imported there."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from handshake_lab.experiment.workloads import request_response

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net


def exchange(net: Net, argument: dict[str, Any]) -> None:
    """A connection from its first SYN to its end, with the requested branches, or with faults instead."""
    for fault in argument.get("faults", ()):
        net.network.fault(fault)
    points = argument.get("branches")
    if points is None:
        request_response.script(net, None)
        return
    for _ in net.branches(**points):
        request_response.script(net, None)
    for command in argument.get("programs", ()):
        net.h1.run(command)


def choices(net: Net, _: Any) -> None:
    """A connection that is closed in one of two ways, at one of two times: branch points of the script itself."""
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    server, _ = listener.accept()
    for when in net.branches(of=("at once", "later")):
        net.sleep(0.0 if when.decisions == ["at once"] else 1.0)
        for how in net.branches(of=("close", "half-close")):
            client.close() if how.decisions == ["close"] else client.shutdown(socket.SHUT_WR)
    server.close()
    client.close()


def nothing(_: Net, __: Any) -> None:
    """Nothing: a network that is built, watched and taken down."""
