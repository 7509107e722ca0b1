"""Every sentence about the claims, in every language: ``en.toml`` and ``ko.toml`` beside this file."""

from __future__ import annotations

import string
import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from handshake_lab.checkout.claims.claim import ClaimFinding, ClaimOutcome

#: The languages there are, by their BCP 47 names.
LANGUAGES = ("en", "ko")


@cache
def table(lang: str) -> dict[str, dict[str, str]]:
    """The sentences of one language, by their keys: ``table("en")["C1"]["claim"]``.

    Raises:
        UsageError: There is no such language.
    """
    if lang not in LANGUAGES:
        raise UsageError("--lang", lang, f"is not one of {', '.join(LANGUAGES)}", "--lang ko")
    return tomllib.loads((files(__package__) / f"{lang}.toml").read_text("utf-8"))


def fields(template: str) -> set[str]:
    """The names of the figures that a sentence leaves room for."""
    return {name.partition("[")[0] for _, name, _, _ in string.Formatter().parse(template) if name}


def evidence(finding: ClaimFinding, lang: str) -> str:
    """What was measured, in one line.

    Raises:
        KeyError: A figure is missing.
    """
    return table(lang)[finding.id]["evidence"].format(**finding.figures)


def proof(outcome: ClaimOutcome, lang: str) -> str:
    """What speaks for an outcome's verdict, in one line: what was measured, or why the check failed."""
    return evidence(outcome.finding, lang) if outcome.finding else outcome.failure


def answer(question: str, figures: dict[str, dict[str, Any]], lang: str) -> str:
    """The answer to one of the notes' questions, with what was measured for the claims it rests on.

    Args:
        question: ``Q1`` and so on.
        figures: Each claim's figures, by its id.
        lang: One of `LANGUAGES`.
    """
    return table(lang)[question]["answer"].format(**figures)
