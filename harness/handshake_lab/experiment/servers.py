"""The servers of a run: a fault can stop, kill or restart those of a host.

Servers are programs that are waited for until they are ready: those of ``--server``, and those that a test starts with
``listening``, ``prints`` or ``creates``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from handshake_lab.recording.observations import Step

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from handshake_lab.experiment.timed_actions import TimedActions
    from handshake_lab.observers.clock import Clock
    from handshake_lab.plan.fault import Fault
    from handshake_lab.plan.program import ProgramSpec


class Server(Protocol):
    """A server: `handshake_lab.experiment.running_program.RunningProgram`."""

    spec: ProgramSpec
    ended: threading.Event

    def kill(self) -> None:
        """End it."""

    def restart(self) -> None:
        """End it, and start it again."""

    def stop(self) -> None:
        """Stop it."""

    def cont(self) -> None:
        """Have it continue."""


class Servers:
    """The servers that were started.

    Args:
        clock: The run's clock.
        timed: Actions at given times of the run.
        report: Records an observation.
    """

    def __init__(self, clock: Clock, timed: TimedActions, report: Callable[[Step], None]) -> None:
        self._clock = clock
        self._timed = timed
        self._report = report
        self._started: list[Server] = []
        self._until: dict[int, int] = {}  #: when each stopped server continues, by its identity

    def add(self, server: Server) -> None:
        """Add a server that was started."""
        self._started.append(server)

    def of(self, host: str) -> list[Server]:
        """The servers that run in a host at present."""
        return [server for server in self._started if server.spec.node == host and not server.ended.is_set()]

    def act(self, fault: Fault) -> bool:
        """Stop, kill or restart the servers of a host. The middlebox calls this while a segment waits.

        Returns:
            Whether a server was running there.
        """
        running = self.of(fault.receiver)
        for server in running:
            if fault.action == "restart":
                server.restart()
            elif fault.action == "kill":
                server.kill()
                server.ended.wait()
            else:
                self._stop(server, fault.by)
        return bool(running)

    def _stop(self, server: Server, by: int) -> None:
        """Stop a server for some nanoseconds; of overlapping stops, the latest end counts."""
        step = Step(self._clock.now(), server.spec.node, f"{server.spec.command} is stopped", "begins")
        self._report(step)
        server.stop()
        until = step.t + by
        self._until[id(server)] = max(until, self._until.get(id(server), 0))
        self._timed.later(until, lambda: self._continue(server, step.call, until))

    def _continue(self, server: Server, call: str, until: int) -> None:
        if not server.ended.is_set():
            if until >= self._until[id(server)]:
                server.cont()
            self._report(Step(self._clock.now(), server.spec.node, call, "ends"))
