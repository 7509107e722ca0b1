"""What the tests share: the server under test, running on host h2."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from handshake_lab import Net

SERVER = Path(__file__).parent / "lines_server.py"
PORT = 7000


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that switches the bug on."""
    parser.addoption("--leaky", action="store_true", help="test the server with its bug")


@pytest.fixture
def server(net: Net, request: pytest.FixtureRequest) -> tuple[str, int]:
    """The host and port of the server, which runs as a separate program."""
    bug = ["--leaky"] if request.config.getoption("--leaky") else []
    net.h2.start([sys.executable, str(SERVER), net.h2.ip, str(PORT), *bug], listening=True)
    return "h2", PORT
