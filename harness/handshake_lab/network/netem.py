"""Sets impairments as netem's parameters, reads them back and compares them.

The kernel's answer is compared field by field, in the kernel's own units. The kernel does not return the table of a
jitter's distribution; it is the only parameter that is not compared.

Source: net/sched/sch_netem.c; ``man tc-netem``.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, ImpairmentNotApplied, NetlinkError
from handshake_lab.linux.netlink import qdisc
from handshake_lab.linux.netlink.qdisc import MOST, NetemParameters
from handshake_lab.plan import units
from handshake_lab.plan.link import DEFAULT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.linux.netlink.connection import Netlink
    from handshake_lab.plan.link import Impairment

#: The message for a kernel without netem.
_NO_NETEM = "This kernel has no sch_netem, so it cannot delay segments or drop them at random"
_NO_NETEM_REMEDY = (
    "Install the kernel's extra modules (Debian and Ubuntu: apt-get install linux-modules-extra-$(uname -r)) and run "
    "'modprobe sch_netem'; or use --kernel lab, which contains it. Faults that drop segments work without netem."
)


def _probability(billionths: int) -> int:
    return min(MOST, (billionths * 2**32 + units.CERTAIN // 2) // units.CERTAIN)


def netem_parameters(impairment: Impairment) -> NetemParameters:
    """The parameters that the kernel should have for this impairment."""
    model = impairment.gilbert
    reorder = _probability(impairment.reorder)
    return NetemParameters(
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
            MOST - _probability(model.bad),
            _probability(model.good),
        ),
    )


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
        netlink.ask(
            qdisc.netem(index, where, netem_parameters(impairment), impairment.distribution, replace=replace)
            for index, where, impairment, replace in wanted
        )
    except NetlinkError as error:
        if error.errno in (errno.ENOENT, errno.EOPNOTSUPP):
            raise EnvironmentUnsupported(_NO_NETEM, _NO_NETEM_REMEDY) from error
        raise
    answers = qdisc.read(netlink)
    for index, where, impairment, _ in wanted:
        verify(where, impairment, answers.get(index))


def verify(where: str, impairment: Impairment, answer: qdisc.Qdisc | None) -> None:
    """Compare the requested parameters with those that the kernel reports.

    Raises:
        ImpairmentNotApplied: They differ; it names each field that differs.
    """
    asked = netem_parameters(impairment)
    words = str(impairment) or "no impairment"
    if answer is None or answer.settings is None:
        raise ImpairmentNotApplied(where, words, f"the queueing discipline {answer.kind!r}" if answer else "none")
    if answer.settings != asked:
        pairs = zip(asked._fields, asked, answer.settings, strict=True)
        wrong = [(name, mine, its) for name, mine, its in pairs if mine != its]
        raise ImpairmentNotApplied(
            where,
            words + " (" + ", ".join(f"{name} {mine}" for name, mine, _ in wrong) + ")",
            ", ".join(f"{name} {its}" for name, _, its in wrong),
        )
