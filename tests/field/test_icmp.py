"""A connection that an ICMP error ended: the record names it as the cause, for any sender of the error."""

from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from complaints import describe, last
from handshake_lab.tcp import craft
from icmp_messages import checked
from record_verb import needs, record

if TYPE_CHECKING:
    from handshake_lab import Net

REFUSED = f"{sys.executable} {Path(__file__).parent / 'programs' / 'refused.py'} h2 81"
#: A router that answers what it does not let through with "communication administratively prohibited".
PROHIBITED = ("--topology", "firewall,refuse=prohibited", "--link", "delay=5ms")

#: Of a host: it rejects what its own programs send to port 80.
OWN_FIREWALL = (
    "add table ip own; add chain ip own out { type filter hook output priority 0; policy accept; }; "
    "add rule ip own out tcp dport 80 reject with icmp type host-unreachable"
)


@pytest.mark.parametrize(
    "client",
    [pytest.param("nc -w 3 h2 81", marks=needs("nc"), id="nc"), pytest.param(REFUSED, id="python")],
)
def test_a_program_refused_by_a_router(tmp_path: Path, client: str) -> None:
    """RFC 5461, 2.2: an ICMP error in SYN-SENT ends the attempt, edge 44, whichever program made it."""
    run = record(tmp_path, *PROHIBITED, "--client", client)
    (end,) = run.ends("h1")

    assert last(end) == ("44.SS", "segment"), describe(run.record)


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


#: RFC 792 and RFC 1812, 5.2.7.1: all codes of "destination unreachable" but 4, which names an MTU.
CODES = [code for code in range(16) if code != 4]


@pytest.mark.handshake(topology="routed", delay="5ms")
@pytest.mark.parametrize("code", CODES)
def test_any_code_ends_an_attempt(net: Net, code: int) -> None:
    """Linux ends a connect() for all of them (tcp_v4_err(), icmp_err_convert): the record names the message."""
    silent = net.drop("SYN", from_="h1")
    client = net.h1.begin_connect((net.h2.ip, 80))
    assert silent.wait()
    (syn,) = net.record().segments
    quoted = craft.segment(bytes(14), syn.src, syn.dst, "SYN", syn.seq, None)[14:]
    message = checked(bytes((3, code, 0, 0, 0, 0, 0, 0)) + quoted)
    with net.network["r1"].socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.sendto(message, (net.h1.ip, 0))
    net.sleep(0.1)
    end, record = net.history(client), net.record()
    if end.states[-1] != "CLOSED":
        pytest.fail(f"the error was to end the attempt: {end.states}")

    assert last(end) == ("44.SS", "segment"), describe(record)
    (error,) = [each for each in record.segments if each.icmp]
    assert (error.sender, error.receiver, error.lost) == ("r1", "h1", False)
    assert end.transitions[-1].cause.text == f"received {error.name}"


def test_the_error_is_drawn_like_a_segment(tmp_path: Path) -> None:
    """The ladder shows the message, with its number; over IPv6 as well."""
    run = record(
        tmp_path, "--topology", "firewall,refuse=prohibited,ipv6=true", "--link", "delay=5ms", "--client", REFUSED
    )

    assert [last(end) for end in run.ends("h1")] == [("44.SS", "segment")] * 2, describe(run.record)
    assert "* #2 ICMP" in run.printed  # from the router, between both hosts
    assert "received ICMP administratively prohibited #2" in " ".join(run.printed.split())


@pytest.mark.handshake(delay="5ms")
def test_a_firewall_of_the_host_itself(net: Net) -> None:
    """Its SYN does not even leave; the kernel sends the error to itself, over loopback."""
    net.network["h1"].run(["nft", OWN_FIREWALL])
    client = net.h1.begin_connect((net.h2.ip, 80))
    net.sleep(2)
    end, record = net.history(client), net.record()

    assert last(end) == ("44.SS", "segment"), describe(record)
    assert {(each.sender, each.receiver, each.icmp) for each in record.segments if each.icmp} == {
        ("h1", "h1", "host unreachable")
    }
