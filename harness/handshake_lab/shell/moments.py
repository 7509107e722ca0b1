"""The moments of a session: each is a parked run, and each command gives another one.

A moment is what follows from its commands, so any moment can be had again: only the most recent ones keep their parked
machine, and an older one is made again from the nearest that has one.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec

from handshake_lab.errors import KernelFailed, UsageError, from_document
from handshake_lab.experiment.execute import raise_stored_error
from handshake_lab.experiment.shell_script import ANSWER
from handshake_lab.experiment.shell_session import Answer
from handshake_lab.experiment.under_way import number_of, with_under_way
from handshake_lab.kernel.shared.job import INTERRUPTED
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import read
from handshake_lab.recording.run_files import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handshake_lab.kernel.lab.lab_kernel import Branch, LabKernel
    from handshake_lab.kernel.shared.job import Job
    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation

#: How many parked machines a session keeps, besides the first: 416 to 440 MB for all of them (benchmarks/shell.py).
KEPT = 12
#: A machine can be forked from a fork 255 times (docs/explanation/fork.md).
_MOST_GENERATIONS = 240
#: A request to fork has up to 4,096 bytes.
_MOST_BYTES = 4000


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A moment of a session, between two commands.

    Attributes:
        before: The moment before; None for the first.
        command: The command that led here from there; "" for the first.
        answer: What the shell showed.
        number: The number in the ladder of the segment that waits.
    """

    before: Moment | None
    command: str
    answer: Answer
    number: int | None = None

    def way(self) -> list[Moment]:
        """The moments from the first to this one."""
        found: list[Moment] = []
        moment: Moment | None = self
        while moment is not None:
            found.append(moment)
            moment = moment.before
        return found[::-1]

    @property
    def commands(self) -> list[str]:
        """All commands that led here."""
        return [each.command for each in self.way()[1:]]


@dataclass(slots=True)
class _Parked:
    """A parked machine, and how often it was forked."""

    branch: Branch
    generation: int
    stack: contextlib.ExitStack


class Moments:
    """Parks a run at its beginning, and continues it with commands.

    Args:
        job: The run; its script is `handshake_lab.experiment.shell_script:script`.
        kernel: A kernel that forks.

    Attributes:
        first: The moment before the first command.

    Raises:
        EnvironmentUnsupported: The kernel cannot be forked.
        HandshakeError: The run could not be started.
    """

    def __init__(self, job: Job, kernel: LabKernel) -> None:
        self._stack = contextlib.ExitStack()
        self._parked: dict[Moment, _Parked] = {}
        with contextlib.ExitStack() as stack:
            root = stack.enter_context(kernel.trunk(job))
            self.first = Moment(None, "", _answer(root))
            self._root = _Parked(root, 2, stack.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for parked in (*self._parked.values(), self._root):
            parked.stack.close()
        self._parked.clear()

    def after(self, moment: Moment, command: str) -> Moment:
        """The moment after a command.

        Raises:
            HandshakeError: The command failed; there is no such moment.
            KernelFailed: The kernel ran into the wall-clock limit.
        """
        if len(msgspec.json.encode([command])) > _MOST_BYTES:
            raise UsageError(
                "command", f"{command[:40]}…", "is too long; put it into a file", "py exec(open('x.py').read())"
            )
        parked = self._fork(self._machine(moment), [command])
        with contextlib.ExitStack() as stack:
            stack.callback(parked.stack.close)
            answer = _answer(parked.branch)
            if answer.error is not None:
                raise from_document(answer.error)
            number = None
            if answer.undecided.waiting is not None:
                number = number_of(_record(parked.branch.results, answer), answer.undecided.waiting)
            stack.pop_all()  # it is kept
        made = Moment(moment, command, answer, number)
        self._keep(made, parked)
        return made

    def events(self, moment: Moment) -> bytes:
        """The content of ``events.jsonl`` up to a moment."""
        return (self._machine(moment).branch.results / EVENTS).read_bytes()

    def observations(self, moment: Moment) -> tuple[Observation, ...]:
        """What the observers reported up to a moment."""
        return read(self._machine(moment).branch.results).observations

    def record(self, moment: Moment) -> Record:
        """The record up to a moment."""
        return _record(self._machine(moment).branch.results, moment.answer)

    @contextlib.contextmanager
    def ended(self, moment: Moment) -> Iterator[Path]:
        """End the run at a moment: the directory of its results, within the block.

        Raises:
            HandshakeError: The run failed at its end.
        """
        parked = self._fork(self._machine(moment), [])
        with parked.stack:
            results = parked.branch.result.results
            raise_stored_error(results)
            (results / ANSWER).unlink()
            yield results

    def _machine(self, moment: Moment) -> _Parked:
        """The parked machine of a moment; made again if it was ended."""
        way = moment.way()
        place = next((number for number in range(len(way) - 1, 0, -1) if way[number] in self._parked), 0)
        parked = self._parked.get(way[place], self._root)
        if parked.generation >= _MOST_GENERATIONS:
            place, parked = 0, self._root
        if place < len(way) - 1:
            return self._again(moment, parked, way[place + 1 :])
        if place:
            self._parked[moment] = self._parked.pop(moment)  # the most recently used comes last
        return parked

    def _again(self, moment: Moment, parked: _Parked, way: list[Moment]) -> _Parked:
        """Fork a machine with the commands of later moments, as many at once as a request has room for."""
        source = parked
        for commands in _chunks([each.command for each in way]):
            try:
                made = self._fork(parked, commands)
            finally:
                if parked is not source:
                    parked.stack.close()
            parked = made
        self._keep(moment, parked)
        return parked

    def _fork(self, parked: _Parked, commands: list[str]) -> _Parked:
        with contextlib.ExitStack() as stack:
            branch = stack.enter_context(parked.branch.fork(msgspec.json.encode(commands).decode()))
            if commands:
                _check_parked(branch)
            return _Parked(branch, parked.generation + 1, stack.pop_all())

    def _keep(self, moment: Moment, parked: _Parked) -> None:
        if old := self._parked.pop(moment, None):
            old.stack.close()
        self._parked[moment] = parked
        while len(self._parked) > KEPT:
            self._parked.pop(next(iter(self._parked))).stack.close()


def _check_parked(branch: Branch) -> None:
    if branch.parked:
        return
    raise_stored_error(branch.results)
    result = branch.result
    if result.status == INTERRUPTED:
        raise KeyboardInterrupt
    raise KernelFailed("the run of the session has ended unexpectedly", result.console)


def _answer(branch: Branch) -> Answer:
    _check_parked(branch)
    return msgspec.json.decode((branch.results / ANSWER).read_bytes(), type=Answer)


def _record(results: Path, answer: Answer) -> Record:
    return with_under_way(reconcile(read(results).observations, until=answer.now), answer.undecided)


def _chunks(commands: list[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    for command in commands:
        if chunk and len(msgspec.json.encode([*chunk, command])) > _MOST_BYTES:
            yield chunk
            chunk = []
        chunk.append(command)
    if chunk:
        yield chunk
