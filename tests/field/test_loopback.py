"""Connections inside one host, over its loopback interface, are recorded as whole as any other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from complaints import describe
from record_verb import RecordedRun, record

if TYPE_CHECKING:
    from handshake_lab import Endpoint

PROGRAMS = Path(__file__).parent / "programs"
SERVICES = pytest.mark.parametrize(("host", "address"), [("h1", "127.0.0.1"), ("h2", "::1")])


def three_requests(directory: Path, host: str, address: str) -> RecordedRun:
    """A service on a loopback address, and a client beside it that connects three times."""
    return record(
        directory,
        "--server", f"{host}={sys.executable} {PROGRAMS / 'loopback_server.py'} {address} 6379",
        "--client", f"{host}={sys.executable} {PROGRAMS / 'loopback_client.py'} {address} 6379",
    )  # fmt: skip


def outlined(end: Endpoint) -> list[str]:
    """An endpoint's states without those that the FIN of one side brings before the other's: that is chance."""
    return [state for state in end.states if state not in {"FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT"}]


@SERVICES
def test_histories(tmp_path: Path, host: str, address: str) -> None:
    """Three clients that close first, through TIME-WAIT; three servers that answer their FIN."""
    run = three_requests(tmp_path, host, address)
    by_role = {role: [outlined(end) for end in run.ends(host, role)] for role in ("client", "server")}

    assert by_role == {
        "client": [["CLOSED", "SYN-SENT", "ESTABLISHED", "TIME-WAIT", "CLOSED"]] * 3,
        "server": [["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED", "LAST-ACK", "CLOSED"]] * 3,
    }, describe(run.record)


@SERVICES
def test_segments(tmp_path: Path, host: str, address: str) -> None:
    """Each connection's handshake is on record, every segment sent and received by the one host there is."""
    run = three_requests(tmp_path, host, address)
    opening = [each for each in run.record.segments if "S" in each.flags]

    assert [(each.flags, each.sender, each.receiver) for each in opening] == [
        ("S", host, host),
        ("SA", host, host),
    ] * 3, describe(run.record)
