"""What all tests share: the markers of claims and scenarios, and an environment that does not depend on the user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers; select English, and commands without a path, for reports, which tests compare."""
    os.environ["LC_ALL"] = "C.UTF-8"
    # Set by ./handshake test: the test's own commands were not called by it.
    os.environ.pop("HANDSHAKE_CALLED_AS", None)
    config.addinivalue_line(
        "markers", "claim(id): the test measures this claim of the course notes (`handshake claims` prints them)"
    )
    config.addinivalue_line(
        "markers",
        "scenario(number): the test is this row of the scenario catalogue; the name of the scenario is the function's, "
        "without test_ (`handshake scenarios list` prints them)",
    )
