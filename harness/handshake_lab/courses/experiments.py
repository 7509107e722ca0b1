"""Running the experiments of a unit with a student's numbers."""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.courses import confinement
from handshake_lab.courses.unit import Experiment, rendered_all
from handshake_lab.errors import UsageError
from handshake_lab.experiment.execute import conducted
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.plan.checks import check_requests, parse_faults, parse_links
from handshake_lab.plan.program_run import check_programs, parse_programs, plan_of
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.plan.steps import parse_steps
from handshake_lab.plan.sysctls import sysctl_settings
from handshake_lab.plan.timed_action import parse_timed
from handshake_lab.plan.units import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from handshake_lab.courses.unit import Unit
    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.reconcile.stored_run import Run

#: Seconds of real time that one run may take, and that one with a student's program or fault may take.
WALL_LIMIT, STUDENTS_LIMIT = 120.0, 20.0
#: Seconds of the kernel's time that the clients of a program run may take.
_CLIENTS_TAKE = 600.0


def processes(
    workers: int, begin: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """A pool of processes, each of which may have a laboratory.

    A parked kernel cannot be shared by processes: each begins from nothing, and boots its own.

    Args:
        workers: How many.
        begin: What each does first.
        arguments: Its arguments.
    """
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), begin, arguments)


def experiment_of(unit: Unit, name: str, seed: int) -> Experiment:
    """An experiment with the numbers of a student filled in.

    Raises:
        UsageError: It is invalid.
    """
    builtins = msgspec.to_builtins(unit.file.experiments[name])
    return msgspec.convert(rendered_all(builtins, unit.numbers(seed), f"experiment {name}"), Experiment)


def plan(
    unit: Unit,
    name: str,
    seed: int,
    kernel: Kernel,
    *,
    faults: Sequence[str] = (),
    directory: Path | None = None,
    mended: Collection[str] = (),
) -> RunPlan:
    """The plan of an experiment.

    Args:
        unit: The unit.
        name: The experiment.
        seed: The student's seed.
        kernel: The kernel that it will run on.
        faults: Further faults: the answer to a question.
        directory: Where programs run; None: in the unit's folder.
        mended: The names of programs there that a student has changed: they are confined.

    Raises:
        UsageError: It is invalid.
    """
    wanted = experiment_of(unit, name, seed)
    topology = str(unit.folder / wanted.topology) if (unit.folder / wanted.topology).is_file() else wanted.topology
    links, all_faults = parse_links(wanted.links), parse_faults([*wanted.faults, *faults])
    planned = check_requests(topology, links, all_faults)
    settings = {key: str(value) for key, value in wanted.sysctls.items()}
    sysctl_settings(planned, settings)
    timed = parse_timed(wanted.at, "at")
    for action in timed:
        action.check(planned, "at")
    if wanted.steps:
        steps = parse_steps(wanted.steps)
        for step in steps:
            step.check(planned)
        return RunPlan(
            script="handshake_lab.experiment.workloads.steps:script",
            argument=steps,
            topology=topology,
            links=links,
            faults=all_faults,
            timed=timed,
            sysctls=settings,
            kernel=kernel.info,
        )
    servers, clients = ([_command(text, mended) for text in texts] for texts in (wanted.servers, wanted.clients))
    specs = parse_programs(servers, clients, _CLIENTS_TAKE, duration("after", wanted.after) / 1e9)
    check_programs(specs, topology, links, all_faults)
    made = plan_of(specs, topology, links, all_faults, kernel.info, timed=timed, sysctls=settings)
    return msgspec.structs.replace(made, directory=str(directory or unit.folder))


def _command(text: str, mended: Collection[str]) -> str:
    """A command; one that runs a mended program runs it in confinement instead."""
    for word in text.split():
        if word in mended:
            host, equals, _ = text.partition("=")
            return (f"{host}=" if equals and host.isidentifier() else "") + confinement.command(word)
    return text


@contextlib.contextmanager
def _with_programs(unit: Unit, programs: Mapping[str, str]) -> Iterator[Path]:
    """A directory with the files of a unit, some of which are replaced."""
    with tempfile.TemporaryDirectory(prefix="handshake-course-") as name:
        place = Path(name)
        for file in unit.folder.iterdir():
            if file.is_file():
                shutil.copyfile(file, place / file.name)
        for file_name, text in programs.items():
            (place / file_name).write_text(text, "utf-8")
        yield place


class Laboratory:
    """Runs experiments on one kernel, each once for each student.

    Args:
        kernel: Its name, as for ``--kernel``.

    Raises:
        EnvironmentUnsupported: This machine cannot run it.
    """

    def __init__(self, kernel: str) -> None:
        self._name = kernel
        self._runs: dict[tuple[str, str, int], Run] = {}
        self.release = self.kernel(1).info.release

    def kernel(self, seed: int, limit: float = WALL_LIMIT) -> Kernel:
        """The kernel, with a student's seed; it is booted once, and forked for each run."""
        return choose_kernel(self._name, seed, limit, fresh_boot=False)

    def run(self, unit: Unit, name: str, seed: int) -> Run:
        """The run of an experiment for a student."""
        key = (unit.name, name, seed)
        if key not in self._runs:
            with self.running(unit, name, seed) as run:
                self._runs[key] = run
        return self._runs[key]

    def forget(self) -> None:
        """Forget the runs: those of one student are not needed for the next one."""
        self._runs.clear()

    @contextlib.contextmanager
    def running(
        self,
        unit: Unit,
        name: str,
        seed: int,
        *,
        faults: Sequence[str] = (),
        programs: Mapping[str, str] | None = None,
    ) -> Iterator[Run]:
        """Run an experiment; its files are there within the block.

        Raises:
            HandshakeError: The experiment is invalid, or failed.
        """
        kernel = self.kernel(seed, STUDENTS_LIMIT if faults or programs else WALL_LIMIT)
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(_with_programs(unit, programs)) if programs else None
            wanted = plan(unit, name, seed, kernel, faults=faults, directory=directory, mended=programs or ())
            yield stack.enter_context(conducted(wanted, kernel))


def check_experiments(unit: Unit, seed: int) -> None:
    """Check the experiments of a unit without running them.

    Raises:
        UsageError: One is invalid; the message names it.
    """
    for name in unit.file.experiments:
        wanted = experiment_of(unit, name, seed)
        if bool(wanted.steps) == bool(wanted.servers or wanted.clients):
            raise UsageError(
                f"experiment {name}", "", "needs either steps, or servers and clients", 'steps = "h2 listen 80"'
            )
        parse_steps(wanted.steps)
