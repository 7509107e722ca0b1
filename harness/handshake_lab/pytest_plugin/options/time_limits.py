"""Tests on kernels whose time is real: what takes too long is left out, and what a machine cannot do is skipped.

On the lab kernel nothing of this happens: its time is virtual, and it can do everything.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from handshake_lab.recording.observations import KernelInfo

#: Seconds of a kernel's time from which a test counts as slow.
SLOW = 10.0

#: Seconds of wall time that tests may take: on a lab kernel before it is taken to spin, and with ``--slow``.
WALL_LIMIT, SLOW_WALL_LIMIT = 60.0, 1200.0


def wall_limit(config: pytest.Config) -> float:
    """How long a test may take here: as the command line says, or as its tests need."""
    given: float | None = config.option.wall_limit
    if given is not None:
        return given
    return SLOW_WALL_LIMIT if config.option.slow else WALL_LIMIT


def too_slow(item: pytest.Item, kernel: KernelInfo) -> str:
    """Why a test is not run, if it is marked ``slow`` and nobody asked for those; "" if it is."""
    if not kernel.real_time or item.config.option.slow or item.get_closest_marker("slow") is None:
        return ""
    return f"takes more than {SLOW:g} s of real time: run it with --slow, or with --kernel lab, whose time is virtual"


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
