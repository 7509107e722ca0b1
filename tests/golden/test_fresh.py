"""Ladders of fresh runs are the same to the byte, and equal to the stored ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from command_line import handshake
from fresh_ladders import FAULTS, fresh, kernel, ladder_of


@cache
def _drawn(name: str) -> str:
    return fresh(name, kernel())


@pytest.mark.parametrize("name", FAULTS)
def test_a_seed_gives_one_ladder(name: str) -> None:
    """Two runs, one text: every time, port, state and witness."""
    assert fresh(name, kernel()) == _drawn(name)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fresh_ladder_is_the_golden_one(name: str) -> None:
    """Kernels differ in what they do and when, so each release has ladders of its own."""
    release = kernel().info.release
    golden = Path(__file__).parent / f"lab-{release}" / f"{name}.txt"
    if not golden.exists():
        pytest.skip(f"no ladder is kept for Linux {release}: python tests/golden/write.py --fresh")

    assert ladder_of(_drawn(name)) == golden.read_text("utf-8")


def test_readme_shows_the_golden_ladder() -> None:
    """The README's output of `handshake demo --plain` is that of the stored ladders."""
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    shown = readme.partition("```\nLinux ")[2].partition("```")[0]
    release = shown.partition(" ")[0]
    golden = Path(__file__).parent / f"lab-{release}" / "nothing-lost.txt"

    assert ladder_of(f"Linux {shown}") == golden.read_text("utf-8")


@pytest.mark.parametrize("page", ["README.md", "README.ko.md"])
def test_readme_shows_what_is_printed(page: str) -> None:
    """Also below the ladder: each line, in order, is one that `handshake demo --plain` prints with this release."""
    readme = (Path(__file__).parents[2] / page).read_text("utf-8")
    shown = readme.partition("```\nLinux ")[2].partition("```")[0]
    release = kernel().info.release
    if shown.partition(" ")[0] != release:
        pytest.skip(f"{page} shows Linux {shown.partition(' ')[0]}, this is {release}")
    printed = iter(handshake("demo", "--plain").stdout.splitlines())

    missing = [line for line in f"Linux {shown}".splitlines() if line and line not in printed]
    assert missing == []
