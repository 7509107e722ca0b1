"""The queueing disciplines and classes of an interface that limit, delay or drop the frames that it sends.

Source: include/uapi/linux/pkt_sched.h; net/sched/sch_htb.c, sch_hfsc.c, sch_tbf.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pyroute2.netlink.rtnl import RTM_GETQDISC, RTM_GETTCLASS, TC_H_ROOT
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from handshake_lab.linux.netlink.connection import request
from handshake_lab.linux.netlink.qdisc import NetemParameters

if TYPE_CHECKING:
    from handshake_lab.linux.netlink.connection import Netlink


class Queues(NamedTuple):
    """The queueing of an interface.

    ``rate`` is the lowest limit in bytes per second, 0 for none; ``netem`` the parameters of netem, None without it;
    ``netem_handle`` and ``netem_parent`` are its handle and parent.
    """

    kinds: tuple[str, ...]
    rate: int
    netem: NetemParameters | None
    netem_handle: int
    netem_parent: int


def read(netlink: Netlink, index: int) -> Queues:
    """The queues of an interface of the socket's namespace.

    Raises:
        NetlinkError: The kernel refused.
    """
    kinds: list[str] = []
    rates: list[int] = []
    netem, place = None, (0, TC_H_ROOT)
    for answer in _dump(netlink, RTM_GETQDISC, index, "reading the queueing disciplines"):
        if answer["index"] != index:
            continue
        kind = answer.get_attr("TCA_KIND")
        kinds.append(kind)
        if kind == "netem":
            netem, place = NetemParameters.parse(answer.get_attr("TCA_OPTIONS")), (answer["handle"], answer["parent"])
            rates.append(netem.rate)
        elif kind == "tbf":
            rates.append(_rate(answer.get_attr("TCA_OPTIONS"), "TCA_TBF_PARMS", "TCA_TBF_RATE64"))
    for answer in _dump(netlink, RTM_GETTCLASS, index, "reading the traffic classes"):
        kind, options = answer.get_attr("TCA_KIND"), answer.get_attr("TCA_OPTIONS")
        if kind == "htb" and options is not None:
            rates.append(_rate(options, "TCA_HTB_PARMS", "TCA_HTB_RATE64"))
        elif kind == "hfsc" and options is not None and (curve := options.get_attr("TCA_HFSC_FSC")):
            rates.append(curve["m2"])
    return Queues(tuple(kinds), min((rate for rate in rates if rate), default=0), netem, *place)


def _dump(netlink: Netlink, kind: int, index: int, what: str) -> list[Any]:
    message = tcmsg()
    message["index"] = index
    return netlink.dump(request(message, kind, 0, what))


def _rate(options: Any, parameters: str, wide: str) -> int:
    """The rate in these parameters, 0 for none; in 64 bits if it needs them."""
    narrow = options.get_attr(parameters)
    return int(options.get_attr(wide) or (narrow["rate"] if narrow else 0))
