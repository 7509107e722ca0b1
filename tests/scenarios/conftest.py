"""Checks of all scenarios: one that takes long must be marked, and its record must explain everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.pytest_plugin.options.report_properties import AGAIN, TCP_SECONDS, UNEXPLAINED
from handshake_lab.pytest_plugin.options.time_limits import SLOW

if TYPE_CHECKING:
    from typing import Any


#: Scenarios whose subject is what the kernel does other than RFC 9293, and what is said about it.
OBJECTED = {
    "test_data_after_close": "the kernel reset the connection itself",
}


def is_real(again: str) -> bool:
    """Whether a run, according to its command, used real time."""
    return any(f"--handshake-kernel {kind}" in again for kind in ("host", "vm"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Fail a test that took long and is not marked ``handshake_slow``, or whose record holds what is not explained.

    On a real kernel, a long test would delay the session.

    Only the lab kernels' time is checked, which does not depend on how busy the machine is. A mutated test may wait
    for an event that never occurs, so it is not checked.
    """
    if "[broken-" in report.nodeid:
        return
    properties: dict[str, Any] = dict(report.user_properties)
    seconds = properties.get(TCP_SECONDS, 0.0)
    if report.passed and seconds > SLOW and "handshake_slow" not in report.keywords and not is_real(properties[AGAIN]):
        report.outcome = "failed"
        report.longrepr = f"took {seconds:.0f} s of the kernel's time: mark it with @pytest.mark.handshake_slow"
    named = report.nodeid.partition("::")[2].partition("[")[0]
    expected = [text for name, text in OBJECTED.items() if named.startswith(name)]
    found = [each for each in properties.get(UNEXPLAINED, ()) if not any(text in each for text in expected)]
    if report.passed and found and not is_real(properties[AGAIN]):
        report.outcome = "failed"
        report.longrepr = "the record does not explain: " + "; ".join(found)
