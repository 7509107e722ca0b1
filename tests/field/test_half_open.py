"""A half-open connection is a finding, for any reason why the peer lost it, and for any path between the two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from complaints import describe
from handshake_lab import judge, page
from tcp_steps import PORT, open_connection

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake()

HALF_OPEN = "is ESTABLISHED, but its peer "


def alone(net: Net) -> list[str]:
    """The findings of the verdict about endpoints without a peer."""
    return [each.text for each in judge(net.record()).findings if HALF_OPEN in each.text]


@pytest.mark.handshake(sysctls={"h2:net.ipv4.tcp_syncookies": 2})
def test_behind_a_syn_cookie(net: Net) -> None:
    """The ACK with the cookie is lost: the server keeps nothing, and waits for nothing."""
    net.drop("ACK", from_="h1")
    client = net.h1.connect(net.h2.listen(PORT))
    net.sleep(1)
    (text,) = alone(net)

    assert text.endswith(HALF_OPEN + "h2 has no socket for the connection"), describe(net.record())
    assert text.startswith("h1 ")
    assert net.history(client).states[-1] == "ESTABLISHED"


@pytest.mark.handshake(sysctls={"h2:net.ipv4.tcp_synack_retries": 1})
def test_a_request_that_expired(net: Net) -> None:
    """The server gave its request up; the client had become ESTABLISHED."""
    net.drop("ACK", from_="h1")
    net.h1.connect(net.h2.listen(PORT))
    net.sleep(10)

    assert [HALF_OPEN + "h2 10.0.0.2:80 has been CLOSED since" in text for text in alone(net)] == [True], describe(
        net.record()
    )


def test_a_request_that_a_reset_removed(net: Net) -> None:
    """The listener is back in LISTEN: it is no other end."""
    net.drop("ACK", from_="h1")
    net.h1.connect(net.h2.listen(PORT))
    net.sleep(0.1)
    net.inject("RST", to="h2")
    net.sleep(0.1)

    assert [HALF_OPEN + "h2 10.0.0.2:80 has been LISTEN since" in text for text in alone(net)] == [True], describe(
        net.record()
    )


@pytest.mark.handshake(topology="nat")
def test_behind_a_translator(net: Net) -> None:
    """The addresses of the two ends differ: they are one connection all the same."""
    client, server, _ = open_connection(net)
    client.sendall(b"open")
    server.recv(4)
    assert alone(net) == []
    lost = net.drop("RST")
    server.setsockopt(1, 13, bytes((1, 0, 0, 0, 0, 0, 0, 0)))
    server.close()
    assert lost.wait()
    net.sleep(1)
    (text,) = alone(net)

    assert text.startswith(f"h1 {client.getsockname()[0]}:"), describe(net.record())
    assert "has been CLOSED since" in text


@pytest.mark.handshake(topology="pair,ipv6=true")
def test_over_ipv6(net: Net) -> None:
    """The same with IPv6 addresses."""
    client, server, _ = open_connection(net)
    lost = net.drop("RST")
    client.setsockopt(1, 13, bytes((1, 0, 0, 0, 0, 0, 0, 0)))
    client.close()
    assert lost.wait()
    net.sleep(1)

    assert net.history(server).states[-1] == "ESTABLISHED"
    assert [HALF_OPEN in text for text in alone(net)] == [True], describe(net.record())


def test_an_open_connection_has_a_peer(net: Net) -> None:
    """There is no finding about a connection that both ends have, idle or not."""
    open_connection(net)
    net.sleep(1)

    assert alone(net) == []


def test_a_run_without_tcp(net: Net) -> None:
    """There is nothing to compare: the verdict states this, and is neither positive nor negative."""
    net.h1.run(["ip", "route"])
    record = net.record()
    verdict = judge(record)

    assert (verdict.summary, verdict.neutral, verdict.exit_code) == (
        "no TCP was observed: there is nothing to compare with RFC 9293", True, 0,
    )  # fmt: skip
    assert "관찰된 TCP가 없어" in page(record, title="nothing", verdict=verdict, lang="ko")


def test_why_a_syn_was_retransmitted(net: Net) -> None:
    """A SYN that a full queue refused was not lost, and the missing acknowledgment is not the reason."""
    listener = net.h2.listen(PORT, backlog=0)
    net.h1.connect(listener)
    net.h1.begin_connect(listener)
    net.sleep(2)
    texts = [each.text for each in judge(net.record()).findings if "SYN retransmitted" in each.text]

    assert [text.partition("because ")[2] for text in texts] == ["it had no effect: the accept queue was full"], texts
