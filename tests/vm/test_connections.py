"""Connections on a stock kernel: over links and through faults as on the lab kernel."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from command_line import COMMAND

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net


@pytest.mark.handshake(delay="50ms")
def test_a_lost_syn_is_sent_again(net: Net) -> None:
    """RFC 6298 (2.1, 5.7): the SYN is sent again after one second, and the handshake then takes one RTT.

    Needs what a stock kernel has as modules: bridge, veth, netem, ifb, nf_tables, tcp_diag, and tracepoints.
    """
    net.drop("SYN", nth=1, from_="h1")
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    server, _ = listener.accept()

    opened, accepted = net.history(client), net.history(server)
    assert opened.states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert accepted.states == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    # Never too early. How late, depends on how long programs compute.
    assert 1.0 + net.rtt <= opened.time_in("SYN-SENT") / 1e9 < 3.0


def test_the_demonstration(request: pytest.FixtureRequest) -> None:
    """The README's demonstration: as documented, with TIME-WAIT's minute (TCP_TIMEWAIT_LEN)."""
    words = ["demo", "--json", "--kernel", request.config.getoption("--handshake-kernel")]
    done = subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(done.stdout)
    assert shown["kernel"]["kind"] == "vm"
    assert shown["verdict"]["text"] == "as documented: all 12 transitions are edges of RFC 9293's diagram"
