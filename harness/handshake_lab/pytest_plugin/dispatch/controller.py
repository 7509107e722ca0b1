"""Outside of the kernel: send a test into one, and bring its reports home."""

from __future__ import annotations

import contextlib
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handshake_lab.errors import HandshakeError, KernelFailed, UsageError
from handshake_lab.kernel.shared.job import INTERRUPTED, Job
from handshake_lab.pytest_plugin.dispatch import code_coverage, replay, serialise
from handshake_lab.pytest_plugin.options import command_line, former_names, time_limits, variants
from handshake_lab.pytest_plugin.options.command_line import NETWORK_MARKER, spelled
from handshake_lab.pytest_plugin.results import kept_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.kernel.shared.job import JobResult
    from handshake_lab.kernel.shared.protocol import Kernel

_FIXTURES = "handshake_lab.pytest_plugin.fixtures"


class Controller:
    """Runs the tests that need a kernel, each in one of its own."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._kernels: dict[int, Kernel] = {}

    @staticmethod
    def needs_kernel(item: pytest.Item) -> bool:
        """Whether a test asks for our fixture ``net``, directly or through other fixtures.

        A project may well have a fixture of that name which is none of ours.
        """
        info = getattr(item, "_fixtureinfo", None)
        found = list(info.name2fixturedefs.get("net", ())) if info else []
        while found:
            last = found.pop()
            if last.func.__module__ == _FIXTURES:
                return True
            if "net" not in last.argnames:
                return False
        return False

    def prepare(self) -> None:
        """Find the kernel, build one where there is none, and refuse what cannot work.

        Raises:
            pytest.UsageError: With what to do about it.
        """
        option = self._config.option
        if option.usepdb or getattr(option, "trace", False):
            raise pytest.UsageError(
                "--pdb cannot reach into a test that uses `net`: it runs in a kernel of its own, which has no "
                "terminal. Its ladder and its record tell what happened (handshake show); print() and -l show values."
            )
        try:
            with self._uncaptured():
                self._kernel(option.handshake_seed)
        except HandshakeError as error:
            raise pytest.UsageError(spelled(str(error))) from None

    def _kernel(self, seed: int) -> Kernel:
        from handshake_lab.kernel.choose import choose_kernel

        if seed not in self._kernels:
            option = self._config.option
            self._kernels[seed] = choose_kernel(
                option.handshake_kernel,
                seed,
                time_limits.wall_limit(self._config),
                fresh_boot=option.handshake_fresh_boot,
            )
        return self._kernels[seed]

    @contextlib.contextmanager
    def _uncaptured(self) -> Iterator[None]:
        """Building a kernel takes minutes: let its progress be seen."""
        manager = self._config.pluginmanager.getplugin("capturemanager")
        with manager.global_and_fixture_disabled() if manager else contextlib.nullcontext():
            yield

    def run(self, item: pytest.Item) -> list[pytest.TestReport]:
        """Run one test where the kernel is; its reports come back as if it had run here.

        Raises:
            KeyboardInterrupt: It was interrupted; nothing is left running.
        """
        began = time.time()
        # Kept apart from the kernel's own scratch: what was recorded until a kernel failed is worth having.
        with tempfile.TemporaryDirectory(prefix="handshake-results-", ignore_cleanup_errors=True) as place:
            results = Path(place).resolve()
            try:
                with _timed(item):
                    reports = self._run(item, results)
            except (HandshakeError, pytest.fail.Exception) as error:
                reports = [replay.failure(item, spelled(str(error)))]
            kept_records.attach(item, reports, results, replay=self.replay(item))
        replay.finish(item, reports, began)
        variants.settle(item, reports)
        return reports

    @staticmethod
    def tear_down(item: pytest.Item, following: pytest.Item | None) -> list[pytest.TestReport]:
        """Tear down what tests without ``net`` have set up here and the following test does not share.

        pytest does so at each test's teardown, and a test that ran in a kernel had none here: without it, the next
        test of another module would find fixtures and modules set up that are not its own.

        Returns:
            The report of a teardown that failed, as an error at this test's teardown, where pytest has it too.
        """
        state = item.session._setupstate  # noqa: SLF001  pytest has no public way to it
        call = pytest.CallInfo.from_call(
            lambda: state.teardown_exact(following), when="teardown", reraise=(pytest.exit.Exception, KeyboardInterrupt)
        )
        return [pytest.TestReport.from_item_and_call(item, call)] if call.excinfo else []

    def _run(self, item: pytest.Item, results: Path) -> list[pytest.TestReport]:
        former_names.refuse_markers(item)
        chosen = variants.of(item)
        kernel = self._kernel(seed_of(item))
        if reason := time_limits.too_slow(item, kernel.info):
            return [time_limits.skipped(item, reason)]
        coverage = code_coverage.settings(self._config)
        job = Job(
            call="handshake_lab.pytest_plugin.dispatch.worker:run",
            argument={
                "args": serialise.arguments(item),
                "options": serialise.options(self._config),
                "markers": self._config.getini("markers"),
                "plugins": serialise.plugins(self._config),
                "path": sys.path,
                "directory": str(Path.cwd()),
                "kernel": msgspec.to_builtins(kernel.info),
                "coverage": coverage,
                "links": [*self._config.option.handshake_link, *chosen.links],
                "replay": self.replay(item),
            },
            results=results,
            preload=("handshake_lab.pytest_plugin.dispatch.preloaded",),
            readable=serialise.readable(item),
            environment=serialise.environment(),
        )
        with kernel.run(job) as outcome:
            if outcome.status == INTERRUPTED:
                raise KeyboardInterrupt
            code_coverage.bring_home(coverage, outcome.results)
            return self._home(item, outcome)

    def _home(self, item: pytest.Item, outcome: JobResult) -> list[pytest.TestReport]:
        reports = replay.reports(self._config, outcome.results)
        if any(isinstance(report, pytest.TestReport) and report.when == "teardown" for report in reports):
            replay.warnings(item, outcome.results)
            return [report for report in reports if isinstance(report, pytest.TestReport)]
        for report in reports:
            if isinstance(report, pytest.CollectReport):
                text = f"the test could not be collected where the kernel is:\n{report.longreprtext}"
                return [replay.failure(item, text)]
        raise KernelFailed(_unfinished(outcome.status), outcome.console)

    def replay(self, item: pytest.Item) -> str:
        """The command that runs this test again in the same way."""
        variant = variants.of(item).words
        words = command_line.replay_words(self._config, ("kernel", "link") if variant else ("kernel", "seed", "link"))
        return shlex.join(["pytest", item.nodeid, *variant, *words])


@contextlib.contextmanager
def _timed(item: pytest.Item) -> Iterator[None]:
    """Let pytest-timeout limit the wall time of the block where it limits the test function only.

    Where it limits the whole test, its wrapper of ``pytest_runtest_protocol`` does so; its wrapper of
    ``pytest_runtest_call`` has to be called here, because that hook is not called for a test in a kernel.
    """
    plugin: Any = item.config.pluginmanager.getplugin("timeout")
    wrapper = getattr(plugin, "pytest_runtest_call", None)
    with contextlib.contextmanager(wrapper)(item) if wrapper else contextlib.nullcontext():
        yield


def seed_of(item: pytest.Item) -> int:
    """The seed of a test's kernel: its variant's, its marker's, or the command line's."""
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
            f"the test was not found where the kernel is (pytest's status {int(status)}): "
            "it is collected anew there, and must have the same id every time"
        )
    if status < 0:
        return f"signal {-status} ended the test inside the kernel: see its console for why (such as too little memory)"
    return f"the test did not come to its end inside the kernel (exit status {status})"
