"""The README and its Korean translation show the same commands, pictures, code and output."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGLISH = (ROOT / "README.md").read_text("utf-8")
KOREAN = (ROOT / "README.ko.md").read_text("utf-8")


def commands(readme: str) -> list[str]:
    """Every command, in order: the lines of its shell blocks without comments, and what stands in backticks."""
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"`((?:\./)?handshake [^`]*)`", re.sub(r"```.*?```", "", readme, flags=re.DOTALL))


def pictures(readme: str) -> list[str]:
    """Every picture, in order, by its name without a language."""
    return [name.replace(".ko.svg", ".svg") for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme)]


def test_both_have_the_same_commands() -> None:
    """A reader of either can do the same."""
    assert len(commands(ENGLISH)) > 15
    assert commands(KOREAN) == commands(ENGLISH)


def test_both_have_the_same_pictures() -> None:
    """In Korean those with Korean text."""
    assert len(pictures(ENGLISH)) == 3
    assert pictures(KOREAN) == pictures(ENGLISH)


def test_both_show_the_same_output() -> None:
    """The ladder of ``handshake demo --plain``, which another test compares with a golden one."""
    english, korean = (readme.partition("```\nLinux ")[2].partition("```")[0] for readme in (ENGLISH, KOREAN))

    assert english
    assert korean == english


def test_both_have_the_same_examples() -> None:
    """But for their docstrings."""
    english, korean = (
        [re.sub(r'""".*?"""', '""""""', code) for code in re.findall(r"```python\n(.*?)```", readme, re.DOTALL)]
        for readme in (ENGLISH, KOREAN)
    )

    assert len(english) == 2
    assert korean == english


@pytest.mark.parametrize("readme", [ENGLISH, KOREAN], ids=["en", "ko"])
def test_links_lead_to_files(readme: str) -> None:
    """Every file that a README links to or draws is there."""
    linked = [link for link in re.findall(r"\]\(([^)]+)\)", readme) if "://" not in link]

    assert linked
    assert [link for link in linked if not (ROOT / link).exists()] == []
