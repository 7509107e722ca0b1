"""A host of a network that is being recorded: its sockets, its programs, its settings and counters."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from handshake_lab.errors import SettingMissing, UsageError, WaitTimedOut
from handshake_lab.experiment.host_shell import HostShell
from handshake_lab.experiment.program_setup import ProgramSetup, find_program, why_not_started
from handshake_lab.experiment.readiness import CreatedFile, PrintedLine, wait_until_ready
from handshake_lab.experiment.recorded_socket import RecordedSocket
from handshake_lab.experiment.running_program import RunningProgram, start
from handshake_lab.experiment.scripted_peer import FIRST, ScriptedPeer
from handshake_lab.experiment.server_ports import ServerPorts
from handshake_lab.experiment.timed_socket import DEFAULT_TIMEOUT, TimedSocket
from handshake_lab.linux import small_files
from handshake_lab.linux.tcp_counters import read_counters
from handshake_lab.plan.program import Listening, ProgramSpec
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.states import State, parse_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handshake_lab.experiment.live_recording import LiveRecording
    from handshake_lab.experiment.readiness import Condition
    from handshake_lab.network.nodes import NetworkHost
    from handshake_lab.observers.socket_snapshot import SocketSnapshot


class Host:
    """A host of the network: its sockets are created in its network namespace, and their calls are recorded.

    Attributes:
        name: Its name in the topology.
        ip: The address to which its name resolves.
    """

    def __init__(self, recording: LiveRecording, host: NetworkHost) -> None:
        self._recording = recording
        self._host = host
        self._shell: HostShell | None = None
        self.name = host.name
        self.ip: str = host.ip

    def __repr__(self) -> str:
        return f"<host {self.name} {self.ip}>"

    # -- sockets ----------------------------------------------------------------------------

    def socket(self, family: int | None = None) -> RecordedSocket:
        """A TCP socket of this host. It blocks, and its calls raise `TimeoutError` after `DEFAULT_TIMEOUT` seconds.

        Args:
            family: `socket.AF_INET` or `socket.AF_INET6`; by default that of `ip`.
        """
        with self._host.enter():
            return RecordedSocket(self._recording, self.name, self._host.family if family is None else family)

    def udp_socket(self) -> TimedSocket:
        """A UDP socket of this host. Its calls are not recorded."""
        with self._host.enter():
            made = TimedSocket(self._host.family, socket.SOCK_DGRAM)
        self._recording.own(made)
        return made

    def listen(self, port: int, *, backlog: int = 128) -> RecordedSocket:
        """A socket that listens on this host's address.

        Raises:
            OSError: The port is in use (EADDRINUSE).
        """
        made = self.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((self.ip, port))
        made.listen(backlog)
        return made

    def connect(self, to: RecordedSocket | tuple[str, int]) -> RecordedSocket:
        """A socket connected to a listening socket, or to a (host, port).

        Raises:
            OSError: As connect() does: `ConnectionRefusedError`, `TimeoutError`.
        """
        made = self.socket()
        try:
            made.connect(self._address(to))
        except BaseException:
            made.close()
            raise
        return made

    def begin_connect(self, to: RecordedSocket | tuple[str, int], *, port: int = 0) -> RecordedSocket:
        """A socket that is connecting: the call returns before the handshake is done. The socket blocks afterwards.

        Args:
            to: A listening socket, or a (host, port).
            port: The local port; 0: the kernel chooses one.
        """
        made = self.socket()
        if port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.ip, port))
        made.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            made.connect(self._address(to))
        made.setblocking(True)
        return made

    def scripted_peer(
        self, port: int, *, to: tuple[str, int] | None = None, isn: int = FIRST, family: int | None = None
    ) -> ScriptedPeer:
        """A peer without a socket: it sends the segments that a test writes, and checks those that it receives.

        Args:
            port: Its port. The host's kernel does not see segments to this port while the peer exists.
            to: The host and port of the other end; None: those of the first segment that arrives.
            isn: Its initial sequence number.
            family: `socket.AF_INET` or `socket.AF_INET6`; by default that of `ip`.

        Raises:
            EnvironmentUnsupported: This kernel cannot filter arriving frames.
        """
        six = (self._host.family if family is None else family) == socket.AF_INET6
        own = next(ip for ip in self._host.addresses if (":" in ip) == six)
        remote = None
        if to is not None:
            name, number = to
            found = [ip for ip in self._recording.network[name].addresses if (":" in ip) == six]
            remote = Address(found[0] if found else name, number)
        return ScriptedPeer(self._recording, self._host, Address(own, port), remote, isn)

    def _address(self, to: RecordedSocket | tuple[str, int]) -> tuple[str, int]:
        return address_of(self._recording, to)

    # -- programs ---------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stdin: str | bytes | None = None,
        user: str | int | None = None,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[Any]:
        """Run a program in this host and wait until it ends; it is recorded, and its output is returned as text.

        Args:
            argv: The program and its arguments.
            check: Raise an error if its exit status is not 0.
            env: Variables of its environment, in addition to those of this process.
            cwd: Its working directory.
            stdin: Its whole input.
            user: The user that runs it, by name or number; by default root, in the run's own kernel or namespaces.
            timeout: The maximum time, in seconds of the kernel's time.

        Raises:
            subprocess.CalledProcessError: It failed (unless ``check`` is False).
            WaitTimedOut: It takes longer; it has been ended.
            UsageError: There is no such program, user or directory.
        """
        setup = ProgramSetup(env or {}, cwd, stdin, user)
        options = setup.options()
        if stdin is not None:
            options["input"] = setup.input_bytes().decode("utf-8", "surrogateescape")
        find_program(argv)
        with self._recording.step(self.name, shlex.join(argv)):
            try:
                return self._host.run(argv, check=check, timeout=timeout, **options)
            except subprocess.TimeoutExpired as expired:
                printed = (expired.stdout or b"") + (expired.stderr or b"")
                lines = printed.decode("utf-8", "replace").splitlines()[-15:]
                raise WaitTimedOut(f"{self.name}: the end of {shlex.join(argv)!r}", timeout or 0.0, lines) from None
            except FileNotFoundError as error:
                raise UsageError(
                    "run", shlex.join(argv), why_not_started(argv, error), 'run(["ip", "route"])'
                ) from None

    def start(
        self,
        argv: Sequence[str],
        *,
        listening: bool | int | str = False,
        prints: str | None = None,
        creates: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stdin: str | bytes | None = None,
        user: str | int | None = None,
    ) -> RunningProgram:
        """Start a program in this host. It is recorded, and is ended with the test if it is still running.

        Args:
            argv: The program and its arguments.
            listening: Wait until it listens: ``True`` (on any TCP or UDP port), ``80`` (TCP) or ``"udp:53"``.
            prints: Wait until a line of its output or standard error contains this text.
            creates: Wait until this file or socket exists.
            env: Variables of its environment, in addition to those of this process.
            cwd: Its working directory.
            stdin: Its whole input; none by default.
            user: The user that runs it, by name or number; by default root, in the run's own kernel or namespaces.

        Raises:
            ProgramFailed: It ended before it was ready; the error contains its output.
            WaitTimedOut: It is not ready within `readiness.SERVER_STARTS` seconds.
            UsageError: There is no such program, user or directory, or ``listening`` is not a port.
        """
        conditions: list[Condition] = []
        if listening is not False:
            conditions.append(ServerPorts(self._recording, self.name, Listening.parse(listening)))
        if prints is not None:
            conditions.append(PrintedLine(prints))
        if creates is not None:
            conditions.append(CreatedFile(Path(creates)))
        role: Literal["server", "client"] = "server" if conditions else "client"
        name = f"{self.name}-{role}-{next(self._recording.numbers)}"
        spec = ProgramSpec(name, self.name, role, shlex.join(argv))
        program = start(self._recording, spec, ProgramSetup(env or {}, cwd, stdin, user))
        if conditions:
            wait_until_ready(self._recording, program, conditions)
        return program

    # -- as in Mininet ----------------------------------------------------------------------

    def cmd(self, *command: object, limit: float = DEFAULT_TIMEOUT) -> str:
        r"""Run a command in this host's shell, and return its output, like Mininet's ``cmd``; it is recorded.

        All commands of a host run in the same shell (bash), and share its directory, variables and jobs.

            >>> h1.cmd("cd /tmp; python3 -m http.server 80 &")  # doctest: +SKIP
            >>> pid = int(h1.cmd("echo $!"))  # doctest: +SKIP

        Args:
            command: In the shell's language; several arguments are joined with spaces.
            limit: The maximum time, in seconds of the kernel's time.

        Raises:
            WaitTimedOut: It takes longer. The command, the shell and its jobs are ended.
            ProgramFailed: The shell exited.
        """
        line = " ".join(map(str, command))
        if self._shell is None or self._shell.closed:
            self._shell = HostShell(self._host)
            self._recording.own(self._shell)
        with self._recording.step(self.name, line):
            return self._shell.run(line, limit)

    def popen(self, argv: str | Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program in this host, like Mininet's ``popen``; unlike that of `start`, its end is not recorded.

        It and its child processes are ended with the test, if they are still running.

        Args:
            argv: The program and its arguments; a string is split into words, or with ``shell=True`` run by a shell.
            options: As for `subprocess.Popen`; by default, output is piped.
        """
        options = {"stdout": -1, "stderr": -1, "start_new_session": True, **options}
        words = shlex.split(argv) if isinstance(argv, str) and not options.get("shell") else argv
        with self._recording.step(self.name, argv if isinstance(argv, str) else shlex.join(argv)):
            process = self._host.popen(words, **options)
        self._recording.own(_Session(process, alone=not options["start_new_session"]))
        return process

    def IP(self) -> str:  # noqa: N802 -- Mininet's name
        """The address to which this host's name resolves (Mininet's name for `ip`)."""
        return self.ip

    def MAC(self) -> str:  # noqa: N802 -- Mininet's name
        """The MAC address of its first interface."""
        return self._host.ports[0].mac

    # -- settings, counters, sockets --------------------------------------------------------

    def sysctl(self, name: str, value: str | int | None = None) -> str:
        """A setting of this host's network namespace, ``net.ipv4.tcp_fin_timeout``; with a value, set it first.

        Raises:
            SettingMissing: This kernel has no such setting. It is a `FileNotFoundError`, and skips a test.
            OSError: The kernel rejects the value.
        """
        file = Path("/proc/sys", *name.split("."))
        with self._host.enter():
            if not os.path.exists(file):  # noqa: PTH110 -- the same system calls in every version of Python
                raise SettingMissing(name, self.name)
            if value is not None:
                small_files.write(file, str(value))
            return small_files.read(file).strip()

    def counters(self) -> dict[str, int]:
        """The Tcp and TcpExt counters of this host (net/ipv4/proc.c), such as ``ListenOverflows``."""
        with self._host.enter():
            return read_counters()

    def sockets(self) -> list[SocketSnapshot]:
        """Poll this host (sock_diag), and return all of its TCP sockets except closed ones."""
        self._recording.recorder.sync()
        return self._recording.recorder.sockets(self.name)

    def wait_for(self, state: str, *, count: int = 1, limit: float = DEFAULT_TIMEOUT) -> list[SocketSnapshot]:
        """Wait until exactly ``count`` sockets of this host are in a state, including sockets that no program holds.

        Args:
            state: For example ``SYN-RECEIVED``: there is no other way to wait for a request socket.
            count: The number of sockets; 0: none.
            limit: The maximum wait, in seconds of the kernel's time.

        Returns:
            The sockets in that state.

        Raises:
            WaitTimedOut: Their number was never ``count``; the error contains the host's sockets at the end.
            UsageError: There is no such state.
        """
        recorder = self._recording.recorder
        wanted = polled_state(state)
        found: list[SocketSnapshot] = []

        def came() -> bool:
            found[:] = [each for each in recorder.sockets(self.name) if each.state is wanted]
            return len(found) == count

        # Absence must be confirmed by a poll of all sockets: polls of single connections do not find a new socket.
        if recorder.wait_until(came, limit, confirm=count == 0):
            return found
        what = f"{count or 'no'} socket{'s' * (count != 1)} of {self.name} in {wanted}"
        raise WaitTimedOut(what, limit, describe(self._recording, self.name))


class _Session:
    """A program that `Host.popen` started, and its child processes."""

    def __init__(self, process: subprocess.Popen[Any], *, alone: bool) -> None:
        self._process = process
        self._alone = alone

    def close(self) -> None:
        """End it, if it is still running."""
        if self._process.poll() is None:
            if self._alone:
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()


def address_of(recording: LiveRecording, to: RecordedSocket | tuple[str, int]) -> tuple[str, int]:
    """A listening socket's address, or that of a (host name or IP address, port)."""
    if isinstance(to, RecordedSocket):
        bound: tuple[str, int] = to.getsockname()[:2]
        return bound
    return recording.resolve(to)


def polled_state(state: str) -> State:
    """A state that a poll can show, by its name in RFC 9293.

    Raises:
        UsageError: There is no such state, or it is CLOSED, which no poll shows.
    """
    if state == State.CLOSED:
        raise UsageError("state", state, "is shown by no poll: use wait_until_gone()", "TIME-WAIT")
    return parse_state(state)


def describe(recording: LiveRecording, *names: str) -> list[str]:
    """The sockets of hosts that the last poll showed, one line each."""
    return [
        f"{name}: {each.local} to {each.remote}, {each.state}"
        for name in names
        for each in recording.recorder.sockets(name)
    ] or [f"{name}: no socket" for name in names]
