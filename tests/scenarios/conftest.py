"""Checks of all scenarios: one that takes long must be marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.pytest_plugin.options.report_properties import AGAIN, TCP_SECONDS
from handshake_lab.pytest_plugin.options.time_limits import SLOW

if TYPE_CHECKING:
    from typing import Any


def is_real(again: str) -> bool:
    """Whether a run, according to its command, used real time."""
    return any(f"--handshake-kernel {kind}" in again for kind in ("host", "vm"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Fail a test that took long and is not marked ``handshake_slow``: on a real kernel it would delay the session.

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
