"""Makes the endpoints of a record from sockets and their transitions."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

from handshake_lab.reconcile.sockets.joining import serves
from handshake_lab.reconcile.sockets.traced import SLACK, ObservedSocket
from handshake_lab.reconcile.states.draft import TransitionDraft
from handshake_lab.recording.history import Endpoint
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def assemble(
    all_observed: Sequence[ObservedSocket], built: Mapping[int, list[TransitionDraft]], end: int
) -> tuple[Endpoint, ...]:
    """One endpoint for each end of a connection, and for each listener that no connection reached.

    A passive connection begins with its listener's CLOSED→LISTEN.

    Args:
        all_observed: All sockets, in the order in which they were created.
        built: Their transitions, by the sockets' id().
        end: When the recording ended.

    Returns:
        The endpoints in the order in which their connections began, listeners not counted.
    """
    listeners = [observed for observed in all_observed if observed.listens]
    by_port: dict[int, list[ObservedSocket]] = defaultdict(list)
    for listener in listeners:
        by_port[listener.local.port].append(listener)
    reached: set[int] = set()
    endpoints: list[tuple[int, int, Endpoint]] = []

    def add(observed: ObservedSocket, opened: int, drafts: Sequence[TransitionDraft]) -> None:
        endpoints.append((opened, len(endpoints), _endpoint(observed, drafts, end)))

    for observed in all_observed:
        drafts = built[id(observed)]
        if observed.passive:
            taken_by = _listener_of(observed, drafts, by_port[observed.local.port])
            reached.add(id(taken_by))
            add(observed, drafts[0].time if drafts else observed.born, [_listening(taken_by, drafts, built), *drafts])
        elif drafts and not observed.listens:
            add(observed, observed.born, drafts)
    for observed in listeners:
        if built[id(observed)] and id(observed) not in reached:
            add(observed, built[id(observed)][0].time, built[id(observed)])
    return tuple(endpoint for _, _, endpoint in sorted(endpoints, key=lambda each: each[:2]))


def _endpoint(observed: ObservedSocket, drafts: Sequence[TransitionDraft], end: int) -> Endpoint:
    role: Literal["client", "server", "listener"] = "client"
    if observed.passive or observed.listens:
        role = "listener" if observed.listens else "server"
    return Endpoint(
        node=observed.node,
        role=role,
        local=observed.local,
        remote=observed.remote,
        cookie=observed.cookie,
        transitions=tuple(draft.final() for draft in drafts),
        ended=end,
    )


def _listener_of(
    observed: ObservedSocket, drafts: Sequence[TransitionDraft], listeners: Sequence[ObservedSocket]
) -> ObservedSocket | None:
    """The listener of a connection: the latest one at that time."""
    at = drafts[0].time if drafts else observed.born
    fitting = [
        listener
        for listener in listeners
        if serves(listener, observed.node, observed.local) and listener.born <= at + SLACK
    ]
    return fitting[-1] if fitting else None


def _listening(
    listener: ObservedSocket | None, drafts: Sequence[TransitionDraft], built: Mapping[int, list[TransitionDraft]]
) -> TransitionDraft:
    """CLOSED→LISTEN: the listener's, or inferred if no listener was observed."""
    for draft in built.get(id(listener), []):
        if draft.new is State.LISTEN:
            return draft
    at = drafts[0].earliest if drafts else 0
    return TransitionDraft(State.CLOSED, State.LISTEN, at, 0, set(), edge="1")
