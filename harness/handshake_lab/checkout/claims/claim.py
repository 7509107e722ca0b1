"""The result of one claim's test, as a value."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

#: The claims in the order of the notes, by chapter.
CHAPTERS: dict[str, tuple[str, ...]] = {
    "opening": tuple(f"C{number}" for number in range(1, 12)),
    "closing": tuple(f"C{number}" for number in range(12, 22)),
    "header": tuple(f"C{number}" for number in range(22, 27)),
    "udp": ("C27",),
}
CLAIMS: tuple[str, ...] = sum(CHAPTERS.values(), ())
QUESTIONS = ("Q1", "Q2", "Q3")

#: The property of a test's report with its finding, as JSON.
PROPERTY = "handshake_claim_finding"


class ClaimVerdict(StrEnum):
    """Whether a claim holds."""

    HOLDS = "holds"
    NUANCE = "holds with a nuance"
    FAILS = "does not hold here"
    #: The test failed without a result, for example because a kernel crashed.
    UNKNOWN = "could not be measured"


class ClaimFinding(msgspec.Struct, frozen=True):
    """The verdict on a claim, and the figures that were measured.

    ``figures`` are inserted into the claim's evidence, a sentence of `handshake_lab.checkout.claims.claim_texts`.
    """

    id: str
    verdict: ClaimVerdict
    figures: dict[str, Any]


class ClaimOutcome(msgspec.Struct, frozen=True):
    """The outcome of a claim's test.

    ``finding`` is None if the test failed; ``failure`` is then pytest's message.
    """

    id: str
    finding: ClaimFinding | None
    failure: str = ""

    @property
    def verdict(self) -> ClaimVerdict:
        """The verdict; if an assertion of the test failed, the claim does not hold as the project expects."""
        if self.finding is not None:
            return self.finding.verdict
        disproved = self.failure.startswith(("AssertionError", "assert ", "Failed: DID NOT RAISE"))
        return ClaimVerdict.FAILS if disproved else ClaimVerdict.UNKNOWN

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the one that the project expects: the test passed."""
        return self.finding is not None
