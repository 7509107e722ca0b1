"""Outside of the kernel: send a test into one, and bring its reports home."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from harness.errors import EnvironmentUnsupported, HandshakeError, KernelFailed
from harness.kernel.job import Job
from harness.plugin import evidence
from harness.plugin.options import INSIDE
from harness.plugin.inside import REPORTS

if TYPE_CHECKING:
    from harness.kernel.base import Kernel

#: Plugins that belong to the outer session: they would start workers, collect, or reorder again.
_OUTER_PLUGINS = ("xdist", "xdist.looponfail", "pytest_cov", "html", "randomly", "cacheprovider", "terminal")

#: Options that are the outer session's alone.
_OUTER_OPTIONS = (
    "file_or_dir",
    "keyword",
    "markexpr",
    "maxfail",
    "lf",
    "failedfirst",
    "newfirst",
    "stepwise",
    "usepdb",
    "xmlpath",
    "deselect",
    "ignore",
    "ignore_glob",
    "inifilename",
    "rootdir",
    "override_ini",
    "plugins",
    "pyargs",
    "confcutdir",
    "basetemp",
)


class Outside:
    """Runs the tests that need a kernel, each in one of its own."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._kernel: Kernel | None = None

    @staticmethod
    def needs_kernel(item: pytest.Item) -> bool:
        """Whether a test asks for the fixture ``net``, directly or through another fixture."""
        return "net" in getattr(item, "fixturenames", ())

    def prepare(self) -> None:
        """Find the kernel, and refuse what cannot work.

        Raises:
            pytest.UsageError: With what to do about it.
        """
        from harness.cli.options import choose_kernel

        option = self._config.option
        if option.usepdb:
            raise pytest.UsageError(
                "--pdb cannot reach into a test that uses `net`: it runs in a kernel of its own, which has no terminal. "
                "Its ladder and record tell what happened; to step through a test, run it with --kernel host."
            )
        try:
            self._kernel = choose_kernel(option.kernel, option.seed, option.wall_limit)
        except HandshakeError as error:
            raise pytest.UsageError(str(error)) from None

    def run(self, item: pytest.Item) -> list[pytest.TestReport]:
        """Run one test where the kernel is; its reports come back as if it had run here."""
        if self._kernel is None:
            self.prepare()
        began = time.perf_counter()
        try:
            return self._run(item)
        except (KernelFailed, EnvironmentUnsupported) as error:
            return [_failure(item, str(error), time.perf_counter() - began)]

    def _run(self, item: pytest.Item) -> list[pytest.TestReport]:
        if self._kernel is None:
            raise AssertionError("prepare() chose a kernel")
        job = Job(
            call="harness.plugin.inside:run",
            argument={
                "args": self._arguments(item),
                "options": self._options(),
                "directory": str(Path.cwd()),
                "kernel": msgspec.to_builtins(self._kernel.info),
                "links": self._config.option.handshake_links,
            },
            readable=(self._config.rootpath, Path.cwd(), item.path.parent),
            environment={INSIDE: "1"},
        )
        with self._kernel.run(job) as outcome:
            reports = self._reports(outcome.results / REPORTS)
            if not any(report.when == "teardown" for report in reports):
                raise KernelFailed(
                    f"the test did not come to its end inside the kernel (pytest's status {outcome.status})",
                    outcome.console,
                )
            evidence.attach(item, reports, outcome.results, self._config.option.artifacts)
        return reports

    def _arguments(self, item: pytest.Item) -> list[str]:
        config = self._config
        path = str(item.path) + item.nodeid[len(item.nodeid.partition("::")[0]) :]
        words = [path, f"--rootdir={config.rootpath}", "-o", "addopts=", f"--import-mode={config.option.importmode}"]
        # What started the guest belongs to the package whose entry point this plugin is.
        words += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
        if config.inipath:
            words += ["-c", str(config.inipath)]
        for name in _OUTER_PLUGINS:
            words += ["-p", f"no:{name}"]
        for name in config.option.plugins or ():
            words += ["-p", name]
        return words

    def _options(self) -> dict[str, Any]:
        chosen = {}
        for name, value in vars(self._config.option).items():
            plain = isinstance(value, str | int | float | bool | list | type(None))
            if plain and name not in _OUTER_OPTIONS and not name.startswith(("cov", "dist", "numprocesses", "tx")):
                chosen[name] = value
        return chosen

    def _reports(self, file: Path) -> list[pytest.TestReport]:
        if not file.exists():
            return []
        reports = []
        for line in file.read_bytes().splitlines():
            data = msgspec.json.decode(line)
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
            if isinstance(report, pytest.CollectReport):
                raise KernelFailed(f"the test could not be collected inside the kernel:\n{report.longreprtext}")
            reports.append(report)
        return reports


def _failure(item: pytest.Item, message: str, duration: float) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome="failed",
        longrepr=message,
        when="call",
        duration=duration,
    )
