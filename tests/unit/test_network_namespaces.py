"""The namespaces of a network: what the machine must have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.network import namespaces

if TYPE_CHECKING:
    from pathlib import Path


def test_a_machine_without_a_file_for_names_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minimal roots lack /etc/hosts; the message has the command that creates it."""
    monkeypatch.setattr(namespaces, "_HOSTS", str(tmp_path / "hosts"))
    with pytest.raises(EnvironmentUnsupported, match="sudo touch /etc/hosts"):
        namespaces.Namespaces().name_hosts([])
