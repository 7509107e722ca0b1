"""The hooks that pytest loads: options, markers, fixtures, and running tests with ``net`` in a kernel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from handshake_lab.errors import UsageError
from handshake_lab.pytest_plugin.dispatch import reruns
from handshake_lab.pytest_plugin.dispatch.selection import needs_kernel
from handshake_lab.pytest_plugin.fixtures import handshake_variant, net, net_plan
from handshake_lab.pytest_plugin.options import command_line, former_names
from handshake_lab.pytest_plugin.results.activation import Activation

if TYPE_CHECKING:
    from collections.abc import Generator

    from handshake_lab.pytest_plugin.dispatch.controller import Controller

__all__ = ["handshake_variant", "net", "net_plan"]

_CONTROLLER: pytest.StashKey[Controller] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and their ini keys."""
    command_line.add(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    """Refuse former options, after all plugins have declared theirs."""
    result = yield
    try:
        former_names.refuse_options(early_config, parser, args)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers; in the session that the user started, prepare to run tests in kernels."""
    for marker in command_line.MARKERS:
        config.addinivalue_line("markers", marker)
    command_line.settle(config)
    if command_line.INSIDE in os.environ:
        return
    if config.option.handshake_seeds is not None or config.option.handshake_mutate is not None:
        from handshake_lab.pytest_plugin.options import variants

        variants.check(config)
    config.pluginmanager.register(Activation(config), "handshake-activation")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Name the successor of a former marker that ``--strict-markers`` refuses."""
    report = yield
    hint = former_names.hint(report.longreprtext) if report.failed else ""
    if hint:
        report.sections.append((f"markers of {collector.nodeid}", hint))
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test that runs with several seeds, or mutated."""
    if metafunc.config.option.handshake_seeds or metafunc.config.option.handshake_mutate:
        from handshake_lab.pytest_plugin.options import variants

        variants.generate(metafunc)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--handshake-mutate``, deselect tests that do not use ``net``."""
    if command_line.INSIDE in os.environ or not config.option.handshake_mutate:
        return
    others = [item for item in items if not needs_kernel(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if needs_kernel(item)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse options that do not work, and build the kernel, before the first test runs."""
    if command_line.INSIDE in os.environ or session.config.option.collectonly:
        return
    if any(map(needs_kernel, session.items)):
        _controller(session.config).prepare()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object | None:
    """Run a test that uses ``net`` in a separate kernel; other tests run as usual."""
    if command_line.INSIDE in os.environ or not needs_kernel(item):
        return None
    controller = _controller(item.config)
    option = item.config.option
    if (option.handshake_explore, option.handshake_replay) != (None, None) and isinstance(item, pytest.Function):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        report, interrupted = controller.explore(item)
        item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if interrupted:
            raise KeyboardInterrupt
        return True
    if reruns.protocol(item, nextitem, lambda: [*controller.run(item), *controller.tear_down(item, nextitem)]):
        return True
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in controller.run(item):
        item.ihook.pytest_runtest_logreport(report=report)
    for report in controller.tear_down(item, nextitem):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _controller(config: pytest.Config) -> Controller:
    """The session's controller; imported when the first test needs it."""
    from handshake_lab.pytest_plugin.dispatch.controller import Controller

    if _CONTROLLER not in config.stash:
        config.stash[_CONTROLLER] = Controller(config)
    return config.stash[_CONTROLLER]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> pytest.TestReport | None:
    """The report of a phase that ran in a kernel."""
    return reruns.report_of(call)
