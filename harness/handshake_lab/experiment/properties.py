"""Properties that a test states about its program: always, sometimes, eventually.

    >>> always(2 + 2 == 4, "arithmetic works")

They can be used in any test with the fixture ``net``. An exploration (docs/how-to/explore.md) also reports a
"sometimes" that was true in none of its runs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import WaitTimedOut
from handshake_lab.kernel.shared import job_runner
from handshake_lab.plan import units

if TYPE_CHECKING:
    from collections.abc import Callable

#: Beside a run's record: one `Sometimes` a line.
SOMETIMES = "sometimes.jsonl"
#: Seconds of the kernel's time between two evaluations of a condition: nothing announces that it has become true.
_INTERVAL = 0.01


class Sometimes(msgspec.Struct, frozen=True):
    """A "sometimes" that was evaluated.

    Attributes:
        what: What is to be true sometimes.
        held: Whether it was.
    """

    what: str
    held: bool


def always(condition: object, what: str) -> None:
    """State that something is true whenever the program comes here.

    Args:
        condition: Its truth value.
        what: What is true, for the message.

    Raises:
        AssertionError: It is not.
    """
    if not condition:
        raise AssertionError(f"not always: {what}")


def sometimes(condition: object, what: str) -> None:
    """State that something is true in at least one run of an exploration: a path was taken that must be tested.

    Args:
        condition: Its truth value.
        what: What is true: its name among all runs.
    """
    results = job_runner.current.get("results")
    if results:
        with Path(results, SOMETIMES).open("ab") as file:
            file.write(msgspec.json.encode(Sometimes(what, bool(condition))) + b"\n")


def eventually(condition: Callable[[], object], what: str, *, within: str = "60s") -> None:
    """Wait until something is true.

    Args:
        condition: Is called until it returns a true value.
        what: What is to become true, for the message.
        within: A duration of the kernel's time, with its unit.

    Raises:
        WaitTimedOut: It was not true in that time.
        UsageError: ``within`` is not a duration.
    """
    limit = units.duration("within", within, "within='60s'")
    end = time.monotonic_ns() + limit
    while not condition():
        if time.monotonic_ns() > end:
            raise WaitTimedOut(f"eventually: {what}", limit / 1e9, [])
        time.sleep(_INTERVAL)
