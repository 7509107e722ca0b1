"""A link of a smaller MTU behind a router: what is too big for it is sent again in smaller parts, or never arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from complaints import describe
from handshake_lab import judge
from tcp_steps import open_connection

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = [pytest.mark.handshake_slow, pytest.mark.handshake(topology="routed", delay="10ms")]

#: The router's: it throws away its own ICMP errors.
BLACK_HOLE = (
    "add table ip hole; add chain ip hole out { type filter hook output priority 0; policy accept; }; "
    "add rule ip hole out icmp type destination-unreachable drop"
)
#: Bytes of the second link's MTU.
MTU = "1300"


def narrow(net: Net, *, icmp: bool = True) -> None:
    """Give the router's link to h2 a smaller MTU; without ``icmp``, have its errors dropped."""
    net.network["r1"].run(["ip", "link", "set", "r1-eth1", "mtu", MTU])
    if not icmp:
        net.network["r1"].run(["nft", BLACK_HOLE])


def arrives(net: Net, count: int) -> int:
    """Send this number of bytes from h1 to h2. Returns how many arrived before a minute of silence."""
    client, server, _ = open_connection(net)
    client.sendall(bytes(count))
    server.settimeout(60)
    got = 0
    try:
        while got < count:
            got += len(server.recv(65_536))
    except TimeoutError:
        pass
    net.sleep(1)
    return got


def sent_again(net: Net) -> list[str]:
    """What the verdict reports of segments that were sent again."""
    return [finding.text for finding in judge(net.record()).findings if "retransmitted" in finding.text]


def test_path_mtu_discovery(net: Net) -> None:
    """RFC 1191: the router's ICMP error names its MTU, and smaller segments arrive."""
    narrow(net)

    assert arrives(net, 5000) == 5000


def test_black_hole(net: Net) -> None:
    """RFC 2923, 2.1: without the ICMP error, the handshake succeeds and no full segment ever arrives."""
    narrow(net, icmp=False)

    assert arrives(net, 5000) == 0


@pytest.mark.handshake(sysctls={"h1:net.ipv4.tcp_mtu_probing": 1})
def test_mtu_probing(net: Net) -> None:
    """RFC 4821: with tcp_mtu_probing, a sender that suspects a black hole finds a size that arrives."""
    narrow(net, icmp=False)

    assert arrives(net, 5000) == 5000


def test_sent_again_once_in_two_parts(net: Net) -> None:
    """A segment of 1448 B is sent again as 1248 B and 200 B: that is once, and both could have been acknowledged."""
    narrow(net)
    arrives(net, 1448)
    reported = sent_again(net)
    if not reported:
        pytest.fail("the segment was to be sent again:\n" + describe(net.record()))

    assert [text for text in reported if "2 times" in text or "could not have come back" in text] == []


def test_the_mtu_is_why(net: Net) -> None:
    """The segment was dropped because it is larger than the MTU of the next link."""
    narrow(net)
    arrives(net, 1448)
    reported = sent_again(net)
    if not reported:
        pytest.fail("the segment was to be sent again:\n" + describe(net.record()))

    assert any("MTU" in text for text in reported), reported


def test_an_mtu_without_an_icmp_error(net: Net) -> None:
    """The router's ICMP errors are dropped: its kernel still reports that the packets were too big (PKT_TOO_BIG)."""
    narrow(net, icmp=False)
    arrives(net, 5000)
    record = net.record()
    texts = sent_again(net)

    assert not [each for each in record.segments if each.icmp], describe(record)
    assert texts, describe(record)
    assert all("it was larger than the MTU of r1's next link" in text for text in texts), texts
