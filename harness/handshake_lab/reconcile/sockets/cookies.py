"""Sockets that are in no poll, identified by the call that opened them; and SYNs that made no socket at all."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from handshake_lab.reconcile.sockets.traced import SLACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.reconcile.sockets.traced import ObservedSocket
    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.recording.observations import CounterGrowth, Step


#: The calls that open a connection, and the one that makes a listener.
_OPENING = ("connect", "sendto(MSG_FASTOPEN)", "sendmsg(MSG_FASTOPEN)", "listen")


def name_by_calls(all_observed: Sequence[ObservedSocket], steps: Iterable[Step]) -> None:
    """Give a socket without a cookie that of the recorded connect() or listen() that opened it, if only one call fits.

    The tracepoint reports no cookie, and a socket that is closed immediately is in no poll.
    """
    known = {(observed.node, observed.cookie) for observed in all_observed}
    steps = list(steps)
    _name_accepted(all_observed, steps, known)
    calls = [
        step
        for step in steps
        if step.phase == "begins" and step.call in _OPENING and (step.node, step.cookie) not in known
    ]
    if not calls:
        return
    for observed in all_observed:
        if observed.cookie or observed.passive or observed.traced is None or not observed.traced.whole:
            continue
        began = observed.traced.begins
        own = (each for each in calls if each.node == observed.node and (each.call == "listen") is observed.listens)
        fitting = {step.cookie for step in own if abs(step.t - began) <= SLACK}
        if len(fitting) == 1:
            observed.traced.cookie = fitting.pop()


def _name_accepted(all_observed: Sequence[ObservedSocket], steps: Sequence[Step], known: set[tuple[str, int]]) -> None:
    """Give a connection without a cookie the one that accept() returned, if there is only one of both on its host."""
    unnamed: dict[str, list[ObservedSocket]] = defaultdict(list)
    for observed in all_observed:
        if observed.passive and observed.traced and not observed.cookie:
            unnamed[observed.node].append(observed)
    for node, found in unnamed.items():
        accepted = {
            int(step.result)
            for step in steps
            if step.node == node and step.call == "accept" and step.phase == "ends" and step.result.isdecimal()
        }
        fitting = [cookie for cookie in accepted if (node, cookie) not in known]
        if len(found) == len(fitting) == 1 and found[0].traced:
            found[0].traced.cookie = fitting[0]


def cookie_syns(segments: Iterable[TransmittedSegment], growth: Iterable[CounterGrowth]) -> frozenset[int]:
    """The SYNs that were answered with SYN cookies: as many as were counted arrived between two readings."""
    came: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for segment in segments:
        if segment.received is not None and segment.flags == "S" and not segment.damaged:
            came[segment.receiver].append((segment.received, segment.number))
    found: set[int] = set()
    for each in growth:
        count = each.grown.get("SyncookiesSent", 0)
        fitting = [number for t, number in came[each.node] if each.since <= t <= each.t]
        if count and len(fitting) == count:
            found.update(fitting)
    return frozenset(found)
