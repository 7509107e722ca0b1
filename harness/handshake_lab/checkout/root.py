"""Where the repository is, for what works on its own tests."""

from __future__ import annotations

from pathlib import Path

#: The root of the repository that this package is in.
REPOSITORY = Path(__file__).resolve().parents[3]
