"""Executes actions at given times of a run, in a separate thread."""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING

from handshake_lab.errors import HandshakeError, UsageError
from handshake_lab.linux.timerfd import KernelTimer
from handshake_lab.plan import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from handshake_lab.network.network import Network
    from handshake_lab.observers.clock import Clock
    from handshake_lab.plan.timed_action import TimedAction


class TimedActions:
    """The remaining actions of a run, by time.

    Args:
        network: The running network.
        clock: The run's clock, which has begun.
    """

    def __init__(self, network: Network, clock: Clock) -> None:
        self._network = network
        self._clock = clock
        self._due: list[tuple[int, int, str, Callable[[], None]]] = []
        self._order = 0
        self._stopping = False
        self._error: HandshakeError | None = None
        self._lock = threading.Lock()
        self._wake = -1
        self._thread: threading.Thread | None = None

    def begin(self, actions: Iterable[TimedAction]) -> None:
        """Execute the actions of a plan at their times; those at 0 s are executed at once."""
        for action in actions:
            if action.at <= self._clock.now():
                self._carry_out(action)
            else:
                self.add(action)

    def add(self, action: TimedAction) -> None:
        """Execute an action at its time.

        Raises:
            UsageError: Its time has passed, or the network does not have its link or hosts.
        """
        action.check(self._network.plan)
        now = self._clock.now()
        if action.at < now:
            shown = units.show_duration(now // units.MILLISECOND * units.MILLISECOND)
            raise UsageError("at", units.show_duration(action.at), f"has passed: the run is at {shown}", "at('10s', …)")
        self._put(action.at, str(action), lambda: self._carry_out(action))

    def later(self, at: int, act: Callable[[], None]) -> None:
        """Call a function at a time of the run, to undo an earlier action; not called if the run ends before."""
        self._put(at, "", act)

    def _put(self, at: int, what: str, act: Callable[[], None]) -> None:
        with self._lock:
            self._order += 1
            self._due.append((at, self._order, what, act))
            self._due.sort(key=lambda each: each[:2])
            if self._thread is None:
                self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                self._thread = threading.Thread(target=self._run, name="timed-actions", daemon=True)
                self._thread.start()
            else:
                os.eventfd_write(self._wake, 1)

    def stop(self) -> list[str]:
        """End the thread.

        Returns:
            The actions whose times were not reached, except those that undo another action.

        Raises:
            HandshakeError: The error of an action.
        """
        if self._thread is not None:
            with self._lock:
                self._stopping = True
                os.eventfd_write(self._wake, 1)
            self._thread.join()
            self._thread = None
            os.close(self._wake)
        if self._error is not None:
            raise self._error
        return [what for _, _, what, _ in self._due if what]

    def _run(self) -> None:
        timer = KernelTimer()
        try:
            while True:
                with self._lock:
                    if self._stopping or self._error is not None:
                        return
                    timer.set(self._clock.to_monotonic(self._due[0][0]) if self._due else None)
                ready, _, _ = select.select([timer.fileno(), self._wake], [], [])
                if self._wake in ready:
                    os.eventfd_read(self._wake)
                if timer.fileno() in ready:
                    self._act()
        except HandshakeError as error:
            self._error = error
        finally:
            timer.close()

    def _act(self) -> None:
        with self._lock:
            _, _, _, act = self._due.pop(0)
        act()

    def _carry_out(self, action: TimedAction) -> None:
        undo: Callable[[], object] | None = None
        if action.fault is not None:
            undo = self._network.fault(action.fault).remove
        elif action.ends is not None:
            link = self._network.link(*action.ends)
            if action.verb == "set" and action.change is not None:
                # A change of one direction applies to the direction towards the second node.
                undo = link.overlay(
                    action.change.impairment, action.change.off, to=None if action.change.both else action.ends[1]
                )
            else:
                {"cut": link.cut, "mend": link.mend, "clear": link.clear}[action.verb]()
                undo = link.mend
        if action.lasts and undo is not None:
            end = undo
            self.later(action.at + action.lasts, lambda: (end(), None)[1])
