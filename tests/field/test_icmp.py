"""A connection that an ICMP error ended: the record names it as the cause, whoever asked for the error."""

from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from complaints import describe, last
from record_verb import needs, record

if TYPE_CHECKING:
    from handshake_lab import Net

REFUSED = f"{sys.executable} {Path(__file__).parent / 'programs' / 'refused.py'} h2 81"
#: A router that answers what it does not let through with "communication administratively prohibited".
PROHIBITED = ("--topology", "firewall,refuse=prohibited", "--link", "delay=5ms")

icmp_unseen = pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="ICMP errors are not captured: only a connect() that blocks shows one"
)


@icmp_unseen
@pytest.mark.parametrize(
    "client",
    [pytest.param("nc -w 3 h2 81", marks=needs("nc"), id="nc"), pytest.param(REFUSED, id="python")],
)
def test_a_program_refused_by_a_router(tmp_path: Path, client: str) -> None:
    """RFC 5461, 2.2: an ICMP error in SYN-SENT ends the attempt, edge 44, whichever program made it."""
    run = record(tmp_path, *PROHIBITED, "--client", client)
    (end,) = run.ends("h1")

    assert last(end) == ("44.SS", "segment"), describe(run.record)


@icmp_unseen
@pytest.mark.handshake(topology="routed", delay="5ms")
def test_a_connect_that_does_not_block(net: Net) -> None:
    """The error is read with SO_ERROR, not returned by connect(): the cause is ICMP all the same."""
    net.network["r1"].run(["ip", "route", "add", "unreachable", net.h2.ip])
    client = net.h1.begin_connect((net.h2.ip, 80))
    net.sleep(0.1)
    failure = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    end = net.history(client)
    if (failure, end.states[-1]) != (errno.EHOSTUNREACH, "CLOSED"):
        pytest.fail(f"the router was to refuse it: {failure}, {end.states}")

    assert last(end) == ("44.SS", "segment"), describe(net.record())
