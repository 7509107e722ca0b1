"""Helpers for tests that send SIGINT."""

from __future__ import annotations

import signal


def hear() -> None:
    """As a child's ``preexec_fn``: restore SIGINT, which background jobs of a shell inherit as ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
