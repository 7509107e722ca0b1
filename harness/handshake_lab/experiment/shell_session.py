"""Executes the commands of `handshake shell` on the network of a run, in the kernel.

Time passes only while a command is executed. `handshake_lab.experiment.shell_script` parks the run between two
commands; `Net.play` executes them in a test, without parking.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.errors import EnvironmentUnsupported, HandshakeError, UsageError, WaitTimedOut
from handshake_lab.experiment.segment_gate import SegmentGate
from handshake_lab.experiment.shell_activity import Activity, ProgramActivity, PythonActivity
from handshake_lab.experiment.under_way import Undecided
from handshake_lab.plan import units
from handshake_lab.plan.shell_command import ShellCommand
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handshake_lab.experiment.live_recording import LiveRecording
    from handshake_lab.experiment.recorded_host import Host
    from handshake_lab.plan.shell_command import Until

#: Seconds of the kernel's time: within the first, a host answers a segment, and a program that never waits has ended.
_AT_ONCE = 0.001
#: How long a command waits for the next segment, and for the end of a program or a state.
STEP_LIMIT = 120.0
RUN_LIMIT = 600.0


class Answer(msgspec.Struct, frozen=True):
    """What the shell shows after commands.

    Attributes:
        now: The run's clock, in nanoseconds.
        text: The output of programs and Python code.
        undecided: The segment that is about to be delivered, and what is known of others that have not arrived.
        running: The commands whose programs are still running.
        error: The error of the last command, as a document; it has changed nothing that can be relied on.
    """

    now: int
    text: str = ""
    undecided: Undecided = Undecided()
    running: tuple[str, ...] = ()
    error: dict[str, Any] | None = None


class ShellSession:
    """Executes commands. From the first one on, every segment waits in the middle until a command delivers it.

    Args:
        recording: The run.
        hosts: Its hosts, by name.
        net: What Python code finds as ``net``.
        real_time: Whether the kernel runs in real time.

    Raises:
        EnvironmentUnsupported: It does.
    """

    def __init__(self, recording: LiveRecording, hosts: Mapping[str, Host], net: object, *, real_time: bool) -> None:
        if real_time:
            raise EnvironmentUnsupported("The shell needs virtual time, which stands between commands", "--kernel lab")
        self._recording = recording
        self._network = recording.network
        self._recorder = recording.recorder
        self._now = recording.clock.now
        self._hosts = list(hosts)
        self._gate = SegmentGate(self._network, self._now)
        self._activities: list[Activity] = []
        self._namespace: dict[str, Any] = {"net": net, **hosts}
        self._network.decide(self._gate.watched, self._gate.decide)
        recording.own(self)

    def perform(self, line: str) -> str:
        """Execute a command; returns the output of what it has started, and of earlier programs that ended meanwhile.

        Raises:
            UsageError: It is not a command, or not possible now.
            WaitTimedOut: The state for which it waits was not entered.
        """
        command = ShellCommand.parse(line, self._hosts)
        match command.verb:
            case "program":
                self._start(ProgramActivity(self._recording, command, self._gate.changed))
            case "py":
                self._start(PythonActivity(command.text, self._namespace, self._gate.changed))
            case "pingall":
                self._start(PythonActivity("_ = net.pingAll()", self._namespace, self._gate.changed))
            case "step":
                self._step(command)
            case "run":
                self._run(command)
        self._recorder.sync()
        return self._printed()

    def answer(self, text: str, error: HandshakeError | None = None) -> Answer:
        """What is shown now."""
        running = tuple(each.name for each in self._activities)
        document = error.to_document() if error else None
        return Answer(self._now(), text, self._gate.undecided(), running, document)

    def undecided(self) -> Undecided:
        """What is known now of the segments that have not arrived."""
        return self._gate.undecided()

    def close(self) -> None:
        """Deliver all segments from now on, and end all programs."""
        self._gate.close()
        for each in self._activities:
            each.close()

    def _printed(self) -> str:
        ended = [each for each in self._activities if each.ended]
        self._activities = [each for each in self._activities if not each.ended]
        return "".join(each.output for each in ended)

    def _start(self, activity: Activity) -> None:
        self._activities.append(activity)
        gate = self._gate
        if gate.waiting is not None:
            # Time passes for what the program computes only; for what it waits, the segment has to be decided first.
            with gate.changed:
                gate.changed.wait_for(lambda: activity.ended, _AT_ONCE)
        else:
            gate.wait(lambda: activity.ended, RUN_LIMIT if activity.foreground else _AT_ONCE)

    def _step(self, command: ShellCommand) -> None:
        if command.until is not None:
            self._step_until(command.until)
            return
        if command.fate and self._gate.waiting is None:
            raise UsageError(
                "command",
                command.fate,
                "acts on the segment that waits, and none does; step goes on to the next",
                "step",
            )
        for _ in range(command.count):
            self._decide(command.fate)

    def _step_until(self, until: Until) -> None:
        while not self._reached(until):
            before = self._now()
            self._decide("")
            if self._gate.waiting is None and self._now() - before >= int(STEP_LIMIT * 1e9):
                raise self._never(until, STEP_LIMIT)

    def _decide(self, fate: str) -> None:
        """Decide about the segment that waits; if none does, go on to the next one."""
        if self._gate.waiting is None:
            self._gate.wait(lambda: False, STEP_LIMIT)
            return
        self._gate.settle(fate)
        action, _, how = fate.partition(" ")
        if action == "delay":
            self._gate.wait(lambda: False, units.duration("delay", how) / 1e9)
        self._settle()

    def _settle(self) -> None:
        """Wait until what was delivered has arrived, and its receivers have answered it."""
        while not self._gate.wait(lambda: False, _AT_ONCE) and self._network.in_flight():
            pass

    def _run(self, command: ShellCommand) -> None:
        gate = self._gate
        with gate.opened():
            if command.until is not None:
                wanted = command.until
                if not self._recorder.wait_until(lambda: self._in_state(wanted), RUN_LIMIT, confirm=True):
                    raise self._never(wanted, RUN_LIMIT)
            elif command.span is not None:
                time.sleep(command.span / 1e9)
            else:
                gate.wait(lambda: all(each.ended for each in self._activities if each.foreground), RUN_LIMIT)
                self._settle()

    def _reached(self, until: Until) -> bool:
        self._recorder.sync()
        return self._in_state(until)

    def _in_state(self, until: Until) -> bool:
        states = [socket.state for socket in self._recorder.sockets(until.host)]
        if until.state == State.CLOSED:
            return all(state is State.LISTEN for state in states)
        return State(until.state) in states

    def _never(self, until: Until, waited: float) -> WaitTimedOut:
        found = [f"{each.local} to {each.remote}, {each.state}" for each in self._recorder.sockets(until.host)]
        return WaitTimedOut(f"a socket of {until.host} to be in {until.state}", waited, found)
