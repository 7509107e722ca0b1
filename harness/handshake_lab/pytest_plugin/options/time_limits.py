"""Limits of wall time, and slow tests on kernels that run in real time.

On the lab kernel no test is skipped: its time is virtual, and it supports all features.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from handshake_lab.recording.observations import KernelInfo

#: Seconds of a kernel's time from which a test counts as slow.
SLOW = 10.0

#: Seconds of wall time after which a test's kernel is killed: by default, and with ``--handshake-slow``.
WALL_LIMIT, SLOW_WALL_LIMIT = 60.0, 1200.0


def wall_limit(config: pytest.Config) -> float:
    """Seconds of wall time that a test may take."""
    given: float | None = config.option.handshake_wall_limit
    if given is not None:
        return given
    return SLOW_WALL_LIMIT if config.option.handshake_slow else WALL_LIMIT


def too_slow(item: pytest.Item, kernel: KernelInfo) -> str:
    """Why a test with the marker ``handshake_slow`` is skipped on this kernel; "" if it is not skipped."""
    if not kernel.real_time or item.config.option.handshake_slow or item.get_closest_marker("handshake_slow") is None:
        return ""
    return (
        f"takes more than {SLOW:g} s of real time: run it with --handshake-slow, or in virtual time with "
        "--handshake-kernel=lab"
    )


def skipped(item: pytest.Item, reason: str) -> pytest.TestReport:
    """The report of a test that was not run."""
    path, line, _ = item.location
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome="skipped",
        longrepr=(os.path.abspath(path), (line or 0) + 1, f"Skipped: {reason}"),  # noqa: PTH100  pytest wants a str
        when="setup",
    )
