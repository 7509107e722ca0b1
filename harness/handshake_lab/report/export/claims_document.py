"""The document of ``handshake claims --json``."""

from __future__ import annotations

import msgspec

from handshake_lab.report.export.json_document import Document, KernelDocument, Statement


class ClaimDocument(msgspec.Struct, frozen=True):
    """A claim of the course notes, measured.

    The codes of ``verdict`` are "holds", "nuance", "fails" and "unknown". ``evidence`` says what was measured,
    ``nuance`` where the claim is not exact ("" where it is). ``as_expected``: the claim came out as this project
    expects.
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
