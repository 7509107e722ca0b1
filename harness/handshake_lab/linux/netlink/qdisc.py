"""Sets netem's parameters, reads them back and compares them.

The kernel's answer is compared field by field, in the kernel's own units (probabilities in
1/2³², rates in bytes per second). The kernel does not return the table of a jitter's
distribution; it is the only parameter that is not compared.

Source: include/uapi/linux/pkt_sched.h, net/sched/sch_netem.c; ``man tc-netem``.
"""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.errors import EnvironmentUnsupported, ImpairmentNotApplied, NetlinkError
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
from handshake_lab.plan import units
from handshake_lab.plan.link import DEFAULT_LIMIT, Impairment

if TYPE_CHECKING:
    from collections.abc import Iterable

NEWQDISC, DELQDISC, GETQDISC, NEWTFILTER = 36, 37, 38, 44
_ROOT, _INGRESS, _INGRESS_HANDLE = 0xFFFFFFFF, 0xFFFFFFF1, 0xFFFF0000
_KIND, _OPTIONS, _STATS2 = 1, 2, 7
_STATS_BASIC, _STATS_QUEUE = 1, 3
_CORR, _DELAY_DIST, _REORDER, _CORRUPT, _LOSS, _RATE, _RATE64, _LATENCY64, _JITTER64 = 1, 2, 3, 4, 5, 6, 8, 10, 11
_LOSS_GILBERT_ELLIOTT = 2
_QOPT = struct.Struct("=6I")
_MOST = 2**32 - 1

#: The message for a kernel without netem.
NO_NETEM = "This kernel has no sch_netem, so it cannot delay segments or drop them at random"
NO_NETEM_REMEDY = (
    "Install the kernel's extra modules (Debian and Ubuntu: apt-get install linux-modules-extra-$(uname -r)) and run "
    "'modprobe sch_netem'; or use --kernel lab, which contains it. Faults that drop segments work without netem."
)


def _probability(billionths: int) -> int:
    return min(_MOST, (billionths * 2**32 + units.CERTAIN // 2) // units.CERTAIN)


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

    @classmethod
    def asked(cls, impairment: Impairment) -> NetemParameters:
        """The parameters that the kernel should have for this impairment."""
        model = impairment.gilbert
        reorder = _probability(impairment.reorder)
        return cls(
            latency=impairment.delay,
            jitter=impairment.jitter,
            limit=impairment.limit or DEFAULT_LIMIT,
            loss=_probability(impairment.loss),
            # netem reorders only with a gap; 1 means "any segment" (as tc sets it).
            gap=impairment.gap or (1 if reorder else 0),
            duplicate=_probability(impairment.duplicate),
            delay_correlation=_probability(impairment.jitter_correlation),
            loss_correlation=_probability(impairment.loss_correlation),
            duplicate_correlation=_probability(impairment.duplicate_correlation),
            reorder=reorder,
            reorder_correlation=_probability(impairment.reorder_correlation),
            corrupt=_probability(impairment.corrupt),
            corrupt_correlation=_probability(impairment.corrupt_correlation),
            rate=impairment.rate // 8,
            gilbert=None
            if model is None
            else (
                _probability(model.worsen),
                _probability(model.recover),
                # The kernel uses the complement: h is the probability that a segment survives in the bad state.
                _MOST - _probability(model.bad),
                _probability(model.good),
            ),
        )

    def encode(self, distribution: str) -> bytes:
        """The value of TCA_OPTIONS.

        All parameters are always included: a parameter that a change omits keeps its old value.
        """
        ticks = (min(_MOST, self.latency >> 6), min(_MOST, self.jitter >> 6))
        parts = [
            _QOPT.pack(ticks[0], self.limit, self.loss, self.gap, self.duplicate, ticks[1]),
            attribute(
                _CORR, struct.pack("=3I", self.delay_correlation, self.loss_correlation, self.duplicate_correlation)
            ),
            attribute(_REORDER, struct.pack("=2I", self.reorder, self.reorder_correlation)),
            attribute(_CORRUPT, struct.pack("=2I", self.corrupt, self.corrupt_correlation)),
            attribute(_RATE, struct.pack("=IiIi", min(self.rate, _MOST), 0, 0, 0)),
            attribute(_LATENCY64, struct.pack("=q", self.latency)),
            attribute(_JITTER64, struct.pack("=q", self.jitter)),
        ]
        if self.rate > _MOST:
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


def impair(index: int, where: str, impairment: Impairment, *, replace: bool = False) -> Request:
    """The request that sets the impairment of the frames that an interface sends.

    Args:
        index: The interface's.
        where: Its name, for messages.
        impairment: The impairment.
        replace: Replace the queue (segments in it are lost) instead of changing its parameters.
    """
    options = attribute(_OPTIONS, NetemParameters.asked(impairment).encode(impairment.distribution))
    if replace:
        # Without a handle the kernel replaces the old queue with a new one.
        body = _message(index, 0, _ROOT) + text(_KIND, "netem") + options
        return Request(NEWQDISC, CREATE | REPLACE, body, f"replacing the impairment of {where}")
    body = _message(index, 0x10000, _ROOT) + text(_KIND, "netem") + options
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


def apply(netlink: Netlink, wanted: Iterable[tuple[int, str, Impairment, bool]]) -> None:
    """Set the impairments of interfaces and verify the parameters that the kernel reports.

    Args:
        netlink: A socket in the interfaces' namespace.
        wanted: For each interface its index, its name, the impairment, and whether to
            replace the queue.

    Raises:
        EnvironmentUnsupported: The kernel has no netem.
        ImpairmentNotApplied: The kernel reports other parameters.
    """
    wanted = list(wanted)
    if not wanted:
        return
    try:
        netlink.ask(impair(index, where, impairment, replace=replace) for index, where, impairment, replace in wanted)
    except NetlinkError as error:
        if error.errno in (errno.ENOENT, errno.EOPNOTSUPP):
            raise EnvironmentUnsupported(NO_NETEM, NO_NETEM_REMEDY) from error
        raise
    answers = read(netlink)
    for index, where, impairment, _ in wanted:
        verify(where, impairment, answers.get(index))


def verify(where: str, impairment: Impairment, answer: Qdisc | None) -> None:
    """Compare the requested parameters with those that the kernel reports.

    Raises:
        ImpairmentNotApplied: They differ; it names each field that differs.
    """
    asked = NetemParameters.asked(impairment)
    words = str(impairment) or "no impairment"
    if answer is None or answer.settings is None:
        raise ImpairmentNotApplied(where, words, f"the queueing discipline {answer.kind!r}" if answer else "none")
    if answer.settings != asked:
        pairs = zip(NetemParameters._fields, asked, answer.settings, strict=True)
        wrong = [(name, mine, its) for name, mine, its in pairs if mine != its]
        raise ImpairmentNotApplied(
            where,
            words + " (" + ", ".join(f"{name} {mine}" for name, mine, _ in wrong) + ")",
            ", ".join(f"{name} {its}" for name, _, its in wrong),
        )
