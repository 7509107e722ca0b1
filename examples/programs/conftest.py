"""Skips tests whose programs are missing, with the package's name."""

import os
import shutil
from pathlib import Path

import pytest

#: Where packages put programs that are not on everybody's path: Debian's PostgreSQL, and servers.
PLACES = ("/usr/sbin", *(str(place) for place in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and find more programs."""
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *PLACES])
    config.addinivalue_line("markers", "needs(program, package): the test is skipped where the program is missing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run."""
    for item in items:
        for mark in item.iter_markers("needs"):
            program, package = mark.args
            if shutil.which(program) is None:
                item.add_marker(pytest.mark.skip(reason=f"{program} is not installed: apt-get install {package}"))
