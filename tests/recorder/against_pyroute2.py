"""A script that compares this project's decoding of sock_diag with that of pyroute2."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from handshake_lab.linux.netlink.sock_diag import EVERYTHING
from handshake_lab.observers.socket_snapshot import SocketSnapshots
from pyroute2.netlink.diag import DiagSocket

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net

#: INET_DIAG_INFO and its name in pyroute2.
_INFO = 2


def script(net: Net, _: Any) -> None:
    """Sockets in many states; both decoders poll them at the same virtual time."""
    net.drop("ACK", from_="h1", port=8001)
    listener, pending = net.h2.listen(8000), net.h2.listen(8001)
    established = net.h1.connect(listener), listener.accept()
    half = net.h1.connect(listener), listener.accept()
    half[0].shutdown(socket.SHUT_WR)
    waiting = net.h1.connect(listener), listener.accept()
    waiting[0].shutdown(socket.SHUT_WR)
    waiting[1][0].recv(1)
    waiting[1][0].close()
    established[0].sendall(b"never read")
    net.h1.connect(pending)
    net.h1.begin_connect(("h2", 9))
    net.sleep(2 * net.rtt)
    net.h1.begin_connect(("10.0.0.99", 9))
    found = {name: {"ours": _ours(net, name), "theirs": _theirs(net, name)} for name in ("h1", "h2")}
    (net.results / "found.json").write_text(json.dumps(found))


def _ours(net: Net, name: str) -> list[list[Any]]:
    with net.network[name].enter():
        sockets = SocketSnapshots(name)
    snapshots = sockets.dump(EVERYTHING, {}).found.values()
    sockets.close()
    return sorted(
        [
            snapshot.cookie,
            str(snapshot.state),
            *snapshot.local.__str__().rsplit(":", 1),
            *snapshot.remote.__str__().rsplit(":", 1),
            snapshot.timer,
            snapshot.retrans,
            snapshot.inode,
            snapshot.rqueue,
            snapshot.wqueue,
            snapshot.info.rtt if snapshot.info else None,
            snapshot.info.segs_in if snapshot.info else None,
        ]
        for snapshot in snapshots
    )


_STATES = {
    1: "ESTABLISHED",
    2: "SYN-SENT",
    3: "SYN-RECEIVED",
    4: "FIN-WAIT-1",
    5: "FIN-WAIT-2",
    6: "TIME-WAIT",
    8: "CLOSE-WAIT",
    9: "LAST-ACK",
    10: "LISTEN",
    11: "CLOSING",
}
_TIMERS = ["", "on", "keepalive", "timewait", "persist", "delack"]


def _theirs(net: Net, name: str) -> list[list[Any]]:
    found = []
    with net.network[name].enter(), DiagSocket() as diag:
        for message in diag.get_sock_stats(family=socket.AF_INET, states=0xFFF, extensions=1 << (_INFO - 1)):
            info = message.get_attr("INET_DIAG_INFO")
            found.append(
                [
                    message["idiag_cookie"],
                    _STATES[message["idiag_state"]],
                    message["idiag_src"],
                    str(message["idiag_sport"]),
                    message["idiag_dst"],
                    str(message["idiag_dport"]),
                    _TIMERS[message["idiag_timer"]],
                    message["idiag_retrans"],
                    message["idiag_inode"],
                    message["idiag_rqueue"],
                    message["idiag_wqueue"],
                    info["tcpi_rtt"] if info else None,
                    info["tcpi_segs_in"] if info else None,
                ]
            )
    return sorted(found)
