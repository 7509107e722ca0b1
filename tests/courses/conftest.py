"""What the tests of courses share: one laboratory, and students who work with it."""

from __future__ import annotations

import pytest
from handshake_lab.courses.experiments import Laboratory


@pytest.fixture(scope="session")
def laboratory() -> Laboratory:
    """The lab kernel, booted once."""
    return Laboratory("lab")
