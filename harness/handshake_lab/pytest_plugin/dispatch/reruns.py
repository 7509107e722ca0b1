"""Support for pytest-rerunfailures: a failed test runs again, each time in a new kernel.

pytest-rerunfailures decides whether, how often and when a test runs again; this module replaces the function with which
it runs a test. It expects a call of the hook ``pytest_runtest_makereport`` for each phase of a test. The phases of a
test with ``net`` run in another process; therefore the hook is called here with the reports of that process.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

from handshake_lab.pytest_plugin.options.report_properties import RAISED, RAISED_CLASS

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = "rerunfailures"
_FUNCTION = "runtestprotocol"
#: Attribute of a call: the report that the hook returns for it.
_REPORT = "handshake_report"


def protocol(item: pytest.Item, following: pytest.Item | None, run: Callable[[], list[pytest.TestReport]]) -> bool:
    """Let pytest-rerunfailures run a test, as often as necessary.

    Args:
        item: The test.
        following: The next test of the session.
        run: Runs the test once, in a new kernel.

    Returns:
        Whether it ran the test: it is installed, and reruns are requested for this test.
    """
    plugin: Any = item.config.pluginmanager.getplugin(_NAME)
    if plugin is None or not hasattr(plugin, _FUNCTION):
        return False

    def run_once(*_: Any, **__: Any) -> list[pytest.TestReport]:
        reports = run()
        _announce(plugin, item, reports)
        return reports

    replaced = getattr(plugin, _FUNCTION)
    setattr(plugin, _FUNCTION, run_once)
    try:
        return bool(plugin.pytest_runtest_protocol(item=item, nextitem=following))
    finally:
        setattr(plugin, _FUNCTION, replaced)


def report_of(call: pytest.CallInfo[None]) -> pytest.TestReport | None:
    """The report of a call that this module made; None for a call of pytest's own."""
    found: pytest.TestReport | None = vars(call).get(_REPORT)
    return found


def _announce(plugin: object, item: pytest.Item, reports: list[pytest.TestReport]) -> None:
    """Call the hook of one plugin for each report; the first must be that of the setup."""
    if reports[0].when != "setup":
        setup = pytest.TestReport(item.nodeid, item.location, {}, "passed", None, "setup")
        reports = [setup, *reports]
    manager = item.config.pluginmanager
    own = importlib.import_module("handshake_lab.pytest_plugin.hooks")
    others = [other for other in manager.get_plugins() if other is not plugin and other is not own]
    hook = manager.subset_hook_caller("pytest_runtest_makereport", others)
    for report in reports:
        call = _call(report)
        setattr(call, _REPORT, report)
        hook(item=item, call=call)


def _call(report: pytest.TestReport) -> pytest.CallInfo[None]:
    """A call with the outcome of the report, with an exception of the same name and message."""
    when: Any = report.when

    def end() -> None:
        if report.failed:
            raise _exception(report)

    return pytest.CallInfo.from_call(end, when=when)


def _exception(report: pytest.TestReport) -> BaseException:
    raised: list[str] = getattr(report, RAISED, ["Failed"])
    crash = getattr(report.longrepr, "reprcrash", None)
    message = (crash.message if crash else report.longreprtext).removeprefix(f"{raised[0]}: ")
    members = {"__init__": lambda _: None, "__str__": lambda _: message}
    made: BaseException = type(raised[0], (_class(report),), members)()
    return made


def _class(report: pytest.TestReport) -> type[BaseException]:
    """The class of the exception that failed a test, if this process has it: a rerun may depend on the class."""
    module, name = getattr(report, RAISED_CLASS, ("", ""))
    found = getattr(sys.modules.get(module), name, None)
    # The constructor of a group needs its exceptions, which are not here.
    if isinstance(found, type) and issubclass(found, BaseException) and not issubclass(found, BaseExceptionGroup):
        return found
    return Exception
