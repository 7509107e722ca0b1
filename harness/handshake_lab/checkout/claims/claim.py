"""What the check of one claim comes to, as a value."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

#: The claims in the order of the notes, by the chapter they are in.
CHAPTERS: dict[str, tuple[str, ...]] = {
    "opening": tuple(f"C{number}" for number in range(1, 12)),
    "closing": tuple(f"C{number}" for number in range(12, 22)),
    "header": tuple(f"C{number}" for number in range(22, 27)),
    "udp": ("C27",),
}
CLAIMS: tuple[str, ...] = sum(CHAPTERS.values(), ())
QUESTIONS = ("Q1", "Q2", "Q3")

#: The property under which a test hands its finding on, as JSON.
PROPERTY = "handshake_claim"


class ClaimVerdict(StrEnum):
    """How a claim fares."""

    HOLDS = "holds"
    NUANCE = "holds with a nuance"
    FAILS = "does not hold here"
    #: The check broke before it could say anything, as where a kernel crashed.
    UNKNOWN = "could not be measured"


class ClaimFinding(msgspec.Struct, frozen=True):
    """What was found about a claim: its verdict and the figures that were measured.

    ``figures`` are put into the claim's evidence, a sentence of `handshake_lab.checkout.claims.claim_texts`.
    """

    id: str
    verdict: ClaimVerdict
    figures: dict[str, Any]


class ClaimOutcome(msgspec.Struct, frozen=True):
    """What came of a claim's check.

    ``finding`` is what its test found; None where the test failed, and ``failure`` then
    says why, in pytest's words.
    """

    id: str
    finding: ClaimFinding | None
    failure: str = ""

    @property
    def verdict(self) -> ClaimVerdict:
        """The verdict: a test whose assertion failed has found the kernel not to do what the project expects."""
        if self.finding is not None:
            return self.finding.verdict
        disproved = self.failure.startswith(("AssertionError", "assert ", "Failed: DID NOT RAISE"))
        return ClaimVerdict.FAILS if disproved else ClaimVerdict.UNKNOWN

    @property
    def as_expected(self) -> bool:
        """Whether the claim came out as the project expects: its test passed."""
        return self.finding is not None
