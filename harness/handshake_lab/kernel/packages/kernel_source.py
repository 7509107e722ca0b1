"""A kernel's source: a package of the distribution, a tarball, or a tree."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class SourceKind(StrEnum):
    """What a source is."""

    PACKAGE = "package"
    TARBALL = "tarball"
    TREE = "tree"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a kernel's source is.

    Attributes:
        kind: What ``path`` is.
        path: A ``.deb``, a tarball, or the top directory of a tree.
        origin: The same in words, for the record: a package with its version, or a path.
    """

    kind: SourceKind
    path: Path
    origin: str
