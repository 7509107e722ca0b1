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
    """The release of a kernel source tree.

    Attributes:
        version: "7.3".
        name: "7.3.4", or "7.4.0-rc2": the output of ``uname -r``.
    """

    version: str
    name: str


def release_of(tree: Path) -> Release:
    """Read a tree's release from the beginning of its Makefile.

    Raises:
        KernelSourceMissing: The Makefile does not contain it.
    """
    head = (tree / "Makefile").read_text(encoding="utf-8", errors="replace")[:2000]
    fields = dict(
        re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)[ \t]*$", head, re.MULTILINE)
    )
    if not (fields.get("VERSION", "").isdigit() and fields.get("PATCHLEVEL", "").isdigit()):
        raise KernelSourceMissing(
            f"The Makefile of {tree} does not contain the release of Linux",
            "Name the top directory of a kernel source tree. For example: --source ~/src/linux",
        )
    version = f"{fields['VERSION']}.{fields['PATCHLEVEL']}"
    return Release(version, f"{version}.{fields.get('SUBLEVEL') or 0}{fields.get('EXTRAVERSION', '')}")


def stock_order(release: str) -> tuple[int, ...]:
    """For sorting releases as their distribution numbers them: 6.1.0-9 before 6.1.0-56."""
    return tuple(int(number) for number in re.findall(r"\d+", release))


def version_order(text: str) -> tuple[int, ...]:
    """A key for sorting releases such as "6.1", "6.12.117" and "7.4.0-rc2"."""
    number, _, candidate = text.partition("-rc")
    digits = [int(part) for part in re.findall(r"\d+", number.partition("-")[0])]
    digits += [0] * (3 - len(digits))
    return (*digits, int(candidate) if candidate.isdigit() else 1_000_000)
