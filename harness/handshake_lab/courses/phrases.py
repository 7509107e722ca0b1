"""What the course verbs say to students and instructors: one TOML file for each language, with the same keys."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from handshake_lab.report.text.translations import LANGUAGES, flat

if TYPE_CHECKING:
    from handshake_lab.courses.judging import Judgement


@cache
def table(lang: str) -> dict[str, str]:
    """All texts of a language, by their keys; English where there is no such language."""
    name = lang if lang in LANGUAGES else "en"
    found = tomllib.loads((files(__package__) / f"phrases_{name}.toml").read_text("utf-8"))
    return flat(found)


def phrase(lang: str, key: str, **values: object) -> str:
    """A text, with ``{name}`` replaced by the value of that name."""
    text = table(lang)[key]
    return text.format(**values) if values else text


def feedback(lang: str, judgement: Judgement) -> str:
    """What is said about an answer."""
    return phrase(lang, f"feedback.{judgement.code}", **judgement.values)
