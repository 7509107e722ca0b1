"""For tests that press Ctrl-C."""

from __future__ import annotations

import signal


def hear() -> None:
    """As a child's ``preexec_fn``: have it hear SIGINT, which background jobs of a shell inherit as ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
