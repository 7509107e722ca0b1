"""What the captions of a ladder say, in whatever width they were broken into lines."""

from __future__ import annotations

import re


def captions(ladder: str) -> str:
    """All captions of a ladder, as one text."""
    return " ".join(re.findall(r"\.\.\. (.*?) \.\.\.", ladder))
