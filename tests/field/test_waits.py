"""A wait answers for now: no socket counts as gone, or not there yet, because the last poll is older than it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from handshake_lab.expect.timer_windows import approx_giving_up, approx_timer, seconds, sockets_in, version
from handshake_lab.tcp.timers import syn_schedule
from tcp_steps import open_connection

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net
    from handshake_lab.experiment.recorded_socket import RecordedSocket

NEVER_CLOSES = [sys.executable, str(Path(__file__).parent / "programs" / "never_closes.py"), "80"]
#: Seconds for which Linux keeps an orphan in FIN-WAIT-2 (tcp_fin_timeout).
FIN_TIMEOUT = 60.0

answers_from_before = pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="waits are answered from a poll that is older than the socket"
)


def close_against_a_leak(net: Net) -> RecordedSocket:
    """Connect to a server that never closes its sockets, and close the client's end."""
    net.h2.start(NEVER_CLOSES, listening=True)
    client = net.h1.connect(("h2", 80))
    client.sendall(b"anything")
    client.close()
    return client


@pytest.mark.handshake_slow
def test_a_leak_shows_later(net: Net) -> None:
    """A server that does not close its socket has it in CLOSE-WAIT, however long the client has been gone."""
    close_against_a_leak(net)
    net.sleep(2 * FIN_TIMEOUT)

    assert len(sockets_in(net.h2.sockets(), "CLOSE-WAIT")) == 1


@answers_from_before
@pytest.mark.handshake_slow
def test_wait_until_closed_sees_a_leak(net: Net) -> None:
    """All sockets are never closed: one of the server's is left in CLOSE-WAIT."""
    close_against_a_leak(net)

    assert net.wait_until_closed(300) is False


@answers_from_before
@pytest.mark.handshake_slow
def test_wait_until_gone_waits_for_an_orphan(net: Net) -> None:
    """The client's end stays in FIN-WAIT-2 for tcp_fin_timeout, as the server never closes its own."""
    client = close_against_a_leak(net)
    began = seconds(net.clock.now())
    gone = net.wait_until_gone(client, 300)

    assert (gone, seconds(net.clock.now()) - began) == (True, approx_timer(FIN_TIMEOUT, plus=net.rtt))


@answers_from_before
def test_wait_for_none_sees_a_new_socket(net: Net) -> None:
    """A connection that was opened just now is there: no wait for none of them may end at once."""
    net.h1.connect(net.h2.listen(80))

    assert net.h1.wait_for("ESTABLISHED", count=0, limit=5) is False


@pytest.mark.handshake_slow
@pytest.mark.parametrize("polled", [pytest.param(False, marks=answers_from_before), True], ids=["unseen", "polled"])
def test_wait_until_gone(net: Net, *, polled: bool) -> None:
    """An orphan is gone after tcp_fin_timeout, whether or not a poll had shown it before close()."""
    client, _, _ = open_connection(net)
    if polled:
        net.h1.sockets()
    client.close()
    began = seconds(net.clock.now())
    gone = net.wait_until_gone(client)

    assert (gone, seconds(net.clock.now()) - began) == (True, approx_timer(FIN_TIMEOUT, plus=net.rtt))


@pytest.mark.handshake_slow
@pytest.mark.handshake(delay="50ms")
def test_wait_until_gone_over_a_slow_path(net: Net) -> None:
    """The same where the FIN is on its way when the wait begins."""
    client, _, _ = open_connection(net)
    client.close()
    began = seconds(net.clock.now())
    gone = net.wait_until_gone(client)

    assert (gone, seconds(net.clock.now()) - began) == (True, approx_timer(FIN_TIMEOUT, plus=net.rtt))


@answers_from_before
@pytest.mark.handshake_slow
@pytest.mark.handshake(delay="50ms")
def test_wait_until_gone_after_a_connect_that_does_not_block(net: Net) -> None:
    """A socket in SYN-SENT is there until its last SYN is given up."""
    net.drop("SYN", from_="h1")
    began = seconds(net.clock.now())
    client = net.h1.begin_connect((net.h2.ip, 80))
    gone = net.wait_until_gone(client, 300)

    assert (gone, seconds(net.clock.now()) - began) == (True, approx_giving_up(syn_schedule(version(net.kernel))))


def test_wait_for_state_that_holds_already(net: Net) -> None:
    """A state that was entered before the wait is found without waiting."""
    client, _, _ = open_connection(net)
    began = net.clock.now()

    assert net.wait_for_state(client, "ESTABLISHED", 5)
    assert seconds(net.clock.now() - began) < 0.1


@answers_from_before
def test_wait_until_closed_sees_an_open_connection(net: Net) -> None:
    """Both ends of a connection that nobody closes are open."""
    open_connection(net)

    assert net.wait_until_closed(5) is False
