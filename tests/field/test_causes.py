"""A program that ends its own connection is the cause of it: no timer, no error, no other program."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from complaints import describe, last
from record_verb import needs, record
from tcp_steps import open_connection

if TYPE_CHECKING:
    from handshake_lab import Net

PROGRAMS = Path(__file__).parent / "programs"
#: One-way delay, and a server that no SYN reaches.
SILENT = ("--link", "delay=5ms", "--fault", "drop SYN from h1")
#: Seconds: before and after retransmissions of the SYN, all far from the two minutes after which Linux gives up.
LIMITS = ["2.5", "5", "6.5"]


@needs("curl")
@pytest.mark.parametrize("limit", LIMITS)
def test_curl_gives_up_connecting(tmp_path: Path, limit: str) -> None:
    """RFC 9293, 3.10.4: a close in SYN-SENT deletes the connection, edge 8. The limit is curl's own."""
    run = record(tmp_path, *SILENT, "--client", f"curl -sS --connect-timeout {limit} http://h2/")
    (end,) = run.ends("h1")

    assert last(end) == ("8", "call"), describe(run.record)


@pytest.mark.parametrize("limit", LIMITS)
def test_program_gives_up_connecting(tmp_path: Path, limit: str) -> None:
    """The same with a plain Python socket, whose timeout is a poll() followed by close()."""
    run = record(tmp_path, *SILENT, "--client", f"{sys.executable} {PROGRAMS / 'impatient.py'} h2 80 {limit}")
    (end,) = run.ends("h1")

    assert last(end) == ("8", "call"), describe(run.record)


@pytest.mark.parametrize("waits_with", ["data", "keepalive"])
def test_program_aborts_while_nothing_answers(tmp_path: Path, waits_with: str) -> None:
    """RFC 9293, 3.10.5: close() with SO_LINGER 0 aborts, edge 27, also amid retransmissions or keepalive probes.

    Neither timer has come to its end by then: there are 9 probes, and 15 retransmissions.
    """
    run = record(
        tmp_path,
        "--link", "delay=5ms",
        "--fault", "drop ACK from h2",
        "--after", "1s",
        "--server", f"{sys.executable} {PROGRAMS / 'never_closes.py'} 80",
        "--client", f"{sys.executable} {PROGRAMS / 'aborts.py'} h2 80 5 {waits_with}",
    )  # fmt: skip
    (end,) = run.ends("h1")

    assert last(end) == ("27.ES", "call"), describe(run.record)


def test_close_in_another_thread(tmp_path: Path) -> None:
    """RFC 2525, 2.17: close() with data unread aborts the connection, edge 27, whichever thread calls it."""
    run = record(
        tmp_path,
        "--server", f"{sys.executable} -m http.server 80 --directory {PROGRAMS}",
        "--client", f"{sys.executable} {PROGRAMS / 'closes_in_a_thread.py'}",
    )  # fmt: skip
    (end,) = run.ends("h1")

    assert last(end) == ("27.CW", "call"), describe(run.record)


#: Of a host: what its own programs send to port 80 is thrown away before any capture sees it.
SWALLOWED = (
    "add table ip own; add chain ip own out { type filter hook output priority 0; policy accept; }; "
    "add rule ip own out tcp dport 80 drop"
)
FEW_RETRIES = {"h1:net.ipv4.tcp_syn_retries": 1, "h1:net.ipv4.tcp_retries2": 3}


@pytest.mark.handshake(delay="5ms", sysctls=FEW_RETRIES)
def test_nothing_that_a_host_sends_leaves_it(net: Net) -> None:
    """No capture has a retransmission, but the kernel reports ETIMEDOUT: a timer ended the attempt."""
    net.network["h1"].run(["nft", SWALLOWED])
    client = net.h1.begin_connect((net.h2.ip, 80))
    net.sleep(30)
    end = net.history(client)

    assert net.record().segments == ()
    assert (last(end), end.transitions[-1].cause.text) == (("29.SS", "timer"), "the retransmission timer")


@pytest.mark.handshake(delay="5ms", sysctls=FEW_RETRIES)
def test_no_data_leave_the_host(net: Net) -> None:
    """The same once a connection is open: its data are sent again and again, and none is captured."""
    client, _, _ = open_connection(net)
    net.network["h1"].run(["nft", SWALLOWED])
    client.sendall(b"lost")
    net.sleep(60)
    end = net.history(client)

    assert [each.length for each in net.record().segments if each.length] == []
    assert (last(end), end.transitions[-1].cause.text) == (("29.ES", "timer"), "the retransmission timer")
