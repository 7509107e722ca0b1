"""How TIME-WAIT ends before its time: mini-sockets report nothing, so that each cause needs evidence of its own."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from complaints import complaints, describe, last
from tcp_steps import PORT, abort, errno_of

if TYPE_CHECKING:
    from handshake_lab import Net, RecordedSocket

pytestmark = pytest.mark.handshake(delay="5ms")

FROM = 4000
DESTROY = ["ss", "-K", "state", "time-wait", "dport", "=", f":{PORT}"]
#: nft: no SYN leaves the host; the capture is behind this hook.
FILTER = """add table ip filter
add chain ip filter out { type filter hook output priority 0; }
add rule ip filter out tcp flags syn drop"""


def bound(net: Net) -> RecordedSocket:
    """A socket of h1 at the same port as any other of these."""
    made = net.h1.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((net.h1.ip, FROM))
    return made


def in_time_wait(net: Net) -> RecordedSocket:
    """The listener of a connection whose client is in TIME-WAIT."""
    listener = net.h2.listen(PORT)
    client = bound(net)
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    client.close()
    server.recv(1)
    server.close()
    net.sleep(2)
    return listener


def test_destroyed_by_nobody_on_record(net: Net) -> None:
    """Somebody's ss -K leaves no trace: the cause is unknown."""
    in_time_wait(net)
    net.network["h1"].run(DESTROY)
    net.sleep(2)
    first = net.record().endpoints[0]

    assert first.states[-2:] == ["TIME-WAIT", "CLOSED"], describe(net.record())
    assert (last(first), first.transitions[-1].cause.text) == ((None, "unknown"), "not observed")


def test_destroyed_on_record(net: Net) -> None:
    """A recorded ss -K shows it."""
    in_time_wait(net)
    net.h1.run(DESTROY)
    net.sleep(2)

    assert last(net.record().endpoints[0]) == ("42.TW", "call"), describe(net.record())


@pytest.mark.parametrize("leaves", [True, False], ids=["SYN", "filtered"])
@pytest.mark.handshake(sysctls={"h1:net.ipv4.tcp_tw_reuse": 1})
def test_taken_over_by_a_connect(net: Net, *, leaves: bool) -> None:
    """connect() with the same addresses ends it, also if its SYN is never sent."""
    listener = in_time_wait(net)
    if not leaves:
        net.h1.run(["nft", FILTER])
    again = bound(net)
    again.settimeout(1)
    failed = errno_of(lambda: again.connect(listener.getsockname()))
    net.sleep(2)
    first = net.record().endpoints[0]

    assert failed in ((None,) if leaves else (None, errno.ETIMEDOUT))
    assert last(first) == ("36", "call"), describe(net.record())
    assert first.transitions[-1].cause.text == "connect() with the same addresses and ports"


@pytest.mark.parametrize("address", ["127.0.0.1", "own"])
def test_a_connection_in_one_instant(net: Net, address: str) -> None:
    """A connection of a socket with itself, aborted at once, is in no poll: they were made all the same."""
    itself = net.h1.socket()
    itself.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place = (net.h1.ip if address == "own" else address, FROM)
    itself.bind(place)
    itself.connect(place)
    abort(itself)
    net.sleep(1)

    assert net.record().objections == (), describe(net.record())
    assert complaints(net.record()) == []
    assert last(net.record().endpoints[0]) == ("27.ES", "call")
