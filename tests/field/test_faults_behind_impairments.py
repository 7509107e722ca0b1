"""A fault sees all segments, whichever direction of which link is impaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab import seconds, sent

if TYPE_CHECKING:
    from handshake_lab import Net

#: Links with an impairment of the direction from a host to the middle, and without.
LINKS = ("h1-s1:delay=40ms", "h1>s1:delay=40ms", "s1>h1:delay=40ms", "h2-s1:delay=40ms", "h2>s1:rate=1mbit")


def marked(links: tuple[str, ...]) -> list[object]:
    """Each link as a parameter with its marker."""
    return [pytest.param(each, marks=pytest.mark.handshake(topology="star,hosts=3", links=[each])) for each in links]


@pytest.mark.parametrize("link", marked(LINKS))
@pytest.mark.parametrize("action", ["drop", "delay", "duplicate"])
@pytest.mark.parametrize("peer", ["h2", "h3"])
def test_a_fault_on_the_first_syn_fires(net: Net, link: str, action: str, peer: str) -> None:
    """Whether the packet filter carries it out (drop) or the middlebox (delay, duplicate)."""
    fault = {
        "drop": lambda: net.drop("SYN", nth=1, from_="h1"),
        "delay": lambda: net.delay("SYN", "300ms", nth=1, from_="h1"),
        "duplicate": lambda: net.duplicate("SYN", nth=1, from_="h1"),
    }[action]()
    hosts = {"h2": net.h2, "h3": net.h3}
    hosts[peer].listen(80)
    net.h1.connect((hosts[peer].ip, 80))
    net.sleep(2)

    assert fault.fired == 1, link
    first, *_ = sent(net.record(), "S")
    assert first.lost == (action == "drop")
    if action == "delay":
        assert seconds((first.received or 0) - (first.sent or 0)) >= 0.3
