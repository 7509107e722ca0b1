"""Selecting endpoints, their states, and the observers that reported them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from handshake_lab.errors import NotRecorded
from handshake_lab.expect.timer_windows import seconds
from handshake_lab.recording.observations import StateChange, TcpEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.recording.history import Endpoint, Record, Transition
    from handshake_lab.recording.observations import Observation, Witness
    from handshake_lab.tcp.address import Address
    from handshake_lab.tcp.states import State


class _Listed(Protocol):
    """A socket in the result of a poll."""

    @property
    def local(self) -> Address: ...
    @property
    def remote(self) -> Address: ...
    @property
    def state(self) -> State: ...


def endpoints(record: Record, node: str, role: str = "") -> list[Endpoint]:
    """A host's endpoints, the oldest first.

    Args:
        record: A run.
        node: The host.
        role: Only those of this role: ``client``, ``server`` or ``listener``.
    """
    return [each for each in record.endpoints if each.node == node and role in ("", each.role)]


def endpoint(record: Record, node: str, role: str = "") -> Endpoint:
    """A host's only endpoint. This also selects endpoints whose socket no program holds.

    Raises:
        NotRecorded: There is no endpoint, or there are several.
    """
    found = endpoints(record, node, role)
    if len(found) != 1:
        shown = [f"{each.role} {each.local}: {' → '.join(each.states)}" for each in found]
        raise NotRecorded("\n".join((f"{node} has {len(found)} endpoints where one was expected", *shown)))
    return found[0]


def transition(history: Endpoint, state: State | str, visit: int = 1) -> Transition:
    """The transition by which an endpoint entered a state.

    Args:
        history: The endpoint.
        state: The state.
        visit: 1 for the first time that it entered this state, 2 for the second.

    Raises:
        NotRecorded: It did not enter the state, or not so often.
    """
    found = [step for step in history.transitions if step.new == state]
    if len(found) < visit:
        states = " → ".join(history.states)
        raise NotRecorded(f"{history.node} {history.local} entered {state} {len(found)} times, not {visit}: {states}")
    return found[visit - 1]


def entered(history: Endpoint, state: State | str, visit: int = 1) -> float:
    """When an endpoint entered a state, in seconds of the run's clock."""
    return seconds(transition(history, state, visit).time)


def witnesses(history: Endpoint, state: State | str, visit: int = 1) -> set[Witness]:
    """The observers that saw an endpoint enter a state."""
    return set(transition(history, state, visit).witnesses)


def sockets_in(snapshots: Iterable[_Listed], state: State | str) -> list[str]:
    """Descriptions of the sockets that are in a state; empty if there are none.

    Args:
        snapshots: The sockets of a host: ``net.h2.sockets()``.
        state: The state.
    """
    return [f"{each.local} to {each.remote}, {each.state}" for each in snapshots if each.state == state]


def tracepoint_steps(observations: Iterable[Observation], history: Endpoint) -> list[str]:
    """The tracepoint's events about an endpoint's socket, including self-transitions: ``["CLOSED→SYN-SENT", …]``.

    Not included: before Linux 6.15, the first event of a server's socket, which has no remote address; events of
    other runs on the same kernel, whose hosts have the same addresses.
    """
    changes = [
        seen
        for seen in observations
        if isinstance(seen, StateChange) and seen.remote == history.remote and seen.local.ip == history.local.ip
    ]
    times = {step.time for step in history.transitions}
    sockets = {seen.sk for seen in changes if seen.t in times}
    return [
        f"{seen.old}→{seen.new}"
        for seen in changes
        # The first event of a client has no port yet; a later one may belong to another socket with the same address.
        if seen.sk in sockets and (seen.t in times or (seen.t >= min(times) and seen.local == history.local))
    ]


def tracepoint_events(observations: Iterable[Observation], name: str, *, of: Endpoint) -> list[TcpEvent]:
    """The events of another tracepoint on an endpoint's connection.

    Args:
        observations: ``net.observations``.
        name: The tracepoint, such as ``tcp_receive_reset``.
        of: The endpoint.
    """
    return [
        seen
        for seen in observations
        if isinstance(seen, TcpEvent) and seen.name == name and (seen.local, seen.remote) == (of.local, of.remote)
    ]
