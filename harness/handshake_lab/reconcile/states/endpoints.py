"""From lives with their transitions to the endpoints of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from handshake_lab.reconcile.sockets.joining import serves
from handshake_lab.reconcile.sockets.traced import SLACK, Life
from handshake_lab.reconcile.states.draft import Draft
from handshake_lab.recording.history import Endpoint
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def assemble(lives: Sequence[Life], built: Mapping[int, list[Draft]], end: int) -> tuple[Endpoint, ...]:
    """One endpoint for each end of a connection, and for each listener that no connection reached.

    A connection that a listener took begins with the listener's CLOSED→LISTEN.

    Args:
        lives: All lives, in order of birth.
        built: Their transitions, by the lives' id().
        end: When watching ended.

    Returns:
        The endpoints in the order in which their connections, not the listeners, came to be.
    """
    listeners = [life for life in lives if life.listens]
    reached: set[int] = set()
    endpoints: list[tuple[int, int, Endpoint]] = []

    def add(life: Life, opened: int, drafts: Sequence[Draft]) -> None:
        endpoints.append((opened, len(endpoints), _endpoint(life, drafts, end)))

    for life in lives:
        drafts = built[id(life)]
        if life.passive:
            listener = _listener_of(life, drafts, listeners)
            reached.add(id(listener))
            add(life, drafts[0].time if drafts else life.born, [_listening(listener, drafts, built), *drafts])
        elif drafts and not life.listens:
            add(life, life.born, drafts)
    for life in listeners:
        if built[id(life)] and id(life) not in reached:
            add(life, built[id(life)][0].time, built[id(life)])
    return tuple(endpoint for _, _, endpoint in sorted(endpoints, key=lambda each: each[:2]))


def _endpoint(life: Life, drafts: Sequence[Draft], end: int) -> Endpoint:
    role: Literal["client", "server", "listener"] = "client"
    if life.passive or life.listens:
        role = "listener" if life.listens else "server"
    return Endpoint(
        node=life.node,
        role=role,
        local=life.local,
        remote=life.remote,
        cookie=life.cookie,
        transitions=tuple(draft.final() for draft in drafts),
        ended=end,
    )


def _listener_of(life: Life, drafts: Sequence[Draft], listeners: Sequence[Life]) -> Life | None:
    """The listener that took a connection: the latest one there was at that time."""
    at = drafts[0].time if drafts else life.born
    fitting = [
        listener for listener in listeners if serves(listener, life.node, life.local) and listener.born <= at + SLACK
    ]
    return fitting[-1] if fitting else None


def _listening(listener: Life | None, drafts: Sequence[Draft], built: Mapping[int, list[Draft]]) -> Draft:
    """CLOSED→LISTEN: the listener's, or inferred where nobody saw one."""
    for draft in built.get(id(listener), []):
        if draft.new is State.LISTEN:
            return draft
    at = drafts[0].earliest if drafts else 0
    return Draft(State.CLOSED, State.LISTEN, at, 0, set(), edge="1")
