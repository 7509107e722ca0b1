"""The blocks of code on a page of the documentation."""

from __future__ import annotations

import re
from typing import NamedTuple


class Block(NamedTuple):
    """One block: its language, the file that it is the content of ("" for none), and its text."""

    language: str
    title: str
    text: str


def blocks(page: str) -> list[Block]:
    """All of them, in order."""
    found = re.findall(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [Block(*each) for each in found]


def is_session(page: str) -> bool:
    """Whether its commands belong together: it shows files that they use, or what they print."""
    return any(block.title or block.language == "console" for block in blocks(page))
