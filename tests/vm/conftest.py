"""Tests in a stock kernel's virtual machine: only with ``--handshake-kernel=vm``, since starting it takes long."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this directory out unless the kernel is a virtual machine's."""
    wanted = str(config.getoption("--handshake-kernel")).startswith("vm")
    return None if wanted or not collection_path.is_relative_to(HERE) else True
