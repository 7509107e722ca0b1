"""The controller: starts a worker in a kernel for each test, and replays the worker's reports."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handshake_lab.errors import HandshakeError, KernelFailed, UsageError
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.kernel.shared.job import INTERRUPTED, Job
from handshake_lab.pytest_plugin.dispatch import code_coverage, replay, serialise
from handshake_lab.pytest_plugin.options import command_line, former_names, time_limits, variants
from handshake_lab.pytest_plugin.options.command_line import NETWORK_MARKER, spelled
from handshake_lab.pytest_plugin.results import kept_records
from handshake_lab.pytest_plugin.results.mutation_outcomes import invert
from handshake_lab.pytest_plugin.results.pytest_reports import failure
from handshake_lab.recording.repeats import first_difference

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from handshake_lab.kernel.shared.job import BranchTaken, JobResult
    from handshake_lab.kernel.shared.protocol import Kernel

#: Attribute of the reports of a branch: the numbers of its decisions.
FOLLOWED = "handshake_followed"


class Controller:
    """Runs the tests that need a kernel, each in a separate one.

    Args:
        config: The configuration of the session that the user started, or of pytest-xdist's worker.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._kernels: dict[int, Kernel] = {}

    def prepare(self) -> None:
        """Find or build the kernel, and refuse options that do not work with it.

        Raises:
            pytest.UsageError: The kernel is not available, or an option is refused.
        """
        option = self._config.option
        if option.usepdb or getattr(option, "trace", False):
            raise pytest.UsageError(
                "--pdb cannot debug a test that uses `net`: it runs in a separate kernel, which has no terminal. "
                "Its ladder and its record show what happened (handshake show); print() and -l show values."
            )
        try:
            with self._uncaptured():
                self._kernel(option.handshake_seed)
        except HandshakeError as error:
            raise pytest.UsageError(spelled(str(error))) from None

    def _kernel(self, seed: int) -> Kernel:
        from handshake_lab.kernel.choose import choose_kernel
        from handshake_lab.kernel.lab.lab_machine import LabMachine

        if seed not in self._kernels:
            option = self._config.option
            self._kernels[seed] = choose_kernel(
                option.handshake_kernel,
                seed,
                time_limits.wall_limit(self._config),
                fresh_boot=option.handshake_fresh_boot,
                machine=LabMachine.of(option.handshake_memory, option.handshake_clock_start),
            )
        return self._kernels[seed]

    @contextlib.contextmanager
    def _uncaptured(self) -> Iterator[None]:
        """Show the progress of building a kernel, which takes minutes."""
        manager = self._config.pluginmanager.getplugin("capturemanager")
        with manager.global_and_fixture_disabled() if manager else contextlib.nullcontext():
            yield

    def run(self, item: pytest.Item) -> list[pytest.TestReport]:
        """Run one test in a kernel.

        Returns:
            The worker's reports, as pytest would have made them in this process.

        Raises:
            KeyboardInterrupt: The session was interrupted; no process is left running.
        """
        began = time.time()
        # Not in the kernel's scratch directory, so that the record is kept if the kernel fails.
        with tempfile.TemporaryDirectory(prefix="handshake-results-", ignore_cleanup_errors=True) as place:
            results = Path(place).resolve()
            try:
                with _timed(item):
                    reports = self._run(item, results)
                    if self._config.option.handshake_check_repeat:
                        self._check_repeat(item, results, reports)
            except (HandshakeError, pytest.fail.Exception) as error:
                reports = [failure(item, spelled(str(error)))]
            followed = dict(reports[-1].user_properties).get(FOLLOWED, "")
            kept_records.attach(item, reports, results, replay=self.replay(item, str(followed)))
        replay.finish(item, reports, began)
        invert(item, reports)
        return reports

    def _check_repeat(self, item: pytest.Item, results: Path, reports: list[pytest.TestReport]) -> None:
        """Run a test again, and fail if that is not the same run.

        Raises:
            pytest.fail.Exception: It is not, with the first difference.
            UsageError: The kernel runs in real time.
        """
        if self._kernel(seed_of(item)).info.real_time:
            raise UsageError(
                "--check-repeat", "", "needs virtual time: no two runs in real time are the same", "--kernel=lab"
            )
        with tempfile.TemporaryDirectory(prefix="handshake-repeat-", ignore_cleanup_errors=True) as place:
            again = Path(place).resolve()
            second = self._run(item, again)
            difference = first_difference(results, again)
        if difference is not None:
            raise pytest.fail.Exception(str(difference), pytrace=False)
        outcomes = [[(report.when, report.outcome) for report in each] for each in (reports, second)]
        if outcomes[0] != outcomes[1]:
            text = f"the test does not repeat: {outcomes[0]}, then {outcomes[1]}, with the same record"
            raise pytest.fail.Exception(text, pytrace=False)

    def explore(self, item: pytest.Function) -> tuple[pytest.TestReport, bool]:
        """Explore a test: it fails if there is a finding.

        Returns:
            A report, as of the test's call; and whether the exploration was interrupted.
        """
        from handshake_lab.explore.session import replayed
        from handshake_lab.explore.settings import Settings
        from handshake_lab.pytest_plugin.dispatch import exploring

        option = self._config.option
        began = time.time()
        interrupted = False
        try:
            job = self._job(item, self._kernel(seed_of(item)), None, tbstyle="no")
            # The command would run the test without the faults; and the record must not depend on the kernel's name.
            job = msgspec.structs.replace(job, argument={**job.argument, "replay": ""})
            limit = time_limits.wall_limit(self._config)
            settings = Settings.parse(option.handshake_explore or "")
            names = (option.handshake_kernel, seed_of(item), limit)
            wanted = exploring.target(item, job, *names, settings.of_one_run)
            if option.handshake_replay is not None:
                failed, text = replayed(wanted, Path(option.handshake_replay))
            else:
                exploration, text = exploring.explored(item, wanted, settings, Path(option.handshake_findings))
                interrupted = exploration.interrupted
                failed = bool(exploration.findings or exploration.never)
            report = failure(item, text)
            if not failed:
                report.outcome, report.longrepr = "passed", None
                report.sections.append(("explored", text))
        except HandshakeError as error:
            report = failure(item, spelled(str(error)))
        replay.finish(item, [report], began)
        return report, interrupted

    @staticmethod
    def tear_down(item: pytest.Item, following: pytest.Item | None) -> list[pytest.TestReport]:
        """Tear down the fixtures and modules in this process that the following test does not use.

        pytest does this at the teardown of each test, but a test in a kernel has no teardown in this process. Without
        this call, fixtures and modules of earlier tests without ``net`` would still be set up.

        Returns:
            The report of a teardown that failed; like pytest, it reports an error at this test's teardown.
        """
        state = item.session._setupstate  # noqa: SLF001  pytest has no public access to it
        call = pytest.CallInfo.from_call(
            lambda: state.teardown_exact(following), when="teardown", reraise=(pytest.exit.Exception, KeyboardInterrupt)
        )
        return [pytest.TestReport.from_item_and_call(item, call)] if call.excinfo else []

    def _run(self, item: pytest.Item, results: Path) -> list[pytest.TestReport]:
        former_names.refuse_markers(item)
        kernel = self._kernel(seed_of(item))
        if reason := time_limits.too_slow(item, kernel.info):
            return [time_limits.skipped(item, reason)]
        return self._replayed_branches(item, kernel, self._job(item, kernel, results), results)

    def _job(self, item: pytest.Item, kernel: Kernel, results: Path | None, **changed: str) -> Job:
        """What a worker is given to do for a test.

        Args:
            item: The test.
            kernel: The kernel.
            results: The directory for its results; None: a temporary one.
            changed: Options that have other values than in this session.
        """
        variant = variants.of(item)
        coverage = code_coverage.settings(self._config)
        readable, environment = serialise.readable(item), serialise.environment()
        # Equal for all tests of a file, which share one collection.
        common = {
            "args": serialise.arguments(item),
            "options": serialise.options(self._config) | changed,
            "markers": self._config.getini("markers"),
            "plugins": serialise.plugins(self._config),
            "path": sys.path,
            "directory": str(Path.cwd()),
            "coverage": coverage,
        }
        return Job(
            call="handshake_lab.pytest_plugin.dispatch.worker:run",
            argument={
                **common,
                "item": item.nodeid,
                "kernel": msgspec.to_builtins(kernel.info),
                "links": [*self._config.option.handshake_link, *variant.links],
                "replay": self.replay(item),
                "follow": self._config.option.handshake_follow,
                "schedule": None,
            },
            results=results,
            preload=("handshake_lab.pytest_plugin.preloaded",),
            stage=json.dumps([common, readable, environment], default=str),
            readable=readable,
            environment=environment,
        )

    def _replayed_branches(self, item: pytest.Item, kernel: Kernel, job: Job, results: Path) -> list[pytest.TestReport]:
        """The reports of a test; of one that branches, those of the first branch that failed, or of the last."""
        coverage = code_coverage.settings(self._config)
        reports: list[pytest.TestReport] = []
        with tempfile.TemporaryDirectory(prefix="handshake-branch-", ignore_cleanup_errors=True) as branch:
            with contextlib.closing(_results(kernel, job)) as each:
                for result in each:
                    if result.status == INTERRUPTED:
                        raise KeyboardInterrupt
                    code_coverage.collect(coverage, result.results)
                    reports = self._replayed(item, result)
                    if result.branch:
                        shutil.copytree(result.results, branch, dirs_exist_ok=True)
                        _name_branch(reports, result.branch)
                    if any(report.failed for report in reports):
                        break
            # Not earlier, because a branch begins with a copy of the record up to the branch point.
            shutil.copytree(branch, results, dirs_exist_ok=True)
        return reports

    def _replayed(self, item: pytest.Item, result: JobResult) -> list[pytest.TestReport]:
        reports = replay.reports(self._config, result.results)
        if any(isinstance(report, pytest.TestReport) and report.when == "teardown" for report in reports):
            replay.warnings(item, result.results)
            return [report for report in reports if isinstance(report, pytest.TestReport)]
        for report in reports:
            if isinstance(report, pytest.CollectReport):
                text = f"the test could not be collected in the kernel:\n{report.longreprtext}"
                return [failure(item, text)]
        raise KernelFailed(_unfinished(result.status), result.console)

    def replay(self, item: pytest.Item, followed: str = "") -> str:
        """The command that runs this test again with the same result; for a branch, only this branch."""
        variant = variants.of(item).words
        names = ("kernel", "link", "cost") if variant else ("kernel", "seed", "link", "cost")
        words = command_line.replay_words(self._config, names)
        words += ["--handshake-follow", followed] if followed else []
        return shlex.join(["pytest", item.nodeid, *variant, *words])


def _results(kernel: Kernel, job: Job) -> Generator[JobResult, None, None]:
    """The result of a test; for a test that branches, the result of each branch."""
    if isinstance(kernel, LabKernel):
        yield from kernel.branches(job)
        return
    with kernel.run(job) as result:
        yield result


def _name_branch(reports: list[pytest.TestReport], branch: tuple[BranchTaken, ...]) -> None:
    """Add the decisions of a branch to its reports."""
    for report in reports:
        report.user_properties.append((FOLLOWED, ",".join(str(taken.index) for taken in branch)))
        if report.failed:
            report.sections.append(("branch", "\n".join(f"{taken.decision}: {taken.at}" for taken in branch)))


@contextlib.contextmanager
def _timed(item: pytest.Item) -> Iterator[None]:
    """Apply pytest-timeout's limit of the test function to the wall time of the block.

    If it limits the whole test instead, its wrapper of ``pytest_runtest_protocol`` applies the limit. Its wrapper of
    ``pytest_runtest_call`` has to be called here, because pytest does not call that hook for a test in a kernel.
    """
    plugin: Any = item.config.pluginmanager.getplugin("timeout")
    wrapper = getattr(plugin, "pytest_runtest_call", None)
    with contextlib.contextmanager(wrapper)(item) if wrapper else contextlib.nullcontext():
        yield


def seed_of(item: pytest.Item) -> int:
    """The seed of a test's kernel: from its variant, its marker, or the command line."""
    chosen = variants.of(item).seed
    if chosen is not None:
        return chosen
    marked: Any = next(
        (
            marker.kwargs["seed"]
            for marker in item.iter_markers(NETWORK_MARKER)
            if marker.kwargs.get("seed") is not None
        ),
        item.config.option.handshake_seed,
    )
    if isinstance(marked, bool) or not isinstance(marked, int) or not 0 <= marked < 1 << 64:
        raise UsageError(
            f"pytest.mark.{NETWORK_MARKER} seed",
            marked,
            "is not a whole number from 0 to 2**64-1",
            "@pytest.mark.handshake(seed=7)",
        )
    return marked


def _unfinished(status: int) -> str:
    if status in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        return (
            f"the test was not found in the kernel (exit status {int(status)} of pytest): tests are collected again "
            "there, and must have the same ids in each collection"
        )
    if status < 0:
        return f"signal {-status} ended the test in the kernel; its console may show the reason, such as lack of memory"
    return f"the test exited unexpectedly in the kernel (exit status {status})"
