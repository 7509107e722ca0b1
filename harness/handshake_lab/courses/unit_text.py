"""The text of a unit in one language: a title, an introduction, and a section for each question. Pure.

# The three-way handshake
What is to be read first.

## third-segment
The text of the question.

- yes: the text of an option
- no: another one

> A hint, shown only on request.
"""

from __future__ import annotations

import re
from typing import Self

import msgspec

from handshake_lab.errors import UsageError

_OPTION = re.compile(r"- (?P<name>[a-z0-9-]+): (?P<text>.+)")


class Section(msgspec.Struct, frozen=True):
    """The text of a question, its options by name, and its hint."""

    text: str
    options: dict[str, str]
    hint: str


class UnitText(msgspec.Struct, frozen=True):
    """The whole text in one language."""

    title: str
    introduction: str
    sections: dict[str, Section]

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Read the text.

        Args:
            text: Markdown.
            name: The name of its file, for messages.

        Raises:
            UsageError: It does not begin with a title.
        """
        head, *parts = re.split(r"^## +", text, flags=re.MULTILINE)
        title, _, introduction = head.strip().partition("\n")
        if not title.startswith("# "):
            raise UsageError(name, title, "is not a title", "# The three-way handshake")
        sections: dict[str, Section] = {}
        for part in parts:
            heading, _, body = part.partition("\n")
            sections[heading.strip()] = _section(body)
        return cls(title.removeprefix("# ").strip(), introduction.strip(), sections)


def _section(body: str) -> Section:
    lines: list[str] = []
    hint: list[str] = []
    options: dict[str, str] = {}
    for line in body.splitlines():
        if line.startswith(">"):
            hint.append(line.removeprefix(">").strip())
        elif found := _OPTION.fullmatch(line.strip()):
            options[found["name"]] = found["text"]
        elif options and line.startswith("  ") and line.strip():  # an option's second line
            options[list(options)[-1]] += " " + line.strip()
        else:
            lines.append(line)
    return Section("\n".join(lines).strip(), options, " ".join(hint))
