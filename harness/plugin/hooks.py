"""What pytest loads: options, the marker, the fixture, and the hooks that send tests into a kernel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from harness.plugin import options
from harness.plugin.fixtures import net

if TYPE_CHECKING:
    from harness.plugin.outside import Outside

__all__ = ["net"]

_OUTSIDE = pytest.StashKey["Outside"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers; outside of a kernel, take charge of the tests that need one."""
    for marker in options.MARKERS:
        config.addinivalue_line("markers", marker)
    if options.INSIDE in os.environ:
        return
    from harness.plugin.edges import EdgeCoverage
    from harness.plugin.outside import Outside

    config.stash[_OUTSIDE] = Outside(config)
    config.pluginmanager.register(EdgeCoverage(config), "handshake-edges")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse what cannot work before the first test runs."""
    outside = config.stash.get(_OUTSIDE, None)
    if outside and any(outside.needs_kernel(item) for item in items):
        outside.prepare()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> object | None:
    """Run a test that uses ``net`` in a kernel of its own; leave every other test alone."""
    outside = item.config.stash.get(_OUTSIDE, None)
    if outside is None or not outside.needs_kernel(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in outside.run(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
