"""Recording any programs: servers first, then clients, on any hosts, each with its output kept."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.recording.observations import Program
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.experiment.net import Net

#: Seconds of the kernel's time that a server may take until it listens.
SERVER_STARTS = 60.0
#: Seconds of the kernel's time that a program may take to end after SIGTERM.
PROGRAM_ENDS = 10.0


class ProgramSpec(msgspec.Struct, frozen=True):
    """A program to run in a host.

    ``name`` is unique in a run and names its output files; ``command`` is split as a shell
    splits words, but given to no shell.
    """

    name: str
    node: str
    role: Literal["server", "client"]
    command: str

    @classmethod
    def parse(cls, text: str, role: Literal["server", "client"], node: str, number: int) -> ProgramSpec:
        """A program as on the command line: ``"curl -s http://h2/"`` or ``"h3=curl -s http://h2/"``.

        Args:
            text: The command, with a host before ``=`` where it is not the usual one.
            role: What it is.
            node: The usual host of that role.
            number: The how-manieth of its role it is, from 1.

        Raises:
            UsageError: It is empty or its quotes do not match.
        """
        field, example = f"--{role}", f'--{role} "{node}=curl -s http://h2/"'
        before, equals, after = text.partition("=")
        if equals and before.isidentifier():
            node, text = before, after
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise UsageError(field, text, f"cannot be split into words ({error})", example) from None
        if not words:
            raise UsageError(field, text, "names no program", example)
        return cls(name=f"{node}-{role}-{number}", node=node, role=role, command=text)


class ProgramsSpec(msgspec.Struct, frozen=True):
    """Programs to run, and how long.

    ``limit`` is the most seconds of the kernel's time that clients may take; ``after`` the
    most to wait for connections to end once the clients have.
    """

    programs: tuple[ProgramSpec, ...]
    limit: float
    after: float


class RunningProgram:
    """A program that was started: who waits for it, and what it printed where.

    Attributes:
        ended: Set once it has ended.
    """

    def __init__(self, net: Net, request: ProgramSpec, directory: Path) -> None:
        self.request = request
        self._net = net
        self.ended = threading.Event()
        self._output = directory / f"{request.name}.out"
        self._errors = directory / f"{request.name}.err"
        self._say("starts", "")
        try:
            with self._output.open("wb") as stdout, self._errors.open("wb") as stderr:
                self._process = net.network[request.node].popen(
                    shlex.split(request.command),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
        except OSError as error:
            raise UsageError(
                f"--{request.role}",
                request.command,
                f"cannot be started ({error.strerror})",
                '--client "curl -s http://h2/"',
            ) from None
        self._thread = threading.Thread(target=self._wait, name=request.name, daemon=True)
        self._thread.start()

    @property
    def status(self) -> int | None:
        """Its exit status, or the negative number of the signal that ended it; None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text("utf-8", "replace")

    @property
    def errors(self) -> str:
        """What it has written to standard error so far."""
        return self._errors.read_text("utf-8", "replace")

    def wait(self, limit: float = SERVER_STARTS) -> bool:
        """Wait until it ends; ``limit`` in seconds of the kernel's time. Returns whether it did."""
        return self.ended.wait(limit)

    def _wait(self) -> None:
        status = self._process.wait()
        self._say("ends", str(status) if status >= 0 else signal.Signals(-status).name)
        self.ended.set()

    def _say(self, phase: Literal["starts", "ends"], status: str) -> None:
        self._net.report(
            Program(
                t=self._net.clock.now(),
                node=self.request.node,
                name=self.request.name,
                command=self.request.command,
                phase=phase,
                status=status,
            )
        )

    def close(self) -> None:
        """SIGTERM, and SIGKILL where that does not help; the whole session of the program."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            if not self.ended.is_set():
                os.killpg(self._process.pid, how)
                self.ended.wait(PROGRAM_ENDS)
        self._thread.join()


def script(net: Net, argument: Any) -> None:
    """Start the servers, wait until each listens, run the clients, wait for what they leave.

    A client that takes longer than its limit is ended. A program that still runs when the record
    ends is ended after it: what it left open, such as a socket in CLOSE-WAIT, shows as left open.
    """
    request = msgspec.convert(argument, ProgramsSpec)
    servers = []
    for program in request.programs:
        if program.role == "server":
            before = {snapshot.cookie for snapshot in net.recorder.sockets(program.node)}
            server = start(net, program)
            servers.append(server)
            wait_until_listening(net, server, before)
    clients = [start(net, program) for program in request.programs if program.role == "client"]
    ends = net.clock.now() + int(request.limit * 1e9)
    # Servers alone: until they end, or time is up.
    for each in clients or servers:
        each.ended.wait(max(0.0, (ends - net.clock.now()) / 1e9))
    for client in clients:
        client.close()
    net.wait_until_closed(request.after)
    net.recorder.checkpoint()


def start(net: Net, request: ProgramSpec) -> RunningProgram:
    """Start a program; it is ended at the end of the record, if it still runs then."""
    started = RunningProgram(net, request, net.results)
    net.own(started)
    return started


def wait_until_listening(net: Net, server: RunningProgram, before: set[int]) -> None:
    """Wait until a server listens, or has ended.

    Args:
        net: Where it runs.
        server: It.
        before: The cookies of the sockets that its host had before.
    """
    node = server.request.node
    net.recorder.wait_until(
        lambda: (
            server.ended.is_set()
            or any(
                snapshot.state is State.LISTEN and snapshot.cookie not in before
                for snapshot in net.recorder.sockets(node)
            )
        ),
        SERVER_STARTS,
    )
