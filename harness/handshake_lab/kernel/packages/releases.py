"""Releases of Linux: their names, and their order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handshake_lab.errors import KernelSourceMissing

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Release:
    """Which Linux a tree is.

    Attributes:
        version: "7.3".
        name: "7.3.4", or "7.4.0-rc2": what ``uname -r`` will say.
    """

    version: str
    name: str


def release_of(tree: Path) -> Release:
    """Read a tree's release from the head of its Makefile.

    Raises:
        KernelSourceMissing: if it does not say.
    """
    head = (tree / "Makefile").read_text(encoding="utf-8", errors="replace")[:2000]
    said = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)[ \t]*$", head, re.MULTILINE))
    if not (said.get("VERSION", "").isdigit() and said.get("PATCHLEVEL", "").isdigit()):
        raise KernelSourceMissing(
            f"The Makefile of {tree} does not say which release of Linux this is",
            "Give the top of a kernel source tree, for example: --source ~/src/linux",
        )
    version = f"{said['VERSION']}.{said['PATCHLEVEL']}"
    return Release(version, f"{version}.{said.get('SUBLEVEL') or 0}{said.get('EXTRAVERSION', '')}")


def stock_order(release: str) -> tuple[int, ...]:
    """For sorting releases as their distribution numbers them: 6.1.0-9 before 6.1.0-56."""
    return tuple(int(number) for number in re.findall(r"\d+", release))


def version_order(text: str) -> tuple[int, ...]:
    """For sorting "6.1", "6.12.117" and "7.4.0-rc2" as kernels are ordered."""
    number, _, candidate = text.partition("-rc")
    digits = [int(part) for part in re.findall(r"\d+", number.partition("-")[0])]
    digits += [0] * (3 - len(digits))
    return (*digits, int(candidate) if candidate.isdigit() else 1_000_000)
