"""Opening a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.experiment.world import World


@pytest.mark.network(delay="50ms")
def test_three_way_handshake(net: World) -> None:
    """RFC 9293, figure 6."""
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)

    assert net.history(client).states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]


@pytest.mark.network(delay="50ms")
def test_fails(net: World) -> None:
    """Fails."""
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    print("hello")
    assert net.history(client).states == ["CLOSED", "SYN-SENT", "ESTABLISHD"]
