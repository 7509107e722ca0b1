"""A program below /tmp of this machine, named by its absolute path: found, with what is beside it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HANDSHAKE = [sys.executable, "-c", "from handshake_lab.cli.main import main; main()"]


def test_record_a_program_below_tmp(tmp_path: Path) -> None:
    """Its directory is shown to the lab kernel, wherever the command is run."""
    program = tmp_path / "program" / "bin" / "client"
    program.parent.mkdir(parents=True)
    (tmp_path / "program" / "data").write_text("beside it\n")
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/program/data\n")
    program.chmod(0o755)

    done = subprocess.run(
        [*_HANDSHAKE, "record", "--client", str(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        cwd="/usr",
    )

    assert "h1-client-1: exit status 0" in done.stdout, done.stdout + done.stderr
    assert "    beside it" in done.stdout
