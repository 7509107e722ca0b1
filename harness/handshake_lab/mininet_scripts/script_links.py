"""Checking a script's links: whether the kernel has the settings that the script requested, and the rate of each link.

If tc refuses a setting, Mininet prints tc's message and continues without the setting. Therefore the settings are read
back from the kernel.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from handshake_lab.errors import ScriptLinkNotApplied
from handshake_lab.linux import netns
from handshake_lab.linux.netlink import links, qdisc, queues
from handshake_lab.linux.netlink.connection import Netlink
from handshake_lab.plan.link import DEFAULT_LIMIT, Impairment
from handshake_lab.plan.units import CERTAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.linux.netlink.queues import Queues

#: tc's units of time (tc/tc_util.c, get_time()), in nanoseconds; a bare number is microseconds.
_TIME = re.compile(r"([\d.]+)\s*([a-z]*)", re.IGNORECASE)
_UNITS = {
    f"{prefix}{name}": 10**exponent
    for prefix, exponent in {"": 9, "m": 6, "u": 3, "n": 0}.items()
    for name in ("s", "sec", "secs")
} | {"": 10**3}
#: The permitted differences between the kernel's values and requested ones: a tick of 64 ns, tc's rounding, 1/100,000.
_NEAR_TIME, _NEAR_RATE, _NEAR_LOSS = 64, 0.001, 2**32 // 100_000


@contextlib.contextmanager
def _inside(space: int) -> Iterator[Netlink]:
    with netns.inside(space), Netlink() as netlink:
        yield netlink


def check(space: int, interface: str, asked: dict[str, Any], said: list[str]) -> None:
    """Compare the settings that a script requested for an interface with those of the kernel.

    Args:
        space: A descriptor of the interface's namespace.
        interface: Its name.
        asked: The options that were passed to Mininet's ``TCIntf``.
        said: The output of tc.

    Raises:
        ScriptLinkNotApplied: They differ.
    """
    with _inside(space) as netlink:
        index = links.indexes(netlink).get(interface)
        found = queues.read(netlink, index) if index is not None else None
    wrong = list(_differences(asked, found)) if found else [("the interface", "none")]
    if wrong:
        wanted = ", ".join(f"{name}={value}" for name, value in asked.items())
        got = ", ".join(f"{name} {value}" for name, value in wrong)
        words = " ".join(" ".join(said).split())
        raise ScriptLinkNotApplied(interface, wanted, got, words)


def _differences(asked: dict[str, Any], found: Queues) -> Iterator[tuple[str, str]]:
    """The kernel's values that differ, by property."""
    netem = found.netem
    for name, have in (("delay", netem.latency if netem else 0), ("jitter", netem.jitter if netem else 0)):
        wanted = _nanoseconds(asked[name]) if asked.get(name) is not None else 0
        if wanted is None or abs(wanted - have) > _NEAR_TIME:
            yield name, f"{have / 1e6:g} ms"
    loss = netem.loss if netem else 0
    wanted_loss = _number(asked.get("loss") or 0)
    if wanted_loss is None or abs(wanted_loss / 100 * 2**32 - loss) > _NEAR_LOSS:
        yield "loss", f"{loss / 2**32 * 100:g} %"
    if asked.get("bw") is not None:
        bandwidth = _number(asked["bw"])
        if bandwidth is None or not found.rate or abs(found.rate * 8 / 1e6 / bandwidth - 1) > _NEAR_RATE:
            yield "rate", f"{found.rate * 8 / 1e6:g} Mbit/s" if found.rate else "unlimited"
    limit = asked.get("max_queue_size")
    if limit is not None and (netem is None or netem.limit != limit):
        yield "queue", f"{netem.limit} packets" if netem else "of the default length"
    if (asked.get("enable_ecn") or asked.get("enable_red")) and "red" not in found.kinds:
        yield "active queue management", "none"


def _nanoseconds(text: object) -> int | None:
    """A time as tc parses it; None if tc refuses it."""
    match = _TIME.fullmatch(str(text).strip())
    number = _number(match[1]) if match else None
    unit = _UNITS.get(match[2].lower()) if match else None
    return None if number is None or unit is None else round(number * unit)


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


def described(space: int, node: str, interface: str, peer: str) -> str:
    """The impairment of a link in one direction, as in a record's header; "" if there is none.

    Args:
        space: A descriptor of the interface's namespace.
        node: The node that sends.
        interface: Its interface.
        peer: The node at the other end.
    """
    with _inside(space) as netlink:
        index = links.indexes(netlink).get(interface)
        found = queues.read(netlink, index) if index is not None else None
    if found is None:
        return ""
    netem = found.netem
    impairment = Impairment(
        rate=found.rate * 8,
        delay=netem.latency if netem else 0,
        jitter=netem.jitter if netem else 0,
        loss=round(netem.loss * CERTAIN / 2**32) if netem else 0,
        limit=netem.limit if netem and netem.limit != DEFAULT_LIMIT else 0,
    )
    return f"{node}>{peer}:{impairment}" if str(impairment) else ""


def root_queues(space: int) -> list[qdisc.Qdisc]:
    """The root queueing disciplines of a namespace."""
    with _inside(space) as netlink:
        return list(qdisc.read(netlink).values())


def limit(space: int, interface: str, rate: int) -> bool:
    """Limit the rate of an interface if it has no limit; its delay and loss are not changed.

    Args:
        space: A descriptor of the interface's namespace.
        interface: Its name.
        rate: Bits per second.

    Returns:
        Whether it had none.
    """
    with _inside(space) as netlink:
        index = links.indexes(netlink).get(interface)
        found = queues.read(netlink, index) if index is not None else None
        if index is None or found is None or found.rate or not set(found.kinds) <= {"noqueue", "netem"}:
            return False
        before = found.netem or _NOTHING
        wanted = before._replace(rate=rate // 8)
        netlink.ask([qdisc.netem(index, interface, wanted, "", handle=found.netem_handle if found.netem else _HANDLE)])
    return True


#: "10:", as Mininet numbers it.
_HANDLE = 0x100000
#: netem without any effect.
_NOTHING = qdisc.NetemParameters(
    latency=0,
    jitter=0,
    limit=DEFAULT_LIMIT,
    loss=0,
    gap=0,
    duplicate=0,
    delay_correlation=0,
    loss_correlation=0,
    duplicate_correlation=0,
    reorder=0,
    reorder_correlation=0,
    corrupt=0,
    corrupt_correlation=0,
    rate=0,
    gilbert=None,
)
