"""Connections of a host with itself: aborts, timers and TIME-WAIT that is used again have their causes there, too."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest
from complaints import complaints, describe, last
from tcp_steps import PORT, open_connection

if TYPE_CHECKING:
    from handshake_lab import Endpoint, Net, RecordedSocket

ABORT = struct.pack("ii", 1, 0)
PLACES = ["127.0.0.1", "own"]


def with_itself(net: Net, place: str) -> tuple[RecordedSocket, RecordedSocket]:
    """Both ends of a connection within h1, over loopback or over the host's own address."""
    address = net.h1.ip if place == "own" else place
    listener = net.h1.socket()
    listener.bind((address, PORT))
    listener.listen()
    client = net.h1.socket()
    client.connect((address, PORT))
    server, _ = listener.accept()
    return client, server


def ends(net: Net) -> list[Endpoint]:
    """The endpoints but listeners."""
    return [end for end in net.record().endpoints if end.role != "listener"]


@pytest.mark.parametrize("place", PLACES)
def test_an_abort(net: Net, place: str) -> None:
    """RFC 9293, 3.10.5: one end aborts, the other gets the RST, all within one host."""
    client, server = with_itself(net, place)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    client.close()
    net.sleep(0.1)

    assert last(net.history(client)) == ("27.ES", "call"), describe(net.record())
    assert last(net.history(server)) == ("26.ES", "reset"), describe(net.record())
    assert complaints(net.record()) == [], describe(net.record())


@pytest.mark.handshake_slow
@pytest.mark.parametrize("place", PLACES)
def test_each_end_is_one(net: Net, place: str) -> None:
    """Two endpoints, each from its beginning to its end, and every segment sent and received by the one host."""
    client, server = with_itself(net, place)
    client.sendall(b"hello")
    server.recv(5)
    client.close()
    server.recv(1)
    server.close()
    net.sleep(70)
    record = net.record()

    assert sorted(end.states[-2] for end in ends(net)) == ["LAST-ACK", "TIME-WAIT"], describe(record)
    assert {end.states[-1] for end in ends(net)} == {"CLOSED"}
    assert {(each.sender, each.receiver, each.lost) for each in record.segments} == {("h1", "h1", False)}


def test_time_wait_used_again(net: Net) -> None:
    """Edge 36: over loopback, connect() replaces a TIME-WAIT by default (tcp_tw_reuse=2): it was not destroyed."""
    listener = net.h1.socket()
    listener.bind(("127.0.0.1", PORT))
    listener.listen()
    first = net.h1.socket()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    first.bind(("127.0.0.1", 4000))
    first.connect(("127.0.0.1", PORT))
    accepted, _ = listener.accept()
    first.close()
    accepted.recv(1)
    accepted.close()
    net.sleep(2)
    second = net.h1.socket()
    second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    second.bind(("127.0.0.1", 4000))
    second.connect(("127.0.0.1", PORT))
    net.sleep(0.1)
    before = next(end for end in ends(net) if end.role == "client")

    assert before.states[-2:] == ["TIME-WAIT", "CLOSED"], describe(net.record())
    assert last(before) == ("36", "call"), describe(net.record())
    assert net.history(second).states[-1] == "ESTABLISHED"


@pytest.mark.handshake(delay="5ms")
@pytest.mark.parametrize("state", ["LAST-ACK", "CLOSING"])
def test_a_disconnect_behind_the_fin(net: Net, state: str) -> None:
    """connect(AF_UNSPEC) ends any state (tcp_disconnect(), net/ipv4/tcp.c): a call did it, and no timer."""
    client, server, _ = open_connection(net)
    net.drop("FIN", from_="h1") if state == "LAST-ACK" else net.drop("ACK", from_="h2")
    if state == "LAST-ACK":
        server.shutdown(socket.SHUT_WR)
        client.recv(1)
        client.shutdown(socket.SHUT_WR)
    else:
        client.shutdown(socket.SHUT_WR)
        server.shutdown(socket.SHUT_WR)
    if not net.wait_for_state(client, state):
        pytest.fail(describe(net.record()))
    disconnect(client)
    net.sleep(0.1)
    end = net.history(client)

    assert end.states[-2:] == [state, "CLOSED"], describe(net.record())
    assert end.transitions[-1].cause.kind == "call", describe(net.record())
    assert "AF_UNSPEC" in end.transitions[-1].cause.text


def disconnect(used: RecordedSocket) -> None:
    """Call connect() with AF_UNSPEC: Python's own refuses the family."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(used.fileno(), struct.pack("=H14x", socket.AF_UNSPEC), 16):
        raise OSError(ctypes.get_errno(), "connect(AF_UNSPEC)")


def test_an_accepted_socket_in_no_poll(net: Net) -> None:
    """All happens at once on the lab kernel: the cookie that accept() put on record finds the connection."""
    client, server = with_itself(net, "127.0.0.1")
    server.disconnect()
    net.sleep(0.1)

    assert last(net.history(server)) == ("27.ES", "call"), describe(net.record())
    assert net.history(server).transitions[-1].cause.text == "connect(AF_UNSPEC)"
    assert net.history(client).states[-1] == "CLOSED"
