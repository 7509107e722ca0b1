"""The index that a session with --handshake-artifacts leaves beside its runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest
from handshake_lab.checkout.claims.claim import ClaimFinding, ClaimVerdict
from handshake_lab.checkout.claims.claim_texts import claim_shown, table
from handshake_lab.pytest_plugin.options.report_properties import AGAIN, CLAIM, EDGES, RUN
from handshake_lab.pytest_plugin.results.index_page import IndexPage
from handshake_lab.verdict.expected_states import Claim

if TYPE_CHECKING:
    from pathlib import Path

_KEPT = {"directory": "t[1]", "summary": "as documented", "connections": 2, "lost": 3, "length": 1_500_000_000}


def _report(
    test: str,
    outcome: Literal["passed", "failed", "skipped"],
    when: Literal["setup", "call", "teardown"],
    **reported: Any,
) -> pytest.TestReport:
    return pytest.TestReport(test, ("t.py", 1, "t"), {}, outcome, None, when, user_properties=list(reported.items()))


@pytest.fixture
def pages(tmp_path: Path) -> IndexPage:
    """The gatherer of a session whose artifacts are in ``kept``."""
    option = SimpleNamespace(
        handshake_artifacts=str(tmp_path / "kept"), handshake_kernel="lab", handshake_seed=1, handshake_lang="en"
    )
    return IndexPage(SimpleNamespace(option=option))  # type: ignore[arg-type]


def test_each_test_has_a_line_with_its_outcome_and_a_link_to_its_page(pages: IndexPage, tmp_path: Path) -> None:
    """A test that failed in any phase failed; one without a record has no page; one without a kernel no line."""
    pages.pytest_runtest_logreport(_report("t.py::one", "passed", "call"))
    pages.pytest_runtest_logreport(_report("t.py::one", "failed", "teardown", **{AGAIN: "pytest", RUN: _KEPT}))
    pages.pytest_runtest_logreport(_report("t.py::two", "skipped", "setup", **{AGAIN: "pytest"}))
    pages.pytest_runtest_logreport(_report("t.py::else", "passed", "call"))
    pages.pytest_sessionfinish()
    html = (tmp_path / "kept" / "index.html").read_text("utf-8")

    assert '<a href="t%5B1%5D/index.html">t.py::one</a>' in html
    assert "1 failed" in html
    assert "1 skipped" in html
    assert "t.py::two" in html
    assert "t.py::else" not in html


def test_only_the_last_attempt_of_a_test_that_is_run_again_counts(pages: IndexPage, tmp_path: Path) -> None:
    """pytest-rerunfailures numbers the attempts and marks the failure that causes the next one."""
    first, last = (_KEPT | {"summary": text} for text in ("the first attempt", "the last attempt"))
    attempts: list[tuple[Any, Any, dict[str, Any]]] = [
        ("passed", "setup", {}), ("rerun", "call", {}), ("passed", "teardown", {AGAIN: "pytest", RUN: first}),
        ("passed", "setup", {}), ("passed", "call", {}), ("passed", "teardown", {AGAIN: "pytest", RUN: last}),
    ]  # fmt: skip
    for number, (outcome, when, properties) in enumerate(attempts):
        report = _report("t.py::one", outcome, when, **properties)
        vars(report)["rerun"] = number // 3
        pages.pytest_runtest_logreport(report)
    pages.pytest_sessionfinish()
    html = (tmp_path / "kept" / "index.html").read_text("utf-8")

    assert "the last attempt" in html
    assert "the first attempt" not in html


def test_claims_and_edges_of_all_tests_stand_below(pages: IndexPage, tmp_path: Path) -> None:
    """The claims that were measured with their evidence, and how often each edge was taken."""
    for name in ("C10", "C4", "C4"):
        claim = msgspec.json.encode(Claim(name, f"the text of {name}", "holds", "7 ms")).decode()
        reported = {AGAIN: "pytest", RUN: _KEPT, EDGES: [["1", ["diag"]]], CLAIM: claim}
        pages.pytest_runtest_logreport(_report(f"t.py::{name}", "passed", "call", **reported))
    pages.pytest_sessionfinish()
    html = (tmp_path / "kept" / "index.html").read_text("utf-8")

    assert "Claims of the documents, measured" in html
    assert html.index("the text of C4") < html.index("the text of C10")
    assert "7 ms" in html
    assert "1 of " in html


def test_the_index_is_in_the_language_asked_for(pages: IndexPage, tmp_path: Path) -> None:
    """With --handshake-lang=ko: its own words, and the claims with their evidence, as a claim's test reports them."""
    pages._config.option.handshake_lang = "ko"
    found = ClaimFinding("C4", ClaimVerdict.HOLDS, {"server": 7, "ack": 8})
    reported = {AGAIN: "pytest", RUN: _KEPT, CLAIM: msgspec.json.encode(claim_shown(found, "ko")).decode()}
    pages.pytest_runtest_logreport(_report("t.py::one", "passed", "call", **reported))
    pages.pytest_sessionfinish()
    html = (tmp_path / "kept" / "index.html").read_text("utf-8")
    claim = table("ko")["C4"]

    assert '<html lang="ko">' in html
    assert "통과" in html
    assert claim["claim"] in html
    assert claim["evidence"].format(server=7, ack=8) in html


def test_a_session_that_kept_nothing_has_no_index(pages: IndexPage, tmp_path: Path) -> None:
    """No test used a kernel: nothing is made."""
    pages.pytest_sessionfinish()

    assert not (tmp_path / "kept").exists()
