"""Sockets that are in no poll, identified by the call that opened them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.sockets.traced import SLACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.reconcile.sockets.traced import ObservedSocket
    from handshake_lab.recording.observations import Step


def name_by_calls(all_observed: Sequence[ObservedSocket], steps: Iterable[Step]) -> None:
    """Give a connecting socket without a cookie the cookie of the recorded connect(), if only one call fits.

    The tracepoint reports no cookie, and a socket that is closed immediately is in no poll.
    """
    known = {(observed.node, observed.cookie) for observed in all_observed}
    calls = [
        step
        for step in steps
        if step.phase == "begins" and step.call.startswith("connect") and (step.node, step.cookie) not in known
    ]
    if not calls:
        return
    for observed in all_observed:
        if (
            observed.cookie
            or observed.passive
            or observed.listens
            or observed.traced is None
            or not observed.traced.whole
        ):
            continue
        began = observed.traced.begins
        fitting = {step.cookie for step in calls if step.node == observed.node and abs(step.t - began) <= SLACK}
        if len(fitting) == 1:
            observed.traced.cookie = fitting.pop()
