"""What the pages do in the lab kernel: sessions of the shell, and runs with another fate of a segment.

All of it happens in one thread, one after the other: a parked kernel has one supervisor, which one at a time may ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from handshake_lab.errors import EnvironmentUnsupported, HandshakeError, UsageError
from handshake_lab.experiment.execute import job_of
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.plan import units
from handshake_lab.plan.checks import check_requests, parse_links
from handshake_lab.plan.topology_file import split_file
from handshake_lab.serve.units import Units
from handshake_lab.shell.moments import Moments
from handshake_lab.shell.session import Session, Setting
from handshake_lab.shell.shell_job import shell_plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from handshake_lab.serve.folder import Folder

T = TypeVar("T")

#: How many sessions there can be at the same time: a long one took 416 to 440 MB (benchmarks/shell.py).
MOST_SESSIONS = 4
#: Seconds of real time that one command may take.
_WALL_LIMIT = 60.0
#: What can be done to a segment: the name of the choice, and the shell's command.
FATES = {"deliver": "step", "drop": "drop", "delay": "delay 300ms", "duplicate": "duplicate", "reset": "rst"}


class LiveSession:
    """A session of the shell that pages show.

    Args:
        setting: Its network.
        kernel: A kernel that forks.

    Attributes:
        name: Its part of the address.
        session: The session.
        moments: Its moments.
        changes: How often it has changed.
    """

    def __init__(self, setting: Setting, kernel: LabKernel) -> None:
        self.name = secrets.token_hex(4)
        self.setting = setting
        self.changes = 0
        with contextlib.ExitStack() as stack:
            links = parse_links(setting.links)
            job = stack.enter_context(job_of(shell_plan(kernel.info, setting.topology, links)))
            self.moments = stack.enter_context(Moments(job, kernel))
            self._stack = stack.pop_all()
        self.session = Session(self.moments, setting)

    def execute(self, line: str) -> list[str]:
        """Execute a command.

        Raises:
            HandshakeError: It failed; nothing has changed.
        """
        self.changes += 1
        return self.session.execute(line)

    def what_if(self, number: int, fate: str) -> list[str]:
        """Go back to where a segment waited, decide otherwise, and let as much time pass as in the future that is left.

        Raises:
            HandshakeError: There is no such segment, or no such fate.
        """
        if fate not in FATES:
            raise UsageError("fate", fate, f"is not one of {', '.join(FATES)}", "drop")
        session = self.session
        before, left, until = session.now, session.left, session.now.answer.now
        try:
            waits = session.now.number == number
            lines = [] if waits else self.execute(f"back #{number}")
            lines = self.execute(FATES[fate])
            if not waits and (rest := until - session.now.answer.now) > 0:
                lines = self.execute(f"run {units.show_duration(rest)}")
        except BaseException:
            session.now, session.left = before, left
            raise
        return lines

    def close(self) -> None:
        """End it."""
        self._stack.close()


class Lab:
    """The lab kernel, and the sessions in it.

    Args:
        folder: Where tests are saved.
        kernel: The kernel's name, as for ``--kernel``.

    Attributes:
        sessions: The sessions, by name.
        units: The course units of the folder.
    """

    def __init__(self, folder: Folder, kernel: str = "lab") -> None:
        self.sessions: dict[str, LiveSession] = {}
        self.units = Units(folder, kernel)
        self._folder = folder
        self._kernel = kernel
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab")

    async def do(self, work: Callable[[], T]) -> T:
        """Do something in the thread of the lab."""
        return await asyncio.wrap_future(self._thread.submit(work))

    def kernel(self, seed: int) -> LabKernel:
        """The kernel with a seed.

        Raises:
            EnvironmentUnsupported: This machine cannot run it.
        """
        found = choose_kernel(self._kernel, seed, _WALL_LIMIT, fresh_boot=False)
        if not isinstance(found, LabKernel) or not found.forks:
            raise EnvironmentUnsupported(f"{self._kernel} is not a lab kernel that forks", "handshake kernel list")
        return found

    def states(self) -> dict[str, object]:
        """The state of each session: another one after each change."""
        return {f"sessions/{name}": each.changes for name, each in list(self.sessions.items())}

    def start(self, topology: str, links: str, seed: int, out: Path | None = None) -> LiveSession:
        """Start a session.

        Args:
            topology: One of this project's, by name: a file would be executed on this machine.
            links: Impairments, separated by blanks.
            seed: Of the kernel.
            out: The directory that has its record up to the present moment.

        Raises:
            UsageError: A value is invalid, or there are too many sessions.
            EnvironmentUnsupported: This machine cannot run a lab kernel that forks.
        """
        if split_file(topology) is not None:
            raise UsageError("topology", topology, "is not the name of a topology", "star,n=3")
        if len(self.sessions) >= MOST_SESSIONS:
            raise UsageError("sessions", len(self.sessions), "exist already; end one first", "exit")
        made = LiveSession(self._setting(topology, links.split(), seed, out), self.kernel(seed))
        self.sessions[made.name] = made
        return made

    def end(self, name: str) -> None:
        """End a session, if there is one."""
        if live := self.sessions.pop(name, None):
            live.close()

    def prepare(self) -> None:
        """Boot the kernel in the background, so that the first session does not have to wait for it."""
        self._thread.submit(self._boot)

    def _boot(self) -> None:
        # Whoever starts a session is shown why it cannot be booted.
        with contextlib.suppress(HandshakeError):
            LiveSession(self._setting("pair", [], 1), self.kernel(1)).close()

    def _setting(self, topology: str, links: list[str], seed: int, out: Path | None = None) -> Setting:
        planned = check_requests(topology, parse_links(links), ())
        return Setting(planned, topology, links, {}, seed, write=self._folder.create, out=out)

    def close(self) -> None:
        """End all sessions, and the thread."""
        self._thread.submit(self._end_all).result()
        self._thread.shutdown()

    def _end_all(self) -> None:
        for name in list(self.sessions):
            self.end(name)
