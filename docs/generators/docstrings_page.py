"""The page of all public names with their docstrings, in the groups of the page of names."""

from __future__ import annotations

import re
from pathlib import Path

import handshake_lab

NAMES = Path(__file__).resolve().parents[1] / "reference" / "python.md"


def sections() -> str:
    """Their sections, for the plugin mkdocstrings, which reads the source."""
    text = ""
    for heading, rows in _groups():
        text += f"## {heading}\n\n"
        for name in rows:
            text += f"::: {_defined(name)}\n    options:\n      heading: {name}\n      toc_label: {name}\n\n"
    return text


def _groups() -> list[tuple[str, list[str]]]:
    """The headings of the page of names, with the names below each."""
    sections = re.split(r"^## ", NAMES.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return [
        (section.partition("\n")[0], re.findall(r"^\| `(\w+)` \| \S", section, re.MULTILINE)) for section in sections
    ]


def _defined(name: str) -> str:
    """Where a name is defined: `handshake_lab` itself only passes it on."""
    found = getattr(handshake_lab, name)
    if not hasattr(found, "__qualname__"):
        return "handshake_lab.recording.observations.Observation"
    return f"{found.__module__}.{found.__qualname__}"
