"""When timers of the lab kernel fire, and how exactly the end of TIME-WAIT is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab import State, endpoints
from handshake_lab.linux.timer_wheel import JIFFY, unit

if TYPE_CHECKING:
    from handshake_lab import Net

TIME_WAIT = 60 * 1_000_000_000  # TCP_TIMEWAIT_LEN, include/net/tcp.h


def test_the_end_of_every_time_wait_is_known_to_a_few_jiffies(net: Net) -> None:
    """Connections closed at different times share a slot of the timer wheel, or have the next; none is seen late.

    Between two polls there are as many jiffies as sockets whose timers are overdue.
    """
    if net.kernel.real_time:
        pytest.skip("the timer wheel of a kernel in real time is not known")
    listener = net.h2.listen(80)
    for _ in range(6):
        client = net.h1.connect(listener)
        server, _ = listener.accept()
        client.close()
        server.recv(1)
        server.close()
        net.sleep(0.7)
    net.wait_until_closed()

    waits = [each.transitions[-2:] for each in endpoints(net.record(), "h1", "client")]
    assert [(entered.new, ended.new) for entered, ended in waits] == [(State.TIME_WAIT, State.CLOSED)] * 6
    for entered, ended in waits:
        assert ended.time - ended.earliest <= 7 * JIFFY
        assert TIME_WAIT < ended.time - entered.time <= TIME_WAIT + (unit(TIME_WAIT) + 7) * JIFFY
    ends = [ended.time for _, ended in waits]
    apart = [round((ended - ends[0]) / (unit(TIME_WAIT) * JIFFY), 1) for ended in ends]
    assert all(each.is_integer() for each in apart)
    assert len(set(apart)) > 1
