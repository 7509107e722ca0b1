"""The fixture with which every claim's test reports its verdict and the measured figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from handshake_lab.checkout.claims.claim import PROPERTY, ClaimFinding, ClaimVerdict
from handshake_lab.checkout.claims.claim_texts import LANGUAGES, claim_shown, fields, table
from handshake_lab.pytest_plugin.options.report_properties import CLAIM

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator


class Claim:
    """Passes a test's verdict and figures to the report."""

    def __init__(self, name: str, lang: str, record: Callable[[str, object], None]) -> None:
        self.name = name
        self._lang = lang
        self.finding: ClaimFinding | None = None
        self._record = record

    def holds(self, **figures: Any) -> None:
        """The kernel behaves as the notes state."""
        self._found(ClaimVerdict.HOLDS, figures)

    def holds_with_a_nuance(self, **figures: Any) -> None:
        """The kernel behaves as the notes state, under conditions that they omit."""
        self._found(ClaimVerdict.NUANCE, figures)

    def does_not_hold(self, **figures: Any) -> None:
        """The kernel behaves differently."""
        self._found(ClaimVerdict.FAILS, figures)

    def _found(self, verdict: ClaimVerdict, figures: dict[str, Any]) -> None:
        for lang in LANGUAGES:
            assert fields(table(lang)[self.name]["evidence"]) == set(figures), f"the figures of {self.name}, {lang}"
            assert ("nuance" in table(lang)[self.name]) == (verdict is not ClaimVerdict.HOLDS), f"{self.name}, {lang}"
        self.finding = ClaimFinding(self.name, verdict, figures)
        self._record(PROPERTY, msgspec.json.encode(self.finding).decode())
        self._record(CLAIM, msgspec.json.encode(claim_shown(self.finding, self._lang)).decode())


@pytest.fixture
def claim(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Iterator[Claim]:
    """The claim that the marker names; a test without a verdict fails."""
    made = Claim(
        request.node.get_closest_marker("claim").args[0], request.config.option.handshake_lang, record_property
    )
    yield made
    if request.node.stash.get(_PASSED, False):
        assert made.finding is not None, f"the test has no verdict about {made.name}"


_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Store whether the test passed, for the fixture: a failed test needs no verdict."""
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
    return report
