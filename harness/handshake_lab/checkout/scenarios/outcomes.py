"""Results of scenarios, from the document that a pytest session writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from handshake_lab.recording.observations import FORMAT_VERSION
from handshake_lab.report.export.pytest_document import PytestResult, PytestSession, worst
from handshake_lab.report.export.scenario_documents import MutationResult, ScenarioResult, ScenarioResultsDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.checkout.scenarios.catalogue import Scenario

#: The part of a test's id that names its mutation.
_BROKEN = re.compile(r"(?<=[\[-])broken-([a-z]+)")


def by_scenario(session: PytestSession, wanted: Sequence[Scenario]) -> list[ScenarioResult]:
    """The result of each scenario; one whose tests did not run failed."""
    found = []
    for scenario in wanted:
        tests = tests_of(session, scenario)
        found.append(
            ScenarioResult(
                name=scenario.name,
                number=scenario.number,
                outcome=worst([each.outcome for each in tests]) if tests else "failed",
                tcp_seconds=sum(each.tcp_seconds for each in tests),
                wall_seconds=sum(each.wall_seconds for each in tests),
                edges=sorted({edge for each in tests for edge in each.edges}),
            )
        )
    return found


def proofs(session: PytestSession, wanted: Sequence[Scenario]) -> list[MutationResult]:
    """Whether each scenario fails when it is mutated.

    A scenario with faults or settings must fail without them; a scenario without any must fail with a false record.
    """
    return [_proof(scenario, tests_of(session, scenario)) for scenario in wanted]


def tests_of(session: PytestSession, scenario: Scenario) -> list[PytestResult]:
    """The results of the tests of a scenario."""
    return [each for each in session.tests if each.test.partition("[")[0] in (scenario.test, scenario.under_loss)]


def _proof(scenario: Scenario, tests: Sequence[PytestResult]) -> MutationResult:
    by_test: dict[str, dict[str, str]] = {}
    for each in tests:
        match = _BROKEN.search(each.test)
        if match:
            whole = each.test[: match.start()] + each.test[match.end() :]
            by_test.setdefault(whole, {})[match[1]] = each.mutation or "did not run"
    found = [_verdict(mutations) for mutations in by_test.values()]
    bad = next((reason for fails, reason in found if not fails), "")
    reason = bad or (found[0][1] if found else "did not run")
    return MutationResult(scenario.name, scenario.number, bool(found) and not bad, reason)


def _verdict(mutations: dict[str, str]) -> tuple[bool, str]:
    """Whether a test can fail, by the results of its mutations, with the reason."""
    caught = [kind for kind, result in mutations.items() if result == "caught"]
    crashed = [kind for kind, result in mutations.items() if result in ("crashed", "did not run")]
    if crashed:
        return False, f"the mutation crashed the harness: {', '.join(crashed)}"
    if mutations.get("cause") == "survived":
        return False, "passes without its faults and settings"
    if not caught:
        return False, "passes with any false record"
    return True, f"fails without: {', '.join(caught)}"


def results_document(session: PytestSession, found: Sequence[ScenarioResult]) -> ScenarioResultsDocument:
    """The document of ``handshake scenarios run --json``."""
    outcomes = [each.outcome for each in found]
    return ScenarioResultsDocument(
        version=FORMAT_VERSION,
        passed=outcomes.count("passed"),
        failed=outcomes.count("failed"),
        skipped=outcomes.count("skipped"),
        edges_covered=session.edges_covered,
        edges_total=session.edges_total,
        tcp_seconds=session.tcp_seconds,
        wall_seconds=session.wall_seconds,
        scenarios=list(found),
        edges=session.edges,
    )
