"""Mutating a test, in the worker: a test that passes although it was mutated cannot fail."""

from __future__ import annotations

import re
import socket
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from handshake_lab.experiment.recorded_socket import RecordedSocket
from handshake_lab.experiment.timed_socket import DEFAULT_TIMEOUT
from handshake_lab.plan.link import Impairment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handshake_lab.experiment.net import Net
    from handshake_lab.experiment.recorded_host import Host
    from handshake_lab.plan.link import LinkSpec
    from handshake_lab.plan.run_plan import RunPlan
    from handshake_lab.recording.history import Endpoint, Record, TransmittedSegment

_FAULTS = ("drop", "delay", "duplicate", "reorder", "corrupt", "hold", "inject", "fault", "link")

#: Socket options that do not change what a scenario tests.
_HARMLESS = {
    (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    (socket.SOL_SOCKET, socket.SO_REUSEPORT),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    (socket.IPPROTO_TCP, socket.TCP_QUICKACK),
}
#: Programs that configure the kernel; `ss` is one if it destroys sockets.
_CONFIGURING = ("nft", "iptables", "ip6tables", "ip", "tc", "sysctl", "conntrack")

#: Properties that a link keeps if its impairments are removed.
_PLAIN = ("delay", "jitter", "rate", "limit")


class Ignored:
    """The substitute for a fault or a link in a mutated test: it reports that the fault fired; all calls succeed."""

    fired = 1
    held = 0

    def __getattr__(self, name: str) -> Callable[..., bool]:
        return lambda *_, **__: True


class Mutation:
    """A mutation of a test; ``changes`` counts what it changed.

    Args:
        kind: A key of `handshake_lab.pytest_plugin.options.variants.MUTATIONS`.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.changes = 0

    def plan(self, plan: RunPlan) -> RunPlan:
        """The plan that replaces the test's plan."""
        if self._kind != "cause":
            return plan
        links = tuple(kept for link in plan.links if (kept := _harmless(link)))
        self.changes += len(plan.faults) + len(plan.sysctls) + (links != plan.links)
        return replace(plan, faults=(), sysctls={}, links=links)

    def enter(self, net: Net) -> None:
        """Make the network ignore faults and settings, or falsify the record."""
        if self._kind != "cause":
            self._falsify(net)
            return
        for name in _FAULTS:
            for owner in (net, net.network):
                if hasattr(type(owner), name) or name in vars(owner):
                    setattr(owner, name, self._ignore)
        for host in net.network.hosts:
            self._ignore_settings(net[host.name])
        original = socket.socket.setsockopt

        def setsockopt(made: RecordedSocket, level: int, option: int, *value: Any) -> None:
            if (level, option) in _HARMLESS:
                original(made, level, option, *value)
            else:
                self.changes += 1

        RecordedSocket.setsockopt = setsockopt  # type: ignore[method-assign,assignment]

    def _ignore(self, *_: Any, **__: Any) -> Ignored:
        self.changes += 1
        return Ignored()

    def _ignore_settings(self, host: Host) -> None:
        sysctl, run, cmd = host.sysctl, host.run, host.cmd

        def set_nothing(name: str, value: str | int | None = None) -> str:
            if value is None:
                return sysctl(name)
            self.changes += 1
            return str(value)

        def run_harmless(argv: Sequence[str], *, check: bool = True, **options: Any) -> CompletedProcess[Any]:
            if argv[0] not in _CONFIGURING and not {"-K", "--kill"} & set(argv):
                return run(argv, check=check, **options)
            self.changes += 1
            return CompletedProcess(list(argv), 0, "", "")

        def cmd_harmless(*command: object, limit: float = DEFAULT_TIMEOUT) -> str:
            line = " ".join(map(str, command))
            if not set(re.findall(r"[\w-]+", line)) & {*_CONFIGURING, "--kill"}:
                return cmd(line, limit=limit)
            self.changes += 1
            return ""

        host.cmd = cmd_harmless  # type: ignore[method-assign]
        host.sysctl = set_nothing  # type: ignore[method-assign]
        host.run = run_harmless  # type: ignore[method-assign]

    def _falsify(self, net: Net) -> None:
        record = net.record
        falsify = {"states": _without_last_states, "times": _with_doubled_times, "segments": _without_last_segments}

        def falsified() -> Record:
            self.changes += 1
            return falsify[self._kind](record())

        net.record = falsified  # type: ignore[method-assign]


def _harmless(link: LinkSpec) -> LinkSpec | None:
    """A link without its impairments, except for properties such as its rate; None if nothing is left."""
    impairment = Impairment(**{name: getattr(link.impairment, name) for name in _PLAIN})
    off = link.off.intersection(_PLAIN)
    return replace(link, impairment=impairment, off=off) if impairment or off else None


def _without_last_states(record: Record) -> Record:
    return replace(
        record,
        endpoints=tuple(replace(endpoint, transitions=endpoint.transitions[:-1]) for endpoint in record.endpoints),
    )


def _with_doubled_times(record: Record) -> Record:
    def endpoint(each: Endpoint) -> Endpoint:
        steps = tuple(replace(step, time=2 * step.time, earliest=2 * step.earliest) for step in each.transitions)
        return replace(each, transitions=steps, ended=2 * each.ended)

    def segment(each: TransmittedSegment) -> TransmittedSegment:
        return replace(
            each,
            sent=None if each.sent is None else 2 * each.sent,
            received=None if each.received is None else 2 * each.received,
        )

    return replace(
        record, endpoints=tuple(map(endpoint, record.endpoints)), segments=tuple(map(segment, record.segments))
    )


def _without_last_segments(record: Record) -> Record:
    last = {(segment.src, segment.dst): segment.number for segment in record.segments}
    return replace(
        record,
        segments=tuple(segment for segment in record.segments if segment.number != last[segment.src, segment.dst]),
    )
