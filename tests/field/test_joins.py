"""A connection has one endpoint at each side, whichever observers reported it, and each part of its history."""

from __future__ import annotations

import errno
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from complaints import describe
from handshake_lab import endpoints
from record_verb import RecordedRun, needs, record
from tcp_steps import errno_of, open_connection

if TYPE_CHECKING:
    from handshake_lab import Net

PROGRAMS = Path(__file__).parent / "programs"
HALF_CLOSERS = f"{sys.executable} {PROGRAMS / 'half_closers.py'}"
#: Of short connections: many enough that no observer polls in the midst of each.
MANY = 50


def is_whole(run: RecordedRun) -> bool:
    """Whether both ends of the only connection began and ended in CLOSED, one of them through TIME-WAIT."""
    ends = [run.ends("h1")[0].states, run.ends("h2")[0].states]
    return all(states[0] == states[-1] == "CLOSED" for states in ends) and any("TIME-WAIT" in states for states in ends)


def roles(run: RecordedRun) -> list[tuple[str, str]]:
    """Every endpoint but listeners, as its host and role."""
    return sorted((end.node, end.role) for node in ("h1", "h2") for end in run.ends(node))


def test_two_programs_that_half_close_at_once(tmp_path: Path) -> None:
    """Both directions end within one round trip: two endpoints, each from CLOSED to CLOSED."""
    run = record(tmp_path, "--server", f"{HALF_CLOSERS} listen 80", "--client", f"{HALF_CLOSERS} connect h2 80")

    assert roles(run) == [("h1", "client"), ("h2", "server")], describe(run.record)
    assert is_whole(run), describe(run.record)


@needs("nc")
def test_nc_to_nc(tmp_path: Path) -> None:
    """The same with netcat at both ends."""
    run = record(tmp_path, "--server", "nc -l -N 80", "--client", "nc -N h2 80")

    assert roles(run) == [("h1", "client"), ("h2", "server")], describe(run.record)
    assert is_whole(run), describe(run.record)


@pytest.mark.parametrize("kernel", ["lab", "host"])
def test_short_connections_one_after_the_other(tmp_path: Path, kernel: str) -> None:
    """As many endpoints at each side as there were connections."""
    run = record(
        tmp_path,
        "--kernel", kernel,
        "--after", "1s",
        "--server", f"{sys.executable} {PROGRAMS / 'closes_second.py'} 80",
        "--client", f"{sys.executable} {PROGRAMS / 'closes_first.py'} h2 80 {MANY}",
    )  # fmt: skip

    assert Counter(roles(run)) == {("h1", "client"): MANY, ("h2", "server"): MANY}


def test_a_short_connection(net: Net) -> None:
    """A client that closes first, on a link without delay: its TIME-WAIT belongs to it."""
    client, server, _ = open_connection(net)
    client.close()
    server.recv(1)
    server.close()
    net.sleep(1)

    assert [end.states[-1] for end in endpoints(net.record(), "h1")] == ["TIME-WAIT"], describe(net.record())


@pytest.mark.handshake(delay="5ms")
def test_one_socket_refused_and_then_connected(net: Net) -> None:
    """Two attempts of one socket: one endpoint each, and nothing besides."""
    client = net.h1.socket()
    client.setblocking(True)
    refused = errno_of(lambda: client.connect((net.h2.ip, 80)))
    if refused != errno.ECONNREFUSED:
        pytest.fail(f"the first connect() was to be refused: {refused}")
    net.h2.listen(80)
    client.connect((net.h2.ip, 80))
    net.sleep(0.05)

    assert [end.states for end in endpoints(net.record(), "h1", "client")] == [
        ["CLOSED", "SYN-SENT", "CLOSED"],
        ["CLOSED", "SYN-SENT", "ESTABLISHED"],
    ], describe(net.record())
    assert net.history(client).states[-1] == "ESTABLISHED"


@pytest.mark.handshake(delay="5ms")
def test_one_bound_socket_refused_and_then_connected(net: Net) -> None:
    """The same from a port of its choice: the four-tuple is used twice, and each attempt has its own segments."""
    client = net.h1.socket()
    client.setblocking(True)
    client.bind((net.h1.ip, 4000))
    refused = errno_of(lambda: client.connect((net.h2.ip, 80)))
    if refused != errno.ECONNREFUSED:
        pytest.fail(f"the first connect() was to be refused: {refused}")
    net.h2.listen(80)
    client.connect((net.h2.ip, 80))
    net.sleep(0.05)
    first, second = endpoints(net.record(), "h1", "client")

    assert (first.states, second.states) == (
        ["CLOSED", "SYN-SENT", "CLOSED"],
        ["CLOSED", "SYN-SENT", "ESTABLISHED"],
    ), describe(net.record())
    assert first.transitions[-1].edge == "25"
    assert net.history(client).states == second.states
