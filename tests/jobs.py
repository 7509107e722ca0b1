"""Kernel jobs that are defined in the tests, and how a kernel finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handshake_lab.kernel.shared.job import Job

#: The repository: `tests` is imported from there, also inside a kernel.
REPOSITORY = Path(__file__).resolve().parents[1]


def job_from_tests(call: str, argument: Any = None, **settings: Any) -> Job:
    """A job whose function is in a module below ``tests``."""
    return Job(call=call, argument=argument, import_from=(REPOSITORY,), **settings)
