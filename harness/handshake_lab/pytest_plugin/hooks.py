"""What pytest loads: options, the marker, the fixture, and the hooks that send tests into a kernel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from handshake_lab.pytest_plugin.fixtures import handshake_variant, net, net_plan
from handshake_lab.pytest_plugin.options import command_line

if TYPE_CHECKING:
    from handshake_lab.pytest_plugin.dispatch.controller import Controller

__all__ = ["handshake_variant", "net", "net_plan"]

_OUTSIDE: pytest.StashKey[Controller] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    command_line.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers; outside of a kernel, take charge of the tests that need one."""
    for marker in command_line.MARKERS:
        config.addinivalue_line("markers", marker)
    if command_line.INSIDE in os.environ:
        return
    from handshake_lab.pytest_plugin.dispatch.controller import Controller
    from handshake_lab.pytest_plugin.options import variants
    from handshake_lab.pytest_plugin.results.index_page import IndexPage
    from handshake_lab.pytest_plugin.results.summary import Summary

    variants.check(config)
    config.stash[_OUTSIDE] = Controller(config)
    config.pluginmanager.register(Summary(config), "handshake-summary")
    if config.option.artifacts:
        config.pluginmanager.register(IndexPage(config), "handshake-pages")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test run in other ways too: with many seeds, or broken on purpose."""
    if metafunc.config.option.seeds or metafunc.config.option.mutate:
        from handshake_lab.pytest_plugin.options import variants

        variants.generate(metafunc)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where tests are broken on purpose, leave out those that cannot be."""
    outside = config.stash.get(_OUTSIDE, None)
    if outside is None or not config.option.mutate:
        return
    others = [item for item in items if not outside.needs_kernel(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if outside.needs_kernel(item)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse what cannot work, and build the kernel, before the first test runs."""
    outside = session.config.stash.get(_OUTSIDE, None)
    if outside is None or session.config.option.collectonly:
        return
    if any(outside.needs_kernel(item) for item in session.items):
        outside.prepare()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object | None:
    """Run a test that uses ``net`` in a kernel of its own; leave every other test alone."""
    outside = item.config.stash.get(_OUTSIDE, None)
    if outside is None or not outside.needs_kernel(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in outside.run(item):
        item.ihook.pytest_runtest_logreport(report=report)
    for report in outside.tear_down(item, nextitem):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
