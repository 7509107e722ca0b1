"""FINs that wait behind data or are lost: neither a deviation nor a close of both sides at the same time."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from complaints import complaints, describe
from handshake_lab import judge
from handshake_lab.report.layout.connections import connections
from handshake_lab.report.layout.outline import outline
from tcp_steps import PORT, open_connection

if TYPE_CHECKING:
    from handshake_lab import Net, RecordedSocket

pytestmark = pytest.mark.handshake(delay="5ms")

#: Bytes that the buffers of both ends cannot hold.
MUCH = 1_000_000


def with_a_closed_window(net: Net) -> tuple[RecordedSocket, RecordedSocket]:
    """A client whose server does not read: some of what it has sent waits in its own buffer."""
    listener = net.h2.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    listener.bind((net.h2.ip, PORT))
    listener.listen()
    client = net.h1.connect(listener)
    server, _ = listener.accept()
    client.setblocking(False)
    client.send(bytes(MUCH))
    return client, server


@pytest.mark.parametrize("state", ["FIN-WAIT-1", "LAST-ACK"])
def test_a_transfer_that_is_cut(net: Net, state: str) -> None:
    """The recording ends while the FIN waits: the verdict says so, and that it deviates from nothing."""
    client, server = with_a_closed_window(net)
    if state == "LAST-ACK":
        server.shutdown(socket.SHUT_WR)
        net.wait_for_state(client, "CLOSE-WAIT")
    client.close()
    net.sleep(1)
    verdict = judge(net.record())
    texts = [finding.text for finding in verdict.findings]

    assert net.history(client).states[-1] == state
    assert complaints(net.record()) == [], describe(net.record())
    assert (verdict.ok, verdict.exit_code) == (True, 0)
    assert any("no FIN was sent in this state" in text for text in texts), texts
    assert any("had not sent its FIN yet" in text for text in texts), texts


def test_a_fin_that_leaves_in_time(net: Net) -> None:
    """Once the server reads, the FIN is sent in the state that it belongs to: there is nothing to report."""
    client, server = with_a_closed_window(net)
    client.close()
    while server.recv(65_536):
        pass
    net.sleep(0.1)

    assert not [finding.text for finding in judge(net.record()).findings if "FIN was sent" in finding.text]


@pytest.mark.parametrize("later", [0.001, 0.1])
def test_who_closed_first(net: Net, later: float) -> None:
    """Both close at the same time only within the time of a segment on its way, also if a FIN is lost."""
    client, server, _ = open_connection(net)
    net.drop("FIN", from_="h1", nth=1)
    client.close()
    net.sleep(later)
    server.close()
    net.sleep(1)
    record = net.record()
    codes = [each.code for each in outline(record, connections(record))]

    assert "CLOSING" in net.history(client).states
    assert ("outline_both_closed" in codes) == (later < net.one_way)
    assert ("outline_closed_first_waits" in codes) == (later > net.one_way)
