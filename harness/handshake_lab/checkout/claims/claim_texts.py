"""Every sentence about the claims, in every language: ``en.toml`` and ``ko.toml`` beside this file."""

from __future__ import annotations

import string
import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from handshake_lab.errors import UsageError
from handshake_lab.verdict.expected_states import Claim

if TYPE_CHECKING:
    from handshake_lab.checkout.claims.claim import ClaimFinding, ClaimOutcome

#: The available languages, by their BCP 47 names.
LANGUAGES = ("en", "ko")


@cache
def table(lang: str) -> dict[str, dict[str, str]]:
    """The sentences of one language, by their keys: ``table("en")["C1"]["claim"]``.

    Raises:
        UsageError: The language is not available.
    """
    if lang not in LANGUAGES:
        raise UsageError("--lang", lang, f"is not one of {', '.join(LANGUAGES)}", "--lang ko")
    return tomllib.loads((files(__package__) / f"{lang}.toml").read_text("utf-8"))


def fields(template: str) -> set[str]:
    """The names of the figures that a sentence contains."""
    return {name.partition("[")[0] for _, name, _, _ in string.Formatter().parse(template) if name}


def evidence(finding: ClaimFinding, lang: str) -> str:
    """The evidence, in one line: what was measured.

    Raises:
        KeyError: A figure is missing.
    """
    return table(lang)[finding.id]["evidence"].format(**finding.figures)


def proof(outcome: ClaimOutcome, lang: str) -> str:
    """The evidence for an outcome's verdict, in one line, or the message of the failure."""
    return evidence(outcome.finding, lang) if outcome.finding else outcome.failure


def claim_shown(finding: ClaimFinding, lang: str) -> Claim:
    """A claim for the index of a session's records."""
    words: dict[str, Literal["holds", "nuance", "fails"]] = {"HOLDS": "holds", "NUANCE": "nuance", "FAILS": "fails"}
    text = str(table(lang)[finding.id]["claim"])
    return Claim(finding.id, text, words.get(finding.verdict.name, "open"), evidence(finding, lang))


def answer(question: str, figures: dict[str, dict[str, Any]], lang: str) -> str:
    """The answer to one of the notes' questions, with figures of the claims that it is based on.

    Args:
        question: ``Q1`` and so on.
        figures: Each claim's figures, by its id.
        lang: One of `LANGUAGES`.
    """
    return table(lang)[question]["answer"].format(**figures)
