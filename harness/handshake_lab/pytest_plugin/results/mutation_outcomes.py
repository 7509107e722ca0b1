"""The outcome of a mutated test, from the outcomes of its phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.pytest_plugin.options import variants
from handshake_lab.pytest_plugin.options.report_properties import MUTATION_CHANGES, MUTATION_RESULT, RAISED
from handshake_lab.pytest_plugin.results.pytest_reports import of_the_call, skip

if TYPE_CHECKING:
    import pytest

#: Exceptions with which a test detects the mutation; any other exception is a failure of the harness.
_BY_ITSELF = frozenset({"AssertionError", "Failed", "OSError", "LookupError", "NotAsDocumented"})


def invert(item: pytest.Item, reports: list[pytest.TestReport]) -> None:
    """Invert the outcome of a mutated test: it passes if it failed."""
    mutation = variants.of(item).mutation
    if not mutation:
        return
    failed = next((report for report in reports if report.failed), None)
    main = of_the_call(reports)
    change = variants.MUTATIONS[mutation]
    if failed is not None:
        raised = getattr(failed, RAISED, ())
        if _BY_ITSELF & set(raised):
            result = "caught"
            for report in reports:
                report.outcome, report.longrepr, report.sections = "passed", None, []
        else:
            result = "crashed"
            failed.sections.append(("mutation", f"{change}; the test should have failed by its own assertions"))
    elif main.skipped:
        result = "skipped"
    elif not any(value for report in reports for name, value in report.user_properties if name == MUTATION_CHANGES):
        result = "nothing"
        skip(item, main, f"there is nothing to break ({mutation}: {change})")
    elif mutation == "cause":
        result = "survived"
        main.outcome = "failed"
        main.longrepr = f"this test cannot fail: it passes although {change}"
    else:
        result = "unnoticed"
        skip(item, main, f"the test does not detect it ({mutation}: {change})")
    reports[-1].user_properties.append((MUTATION_RESULT, result))
