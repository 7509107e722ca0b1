"""One command on a stock kernel's machine: how a whole session of pytest runs there with one start."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from handshake_lab.checkout.pytest_run import run_pytest
from handshake_lab.kernel.shared.kernel_name import KernelName
from handshake_lab.kernel.vm import whole_session

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SAYS = "echo said; uname -r; pwd; touch kept/written; touch refused; exit 3"


def test_it_runs_as_on_a_machine_of_its_own(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """What it prints is printed and kept, its status is returned, and it writes to one directory only."""
    version = KernelName.parse(request.config.getoption("--handshake-kernel")).version
    printed = io.BytesIO()

    status = whole_session.run(version, ["sh", "-c", SAYS], tmp_path, tmp_path / "kept", printed)

    said, _, where, refusal = printed.getvalue().decode().splitlines()
    assert (status, said, where) == (3, "said", str(tmp_path))
    assert "refused" in refusal
    assert "Read-only file system" in refusal
    assert (tmp_path / "kept" / whole_session.LOG).read_bytes() == printed.getvalue()
    assert (tmp_path / "kept/written").exists()
    assert not (tmp_path / "refused").exists()


SUITE = """
from pathlib import Path

def test_one(net):
    assert net.kernel.kind == "host"
    Path("/tmp/of-another-test").touch()

def test_two(net):
    assert not Path("/tmp/of-another-test").exists()
"""


def test_a_session_of_pytest_boots_once(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Tests that use ``net`` run there as with ``--kernel host``, each in its own namespaces."""
    (tmp_path / "test_two.py").write_text(SUITE)

    status = run_pytest(
        [], tmp_path, request.config.getoption("--handshake-kernel"), quiet=True, writable=tmp_path / "kept"
    )

    log = (tmp_path / "kept" / whole_session.LOG).read_text()
    assert status == 0, log
    assert "2 passed" in log
