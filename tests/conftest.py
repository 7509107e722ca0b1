"""What all tests share: the markers of claims and scenarios, and an environment that does not depend on the user."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest
from handshake_lab.report.text.as_typed import CALLED_AS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@contextlib.contextmanager
def not_called_by_the_script() -> Iterator[None]:
    """Print commands as ``handshake``: tests compare them. Only the session itself was called as ``./handshake``."""
    called = os.environ.pop(CALLED_AS, None)
    try:
        yield
    finally:
        if called is not None:
            os.environ[CALLED_AS] = called


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the help texts that tests are parametrized with, with commands as ``handshake``."""
    with not_called_by_the_script():
        return (yield)


@pytest.fixture(autouse=True)
def called_by_name() -> Iterator[None]:
    """Run each test in an environment in which commands are printed as ``handshake``."""
    with not_called_by_the_script():
        yield


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and select English for reports, which tests compare, independently of the locale."""
    os.environ["LC_ALL"] = "C.UTF-8"
    config.addinivalue_line(
        "markers", "claim(id): the test measures this claim of the course notes (`handshake claims` prints them)"
    )
    config.addinivalue_line(
        "markers",
        "scenario(number): the test is this row of the scenario catalogue; the name of the scenario is the function's, "
        "without test_ (`handshake scenarios list` prints them)",
    )
