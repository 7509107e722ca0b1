"""The page on packetdrill: its example runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handshake_lab import Net

PAGE = Path(__file__).parents[2] / "docs" / "coming-from" / "packetdrill.md"


def test_the_example(net: Net) -> None:
    """The test on the page."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 -- a page of this project
    names["test_a_gap_is_reported"](net)
