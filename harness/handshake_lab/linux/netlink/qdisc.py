"""Queueing disciplines: requests that set netem and redirect arriving frames, and the parsing of what is set.

Parameters are in the kernel's own units: probabilities in 1/2³², rates in bytes per second, times in nanoseconds.

Source: include/uapi/linux/pkt_sched.h, net/sched/sch_netem.c; ``man tc-netem``.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from handshake_lab.linux.netlink import netem_tables
from handshake_lab.linux.netlink.connection import (
    CREATE,
    EXCL,
    REPLACE,
    Netlink,
    Request,
    attribute,
    attributes,
    each_attribute,
    nested,
    text,
)

NEWQDISC, GETQDISC, NEWTFILTER = 36, 38, 44
_ROOT, _INGRESS, _INGRESS_HANDLE = 0xFFFFFFFF, 0xFFFFFFF1, 0xFFFF0000
_KIND, _OPTIONS, _STATS2 = 1, 2, 7
_STATS_BASIC, _STATS_QUEUE = 1, 3
_CORR, _DELAY_DIST, _REORDER, _CORRUPT, _LOSS, _RATE, _RATE64, _LATENCY64, _JITTER64 = 1, 2, 3, 4, 5, 6, 8, 10, 11
_LOSS_GILBERT_ELLIOTT = 2
_QOPT = struct.Struct("=6I")
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

    def encode(self, distribution: str) -> bytes:
        """The value of TCA_OPTIONS.

        All parameters are always included: a parameter that a change omits keeps its old value.
        """
        ticks = (min(MOST, self.latency >> 6), min(MOST, self.jitter >> 6))
        parts = [
            _QOPT.pack(ticks[0], self.limit, self.loss, self.gap, self.duplicate, ticks[1]),
            attribute(
                _CORR, struct.pack("=3I", self.delay_correlation, self.loss_correlation, self.duplicate_correlation)
            ),
            attribute(_REORDER, struct.pack("=2I", self.reorder, self.reorder_correlation)),
            attribute(_CORRUPT, struct.pack("=2I", self.corrupt, self.corrupt_correlation)),
            attribute(_RATE, struct.pack("=IiIi", min(self.rate, MOST), 0, 0, 0)),
            attribute(_LATENCY64, struct.pack("=q", self.latency)),
            attribute(_JITTER64, struct.pack("=q", self.jitter)),
        ]
        if self.rate > MOST:
            parts.append(attribute(_RATE64, struct.pack("=Q", self.rate)))
        if self.gilbert is not None:
            parts.append(nested(_LOSS, attribute(_LOSS_GILBERT_ELLIOTT, struct.pack("=4I", *self.gilbert))))
        if distribution and distribution != "uniform":
            table = netem_tables.table(distribution)
            parts.append(attribute(_DELAY_DIST, struct.pack(f"={len(table)}h", *table)))
        return b"".join(parts)

    @classmethod
    def decode(cls, options: bytes) -> NetemParameters:
        """Parse TCA_OPTIONS as the kernel dumps it."""
        latency, limit, loss, gap, duplicate, jitter = _QOPT.unpack_from(options)
        found = attributes(options[_QOPT.size :])
        correlations = struct.unpack("=3I", found[_CORR])
        reorder = struct.unpack("=2I", found[_REORDER])
        corrupt = struct.unpack("=2I", found[_CORRUPT])
        rate = struct.unpack_from("=I", found[_RATE])[0]
        if _RATE64 in found:
            rate = struct.unpack("=Q", found[_RATE64])[0]
        model = attributes(found[_LOSS]) if _LOSS in found else {}
        gilbert = struct.unpack("=4I", model[_LOSS_GILBERT_ELLIOTT]) if _LOSS_GILBERT_ELLIOTT in model else None
        return cls(
            latency=struct.unpack("=q", found[_LATENCY64])[0] if _LATENCY64 in found else latency << 6,
            jitter=struct.unpack("=q", found[_JITTER64])[0] if _JITTER64 in found else jitter << 6,
            limit=limit,
            loss=loss,
            gap=gap,
            duplicate=duplicate,
            delay_correlation=correlations[0],
            loss_correlation=correlations[1],
            duplicate_correlation=correlations[2],
            reorder=reorder[0],
            reorder_correlation=reorder[1],
            corrupt=corrupt[0],
            corrupt_correlation=corrupt[1],
            rate=rate,
            gilbert=gilbert,
        )


class Qdisc(NamedTuple):
    """A root queueing discipline, as the kernel reports it."""

    kind: str
    settings: NetemParameters | None  #: None where it is not netem
    sent: int  #: packets
    dropped: int
    overlimits: int
    queued: int


def _message(index: int, handle: int, parent: int) -> bytes:
    return struct.pack("=BxxxiIII", 0, index, handle, parent, 0)


def netem(index: int, where: str, options: bytes, *, replace: bool = False, handle: int = 0x10000) -> Request:
    """The request that makes netem the queue for the frames that an interface sends.

    Args:
        index: The interface's.
        where: Its name, for messages.
        options: The encoded parameters.
        replace: Replace the queue (segments in it are lost) instead of changing its parameters.
        handle: The number of the queue whose parameters are changed, or of a new one where there is none.
    """
    wanted = attribute(_OPTIONS, options)
    if replace:
        # Without a handle the kernel replaces the old queue with a new one.
        body = _message(index, 0, _ROOT) + text(_KIND, "netem") + wanted
        return Request(NEWQDISC, CREATE | REPLACE, body, f"replacing the impairment of {where}")
    body = _message(index, handle, _ROOT) + text(_KIND, "netem") + wanted
    return Request(NEWQDISC, CREATE | REPLACE, body, f"setting the impairment of {where}")


def turn_in(index: int, target: int, where: str) -> list[Request]:
    """Requests that redirect all frames that arrive at an interface through another one (an ifb)."""
    ingress = _message(index, _INGRESS_HANDLE, _INGRESS) + text(_KIND, "ingress")
    # struct tc_mirred: index, capabilities, TC_ACT_STOLEN, two counts, TCA_EGRESS_REDIR, the target.
    mirred = attribute(2, struct.pack("=IIiiiiI", 0, 0, 4, 0, 0, 1, target))
    action = nested(1, text(1, "mirred"), nested(2, mirred))
    # Priority 1, every protocol.
    match = struct.pack("=BxxxiIII", 0, index, 0, _INGRESS_HANDLE, (1 << 16) | 0x0300)
    match += text(_KIND, "matchall") + nested(_OPTIONS, nested(2, action))
    return [
        Request(NEWQDISC, CREATE | EXCL, ingress, f"adding the ingress qdisc of {where}"),
        Request(NEWTFILTER, CREATE | EXCL, match, f"redirecting arriving frames of {where} through its impairment"),
    ]


def read(netlink: Netlink) -> dict[int, Qdisc]:
    """Every root queueing discipline of the namespace, by interface index."""
    found: dict[int, Qdisc] = {}
    for answer in netlink.dump(GETQDISC, _message(0, 0, 0), "reading the queueing disciplines"):
        index, _handle, parent = struct.unpack_from("=iII", answer, 4)
        if parent != _ROOT:
            continue
        parts = attributes(answer[20:])
        kind = parts[_KIND].rstrip(b"\0").decode()
        settings = NetemParameters.decode(parts[_OPTIONS]) if kind == "netem" else None
        sent = dropped = overlimits = queued = 0
        for group, value in each_attribute(parts.get(_STATS2, b"")):
            if group == _STATS_BASIC:
                sent = struct.unpack_from("=I", value, 8)[0]
            elif group == _STATS_QUEUE:
                queued, _bytes, dropped, _requeues, overlimits = struct.unpack_from("=5I", value)
        found[index] = Qdisc(kind, settings, sent, dropped, overlimits, queued)
    return found
