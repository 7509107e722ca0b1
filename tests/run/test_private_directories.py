"""A program below /tmp of this machine, named by its absolute path: found, with what is beside it."""

from __future__ import annotations

from pathlib import Path

from command_line import handshake


def test_record_a_program_below_tmp(tmp_path: Path) -> None:
    """Its directory is shown to the lab kernel, wherever the command is run."""
    program = tmp_path / "program" / "bin" / "client"
    program.parent.mkdir(parents=True)
    (tmp_path / "program" / "data").write_text("beside it\n")
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/program/data\n")
    program.chmod(0o755)

    done = handshake("record", "--client", str(program), cwd=Path("/usr"))

    assert "h1-client-1: exit status 0" in done.stdout, done.stdout + done.stderr
    assert "    beside it" in done.stdout
