"""The document of ``handshake claims --json``."""

from __future__ import annotations

import msgspec

from handshake_lab.report.export.json_document import Document, KernelDocument, Statement


class ClaimDocument(msgspec.Struct, frozen=True):
    """A claim of the course notes, measured.

    The codes of ``verdict`` are "holds", "nuance", "fails" and "unknown". ``evidence`` states what was measured,
    ``nuance`` in which cases the claim is not exact ("" if it is exact). ``as_expected``: whether the verdict is the
    one that this project expects.
    """

    id: str
    claim: str
    verdict: Statement
    evidence: str
    nuance: str
    as_expected: bool


class QuestionDocument(msgspec.Struct, frozen=True):
    """A question of the course notes, answered with what was measured."""

    id: str
    question: str
    answer: str


class ClaimsDocument(Document, frozen=True, tag="claims"):
    """The claims that were measured, and the questions that they answer."""

    kernel: KernelDocument
    claims: list[ClaimDocument]
    questions: list[QuestionDocument]
