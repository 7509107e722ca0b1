"""All queueing disciplines and classes of an interface, as far as they limit, delay or drop what it sends.

Source: include/uapi/linux/pkt_sched.h; net/sched/sch_htb.c, sch_hfsc.c, sch_tbf.c.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.linux.netlink.connection import attributes
from handshake_lab.linux.netlink.qdisc import GETQDISC, NetemParameters

if TYPE_CHECKING:
    from handshake_lab.linux.netlink.connection import Netlink

_GETTCLASS = 42
_KIND, _OPTIONS = 1, 2
#: TCA_HTB_PARMS, TCA_HTB_RATE64; TCA_TBF_PARMS, TCA_TBF_RATE64; TCA_HFSC_FSC.
_HTB_PARMS, _HTB_RATE64 = 1, 6
_TBF_PARMS, _TBF_RATE64 = 1, 4
_HFSC_FSC = 2
_ROOT = 0xFFFFFFFF


class Queues(NamedTuple):
    """What an interface has.

    ``rate`` is the lowest limit in bytes per second, 0 for none; ``netem`` its parameters, None without netem;
    ``netem_handle`` and ``netem_parent`` say where it is.
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
    netem, place = None, (0, _ROOT)
    for answer in netlink.dump(GETQDISC, _message(index), "reading the queueing disciplines"):
        number, handle, parent = struct.unpack_from("=iII", answer, 4)
        if number != index:
            continue
        found = attributes(answer[20:])
        kind = found[_KIND].rstrip(b"\0").decode()
        kinds.append(kind)
        if kind == "netem":
            netem, place = NetemParameters.decode(found[_OPTIONS]), (handle, parent)
            rates.append(netem.rate)
        elif kind == "tbf":
            rates.append(_rate(attributes(found[_OPTIONS]), _TBF_PARMS, _TBF_RATE64))
    for answer in netlink.dump(_GETTCLASS, _message(index), "reading the traffic classes"):
        found = attributes(answer[20:])
        kind = found[_KIND].rstrip(b"\0").decode()
        options = attributes(found.get(_OPTIONS, b""))
        if kind == "htb" and _HTB_PARMS in options:
            rates.append(_rate(options, _HTB_PARMS, _HTB_RATE64))
        elif kind == "hfsc" and _HFSC_FSC in options:
            rates.append(int(struct.unpack_from("=III", options[_HFSC_FSC])[2]))  # m2 of struct tc_service_curve
    return Queues(tuple(kinds), min((rate for rate in rates if rate), default=0), netem, *place)


def _message(index: int) -> bytes:
    return struct.pack("=BxxxiIII", 0, index, 0, 0, 0)


def _rate(options: dict[int, bytes], parameters: int, wide: int) -> int:
    """The rate of a struct tc_ratespec, which is first in these parameters; in 64 bits if it needs them."""
    if wide in options:
        return int(struct.unpack("=Q", options[wide])[0])
    return int(struct.unpack_from("=I", options[parameters], 8)[0])
