"""Starts the summary and the index with the first report from a kernel: other sessions need not import them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from handshake_lab.pytest_plugin.options.report_properties import AGAIN

if TYPE_CHECKING:
    import pytest

#: Options that need the summary even if no test runs in a kernel.
_NEED_SUMMARY = ("json", "edge_coverage", "edge_coverage_fail_under", "edge_coverage_svg", "seeds")


class Activation:
    """Registers the plugins that collect results; under pytest-xdist, in its controller too."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._began = time.perf_counter()
        self._earlier: dict[str, list[pytest.TestReport]] = {}
        self._active = False
        if any(getattr(config.option, f"handshake_{name}") not in (None, False) for name in _NEED_SUMMARY):
            self._activate()

    def _activate(self) -> None:
        from handshake_lab.pytest_plugin.results.index_page import IndexPage
        from handshake_lab.pytest_plugin.results.summary import Summary

        self._active = True
        plugins: list[Summary | IndexPage] = [Summary(self._config, self._began)]
        if self._config.option.handshake_artifacts:
            plugins.append(IndexPage(self._config))
        for plugin in plugins:
            self._config.pluginmanager.register(plugin)
            # A hook call that is in progress does not include a plugin that is registered during the call.
            for report in (report for reports in self._earlier.values() for report in reports):
                plugin.pytest_runtest_logreport(report)
        self._earlier.clear()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a test's reports until its teardown shows where it ran."""
        if self._active:
            return
        self._earlier.setdefault(report.nodeid, []).append(report)
        if any(name == AGAIN for name, _ in report.user_properties):
            self._activate()
        elif report.when == "teardown":
            del self._earlier[report.nodeid]
