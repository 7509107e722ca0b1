"""The path of the repository, for commands that run its tests."""

from __future__ import annotations

from pathlib import Path

#: The root of the repository that this package is in.
REPOSITORY = Path(__file__).resolve().parents[3]
