"""What all tests share: the markers of claims and scenarios, and an environment that does not depend on the user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and have reports in English, which tests compare, whatever the locale."""
    os.environ["LC_ALL"] = "C.UTF-8"
    config.addinivalue_line(
        "markers", "claim(id): this test measures that claim of the course notes (`handshake claims` prints them)"
    )
    config.addinivalue_line(
        "markers",
        "scenario(number): this test is that row of the scenario catalogue; its name there is the function's, without "
        "test_ (`handshake scenarios list` prints them)",
    )
