"""What all tests share: an environment that does not depend on who runs them."""

from __future__ import annotations

import os


def pytest_configure() -> None:
    """Tests compare English texts; reports are in the language of the locale otherwise."""
    os.environ["LC_ALL"] = "C.UTF-8"
