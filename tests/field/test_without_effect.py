"""A segment that arrives and changes nothing is named in the verdict, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import crafted
import pytest
from complaints import describe
from handshake_lab.verdict.judge import judge
from tcp_steps import PORT, open_connection

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net
    from handshake_lab.recording.history import TransmittedSegment

pytestmark = pytest.mark.handshake(delay="5ms")

#: What h2 crafts, by the reason why h1 ignores it: flags, and how far off its numbers are.
CRAFTED: dict[str, tuple[str, int, int | None, bytes]] = {
    "outside of the window": ("ACK", 10_000_000, 0, b"data"),
    "acknowledges data that is not in flight": ("ACK", 0, 70_000, b"data"),
    "flags are invalid": ("FIN", 0, None, b""),
    "challenge ACK": ("RST", 100, None, b""),
}


def no_effect(net: Net) -> list[str]:
    """What the verdict reports of segments that changed nothing."""
    return [finding.text for finding in judge(net.record()).findings if "had no effect" in finding.text]


def latest(net: Net) -> TransmittedSegment:
    """The last segment with data that h2 sent."""
    *_, last = (each for each in net.record().segments if each.sender == "h2" and each.length)
    return last


@pytest.mark.parametrize("reason", CRAFTED)
def test_a_crafted_segment(net: Net, reason: str) -> None:
    """The kernel's own reason for throwing it away, at this very segment and at no other."""
    kind, off, ack_off, payload = CRAFTED[reason]
    _, server, _ = open_connection(net)
    server.sendall(b"taken")
    net.sleep(net.rtt)
    data = latest(net)
    ack = None if ack_off is None else data.ack + ack_off
    crafted.send(net, "h2", data.src, data.dst, kind, data.seq + data.length + off, ack, payload)
    net.sleep(net.rtt)
    made = next(each for each in net.record().segments if each.number > data.number and each.sender == "h2")
    (text,) = no_effect(net)

    assert f"#{made.number} " in text, describe(net.record())
    assert reason in text, describe(net.record())


def test_an_accept_queue_without_room(net: Net) -> None:
    """Three connections to a listener that takes one: each segment that finds no room is named (ListenOverflows)."""
    listener = net.h2.listen(PORT, backlog=0)
    for _ in range(3):
        net.h1.begin_connect(listener)
        net.sleep(net.rtt)
    texts = no_effect(net)

    assert texts, describe(net.record())
    assert all("the accept queue was full" in text for text in texts), texts
    assert len(texts) == net.h2.counters()["ListenOverflows"]


def test_a_plain_connection_has_none(net: Net) -> None:
    """There is no finding if all segments had their effect."""
    client, server, _ = open_connection(net)
    client.sendall(b"hello")
    server.recv(5)
    client.close()
    server.close()
    net.sleep(1)

    assert no_effect(net) == []


def test_established_with_nobody_there(net: Net) -> None:
    """A crafted RST ends one end, and the other is not notified: the verdict reports it as half-open."""
    client, server, _ = open_connection(net)
    net.inject("RST", to="h1")
    net.sleep(net.rtt)
    if (net.history(client).states[-1], net.history(server).states[-1]) != ("CLOSED", "ESTABLISHED"):
        pytest.fail(describe(net.record()))

    assert [text for text in (each.text for each in judge(net.record()).findings) if "has been CLOSED since" in text]
