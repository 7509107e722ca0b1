"""What a session of pytest wrote down, and what it means for scenarios."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.checkout.scenarios.catalogue import Scenario

Word = Literal["passed", "failed", "skipped"]
_WORST: dict[str, int] = {"passed": 0, "skipped": 1, "failed": 2}

#: The part of a test's id that says how it was broken.
_BROKEN = re.compile(r"(?<=[\[-])broken-([a-z]+)")


class PytestResult(msgspec.Struct):
    """What one test came to. Its times are seconds; ``edges`` are ids of the diagram."""

    name: str
    test: str
    outcome: Word = "passed"
    mutant: str | None = None  #: what it came to where it was broken on purpose
    tcp_seconds: float = 0.0
    wall_seconds: float = 0.0
    segments: int = 0
    span_seconds: float = 0.0  #: from its first transition or segment to its last
    edges: list[str] = msgspec.field(default_factory=list)
    again: str = ""  #: the command that gives this very run again


class PytestSession(msgspec.Struct):
    """What ``--handshake-json`` writes."""

    passed: int
    failed: int
    skipped: int
    edges_covered: int
    edges_total: int
    tcp_seconds: float
    wall_seconds: float
    tests: list[PytestResult]
    edges: list[dict[str, Any]]


class ScenarioOutcome(msgspec.Struct, frozen=True):
    """What a scenario came to: all its tests together."""

    name: str
    number: int | None
    outcome: Word
    tcp_seconds: float
    wall_seconds: float
    edges: list[str]


class Proof(msgspec.Struct, frozen=True):
    """Whether a scenario can fail, and what makes it."""

    name: str
    number: int | None
    can_fail: bool
    told: str


def worst(outcomes: Sequence[Word]) -> Word:
    """The outcome of several tests together."""
    return max(outcomes, key=_WORST.__getitem__)


def by_scenario(session: PytestSession, wanted: Sequence[Scenario]) -> list[ScenarioOutcome]:
    """What each scenario came to; one whose tests never ran failed."""
    found = []
    for scenario in wanted:
        tests = tests_of(session, scenario)
        found.append(
            ScenarioOutcome(
                name=scenario.name,
                number=scenario.number,
                outcome=worst([each.outcome for each in tests]) if tests else "failed",
                tcp_seconds=sum(each.tcp_seconds for each in tests),
                wall_seconds=sum(each.wall_seconds for each in tests),
                edges=sorted({edge for each in tests for edge in each.edges}),
            )
        )
    return found


def proofs(session: PytestSession, wanted: Sequence[Scenario]) -> list[Proof]:
    """Whether each scenario fails where it is broken.

    Its faults and settings must be what makes it pass, where it has any; else a false record must fail it.
    """
    return [_proof(scenario, tests_of(session, scenario)) for scenario in wanted]


def tests_of(session: PytestSession, scenario: Scenario) -> list[PytestResult]:
    """What the tests of a scenario came to."""
    return [each for each in session.tests if each.test.partition("[")[0] in (scenario.test, scenario.under_loss)]


def _proof(scenario: Scenario, tests: Sequence[PytestResult]) -> Proof:
    by_test: dict[str, dict[str, str]] = {}
    for each in tests:
        match = _BROKEN.search(each.test)
        if match:
            whole = each.test[: match.start()] + each.test[match.end() :]
            by_test.setdefault(whole, {})[match[1]] = each.mutant or "never ran"
    told = [_verdict(mutants) for mutants in by_test.values()]
    bad = next((text for fails, text in told if not fails), "")
    return Proof(scenario.name, scenario.number, bool(told) and not bad, bad or (told[0][1] if told else "never ran"))


def _verdict(mutants: dict[str, str]) -> tuple[bool, str]:
    """Whether one test can fail, by what breaking it came to."""
    caught = [kind for kind, came_to in mutants.items() if came_to == "caught"]
    crashed = [kind for kind, came_to in mutants.items() if came_to in ("crashed", "never ran")]
    if crashed:
        return False, f"broke the harness, not the test: {', '.join(crashed)}"
    if mutants.get("cause") == "survived":
        return False, "passes without its faults and settings"
    if not caught:
        return False, "passes whatever the record says"
    return True, f"fails without: {', '.join(caught)}"
