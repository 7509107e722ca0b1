"""Helpers for tests that wait for another thread, process or kernel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds of real time: far more than a busy machine needs.
LIMIT = 60.0
#: Seconds between two polls.
_PAUSE = 0.01


def comes_true(condition: Callable[[], bool], limit: float = LIMIT) -> bool:
    """Wait until a condition holds; return whether it did within the limit."""
    ends = time.monotonic() + limit
    while not condition():
        if time.monotonic() >= ends:
            return False
        time.sleep(_PAUSE)
    return True
