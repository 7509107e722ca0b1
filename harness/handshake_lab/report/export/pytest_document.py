"""The document of a pytest session: ``pytest --handshake-json FILE``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from handshake_lab.report.export.json_document import Document
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

TestOutcome = Literal["passed", "failed", "skipped"]
_WORST: dict[str, int] = {"passed": 0, "skipped": 1, "failed": 2}


class PytestResult(msgspec.Struct):
    """The outcome of one test.

    ``mutation`` is the result of a mutated test:
    "caught" (it failed), "survived" (it passed without its faults), "unnoticed" (it passed with a false record),
    "nothing" (it has nothing to break), "crashed" or "skipped". ``span_seconds`` is the time from its first transition
    or segment to its last. ``edges`` are ids of ``handshake edges``; ``replay`` is the command that repeats this run.
    """

    name: str
    test: str
    outcome: TestOutcome = "passed"
    mutation: str | None = None
    tcp_seconds: float = 0.0
    wall_seconds: float = 0.0
    segments: int = 0
    span_seconds: float = 0.0
    edges: list[str] = msgspec.field(default_factory=list)
    replay: str = ""


class EdgeTaken(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """An edge of the state diagram, and the tests that took it.

    ``edge`` is its id in ``handshake edges``; ``absent`` is the reason why Linux does not have it, "" if it does.
    ``witnesses`` are the observers that reported it in any of the ``tests``.
    """

    edge: str
    from_: State
    to: State
    event: str
    in_linux: bool
    absent: str
    taken: bool
    tests: list[str]
    witnesses: list[str]


class PytestSession(Document, frozen=True, tag="tests"):
    """The outcome of a pytest session.

    ``tcp_seconds`` is the time that passed on the clocks of the tested kernels, ``wall_seconds`` that of the session.
    ``edges_covered`` counts the edges of the state diagram that tests took, of the ``edges_total`` that Linux has.
    """

    passed: int
    failed: int
    skipped: int
    edges_covered: int
    edges_total: int
    tcp_seconds: float
    wall_seconds: float
    tests: list[PytestResult]
    edges: list[EdgeTaken]


def worst(outcomes: Sequence[TestOutcome]) -> TestOutcome:
    """The outcome of several tests together."""
    return max(outcomes, key=_WORST.__getitem__)
