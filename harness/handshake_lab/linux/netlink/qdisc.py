"""Queueing disciplines: requests that set netem and redirect arriving frames, and what is set, as pyroute2's messages.

Parameters are in the kernel's own units: probabilities in 1/2³², rates in bytes per second, times in nanoseconds.

Source: include/uapi/linux/pkt_sched.h, net/sched/sch_netem.c; ``man tc-netem``.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import RTM_GETQDISC, RTM_NEWQDISC, RTM_NEWTFILTER, TC_H_INGRESS, TC_H_ROOT
from pyroute2.netlink.rtnl.tcmsg import cls_matchall, tcmsg
from pyroute2.protocols import ETH_P_ALL

from handshake_lab.linux.netlink import netem_tables
from handshake_lab.linux.netlink.connection import Request, request
from handshake_lab.linux.netlink.pyroute2_gaps import QdiscMessage

if TYPE_CHECKING:
    from handshake_lab.linux.netlink.connection import Netlink

_INGRESS_HANDLE = 0xFFFF0000
#: The handle of the queueing disciplines that this module adds: 1:0.
NETEM_HANDLE = 0x10000
#: The largest probability, and the largest rate in 32 bits.
MOST = 2**32 - 1


class NetemParameters(NamedTuple):
    """netem's parameters in the kernel's units."""

    latency: int  #: nanoseconds
    jitter: int
    limit: int
    loss: int
    gap: int
    duplicate: int
    delay_correlation: int
    loss_correlation: int
    duplicate_correlation: int
    reorder: int
    reorder_correlation: int
    corrupt: int
    corrupt_correlation: int
    rate: int  #: bytes per second
    gilbert: tuple[int, int, int, int] | None

    def options(self, distribution: str) -> dict[str, Any]:
        """The value of TCA_OPTIONS.

        All parameters are always included: a parameter that a change omits keeps its old value.
        """
        attributes: list[Any] = [
            (
                "TCA_NETEM_CORR",
                {
                    "delay_corr": self.delay_correlation,
                    "loss_corr": self.loss_correlation,
                    "dup_corr": self.duplicate_correlation,
                },
            ),
            ("TCA_NETEM_REORDER", {"prob_reorder": self.reorder, "corr_reorder": self.reorder_correlation}),
            ("TCA_NETEM_CORRUPT", {"prob_corrupt": self.corrupt, "corr_corrupt": self.corrupt_correlation}),
            ("TCA_NETEM_RATE", {"rate": min(self.rate, MOST)}),
            ("TCA_NETEM_LATENCY64", self.latency),
            ("TCA_NETEM_JITTER64", self.jitter),
        ]
        if self.rate > MOST:
            attributes.append(("TCA_NETEM_RATE64", self.rate))
        if self.gilbert is not None:
            model = dict(zip(("p", "r", "h", "k1"), self.gilbert, strict=True))
            attributes.append(("TCA_NETEM_LOSS", {"attrs": [("NETEM_LOSS_GE", model)]}))
        if distribution and distribution != "uniform":
            attributes.append(("TCA_NETEM_DELAY_DIST", netem_tables.table(distribution)))
        # Without the attributes in nanoseconds these would count, in ticks of 64 ns (include/net/pkt_sched.h).
        delay, jitter = (min(MOST, each >> 6) for each in (self.latency, self.jitter))
        return {
            "delay": delay,
            "limit": self.limit,
            "loss": self.loss,
            "gap": self.gap,
            "duplicate": self.duplicate,
            "jitter": jitter,
            "attrs": attributes,
        }

    @classmethod
    def parse(cls, options: Any) -> NetemParameters:
        """The parameters in TCA_OPTIONS as the kernel dumps it."""
        correlations = options.get_attr("TCA_NETEM_CORR")
        reorder = options.get_attr("TCA_NETEM_REORDER")
        corrupt = options.get_attr("TCA_NETEM_CORRUPT")
        model = (options.get_attr("TCA_NETEM_LOSS") or {}).get("NETEM_LOSS_GE")
        return cls(
            latency=options.get_attr("TCA_NETEM_LATENCY64", options["delay"] << 6),
            jitter=options.get_attr("TCA_NETEM_JITTER64", options["jitter"] << 6),
            limit=options["limit"],
            loss=options["loss"],
            gap=options["gap"],
            duplicate=options["duplicate"],
            delay_correlation=correlations["delay_corr"],
            loss_correlation=correlations["loss_corr"],
            duplicate_correlation=correlations["dup_corr"],
            reorder=reorder["prob_reorder"],
            reorder_correlation=reorder["corr_reorder"],
            corrupt=corrupt["prob_corrupt"],
            corrupt_correlation=corrupt["corr_corrupt"],
            rate=options.get_attr("TCA_NETEM_RATE64", options.get_attr("TCA_NETEM_RATE")["rate"]),
            gilbert=None if model is None else (model["p"], model["r"], model["h"], model["k1"]),
        )


class Qdisc(NamedTuple):
    """A root queueing discipline, as the kernel reports it; what follows the kind is of netem only."""

    kind: str
    settings: NetemParameters | None = None
    sent: int = 0  #: packets
    dropped: int = 0
    overlimits: int = 0
    queued: int = 0


def netem(
    index: int,
    where: str,
    parameters: NetemParameters,
    distribution: str,
    *,
    replace: bool = False,
    handle: int = NETEM_HANDLE,
) -> Request:
    """The request that makes netem the queue for the frames that an interface sends.

    Args:
        index: The interface's.
        where: Its name, for messages.
        parameters: The parameters.
        distribution: That of the jitter: a name of `handshake_lab.linux.netlink.netem_tables`, "uniform" or "".
        replace: Replace the queue (segments in it are lost) instead of changing its parameters.
        handle: The number of the queue whose parameters are changed, or of a new one where there is none.
    """
    message = QdiscMessage()
    message.update(
        index=index,
        # Without a handle the kernel replaces the old queue with a new one.
        handle=0 if replace else handle,
        parent=TC_H_ROOT,
        attrs=[("TCA_KIND", "netem"), ("TCA_OPTIONS", parameters.options(distribution))],
    )
    what = f"{'replacing' if replace else 'setting'} the impairment of {where}"
    return request(message, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, what)


def redirect_arriving(index: int, target: int, where: str) -> list[Request]:
    """Requests that redirect all frames that arrive at an interface through another one (an ifb)."""
    ingress = tcmsg()
    ingress.update(index=index, handle=_INGRESS_HANDLE, parent=TC_H_INGRESS, attrs=[("TCA_KIND", "ingress")])
    redirection = {"kind": "mirred", "direction": "egress", "action": "redirect", "ifindex": target}
    match = tcmsg()
    match.update(
        index=index,
        parent=_INGRESS_HANDLE,
        info=1 << 16 | socket.htons(ETH_P_ALL),  # priority 1
        attrs=[("TCA_KIND", "matchall"), ("TCA_OPTIONS", cls_matchall.get_parameters({"action": redirection}))],
    )
    what = f"redirecting arriving frames of {where} through its impairment"
    return [
        request(ingress, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, f"adding the ingress qdisc of {where}"),
        request(match, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, what),
    ]


def read(netlink: Netlink) -> dict[int, Qdisc]:
    """Every root queueing discipline of the namespace, by interface index."""
    found: dict[int, Qdisc] = {}
    for answer in netlink.dump(request(tcmsg(), RTM_GETQDISC, 0, "reading the queueing disciplines")):
        if answer["parent"] != TC_H_ROOT:
            continue
        kind = answer.get_attr("TCA_KIND")
        if kind != "netem":
            found[answer["index"]] = Qdisc(kind)
            continue
        basic = answer.get_nested("TCA_STATS2", "TCA_STATS_BASIC")
        queue = answer.get_nested("TCA_STATS2", "TCA_STATS_QUEUE")
        found[answer["index"]] = Qdisc(
            kind,
            NetemParameters.parse(answer.get_attr("TCA_OPTIONS")),
            sent=basic["packets"],
            dropped=queue["drops"],
            overlimits=queue["overlimits"],
            queued=queue["qlen"],
        )
    return found
