"""What a program does to its connection, derived from the kernel's reports: its calls are not recorded."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from complaints import complaints, describe
from handshake_lab import endpoints

if TYPE_CHECKING:
    from handshake_lab import Endpoint, Net

pytestmark = pytest.mark.handshake()

CALLS = str(Path(__file__).parent / "programs" / "calls.py")
SERVES_ONE = str(Path(__file__).parent / "programs" / "serves_one.py")
CLOSES, DISCONNECTS = "close() that aborts", "connect(AF_UNSPEC)"
#: What a program does after connect(): the edge and the call that end its connection.
ENDS = {
    "disconnect(); wait()": ("27.ES", DISCONNECTS),
    "disconnect(); sock.close()": ("27.ES", DISCONNECTS),
    "disconnect(); os._exit(0)": ("27.ES", DISCONNECTS),
    "shutdown(); disconnect(); wait()": ("27.F1", DISCONNECTS),
    "shutdown(); wait(); disconnect(); wait()": ("27.F2", DISCONNECTS),
    "in_thread(disconnect); wait()": ("27.ES", DISCONNECTS),
    "abort()": ("27.ES", CLOSES),
    "shutdown(); abort()": ("27.F1", CLOSES),
    "shutdown(); wait(); abort()": ("27.F2", CLOSES),
    "in_thread(abort)": ("27.ES", CLOSES),
    "in_child(abort)": ("27.ES", CLOSES),
    "passed_on(abort)": ("27.ES", CLOSES),
    "os.dup(sock.fileno()); abort(); os._exit(0)": ("27.ES", CLOSES),
    "wait(); os.kill(os.getpid(), 9)": ("27.ES", CLOSES),
}


def client(net: Net, doings: str, *, says: bytes = b"") -> Endpoint:
    """The history of a program's first connection to a server in h2, which sends something."""
    listener = net.h2.listen(80)
    program = net.h1.popen([sys.executable, CALLS, "h2", "80", doings])
    server, _ = listener.accept()
    if says:
        server.sendall(says)
    program.wait()
    net.sleep(1)
    return endpoints(net.record(), "h1", "client")[0]


@pytest.mark.parametrize("doings", ENDS)
def test_an_abort(net: Net, doings: str) -> None:
    """Which call aborted: connect(AF_UNSPEC) leaves the socket, and is counted by no counter of aborts."""
    end = client(net, doings, says=b"unread" if "kill" in doings else b"")
    step = end.transitions[-1]

    assert (step.edge, step.cause.text) == ENDS[doings], describe(net.record())
    assert complaints(net.record()) == [], describe(net.record())


@pytest.mark.parametrize(
    "doings", ["sock.close()", "in_child(sock.close)", "passed_on(sock.close)", "shutdown(); sock.close()"]
)
def test_an_orderly_close(net: Net, doings: str) -> None:
    """close() or shutdown(), whichever process calls it: no other program destroyed the socket."""
    end = client(net, doings)

    assert end.states[-2:] == ["FIN-WAIT-1", "FIN-WAIT-2"]
    assert end.transitions[2].cause.text == "close() or shutdown()"


LISTENER = "its listener was closed before accept()"
#: What a server does with its listener and its connection: the edge and the call that end the connection.
SERVERS = {
    "wait(); listener.close()": ("39.ES", LISTENER),
    "wait(); leave()": ("39.ES", LISTENER),
    "wait(); listener.shutdown(2); wait()": ("39.ES", LISTENER),
    "wait(); disconnect(listener); wait()": ("39.ES", LISTENER),
    "server = accepted(); disconnect(server); wait()": ("27.ES", DISCONNECTS),
    # Python closes what nobody refers to at once: from the kernel's reports, both calls look like one.
    "disconnect(accepted()); wait()": ("27.ES", f"{CLOSES} or {DISCONNECTS}"),
    "abort(accepted()); wait()": ("27.ES", CLOSES),
    "abort(accepted()); leave()": ("27.ES", CLOSES),
    "abort(accepted()); listener.close(); wait()": ("27.ES", CLOSES),
}


@pytest.mark.parametrize("doings", SERVERS)
def test_a_server(net: Net, doings: str) -> None:
    """A listener that closes at the time of an abort is no cause: the connection had ended before."""
    server = net.h2.start([sys.executable, SERVES_ONE, net.h2.ip, "80", doings], listening=80)
    net.h1.connect((net.h2.ip, 80))
    server.wait()
    net.sleep(1)
    (end,) = endpoints(net.record(), "h2", "server")
    step = end.transitions[-1]

    assert (step.edge, step.cause.text) == SERVERS[doings], describe(net.record())


def test_each_of_several_connections_of_a_socket(net: Net) -> None:
    """The socket is used again after connect(AF_UNSPEC): two connections, each with its own end."""
    listener = net.h2.listen(80)
    program = net.h1.popen([sys.executable, CALLS, "h2", "80", "disconnect(); reconnect(); abort()"])
    listener.accept()
    listener.accept()
    program.wait()
    net.sleep(1)
    found = endpoints(net.record(), "h1", "client")

    assert [end.transitions[-1].cause.text for end in found] == [DISCONNECTS, CLOSES], describe(net.record())


def test_a_listener_that_is_dissolved(net: Net) -> None:
    """connect(AF_UNSPEC) ends LISTEN, too, and no poll need have seen the listener."""
    listener = net.h1.socket()
    listener.bind((net.h1.ip, 5000))
    listener.listen()
    listener.disconnect()

    assert net.history(listener).transitions[-1].cause.text == DISCONNECTS, describe(net.record())


def test_every_life_of_a_socket(net: Net) -> None:
    """A retry on the same socket after ECONNREFUSED is a connection of its own; `history` chooses which."""
    client = net.h1.socket()
    listener = net.h2.listen(80)
    client.connect_ex((net.h2.ip, 81))
    client.connect(listener.getsockname())

    assert [net.history(client, connection=each).states[-1] for each in (0, 1, -1)] == [
        "CLOSED",
        "ESTABLISHED",
        "ESTABLISHED",
    ]
    with pytest.raises(LookupError, match="2 connections: there is no connection=2"):
        net.history(client, connection=2)


@pytest.mark.parametrize("recorded", [True, False])
def test_an_orphan_that_is_destroyed(net: Net, recorded: bool) -> None:
    """SOCK_DESTROY ends a mini-socket in FIN-WAIT-2 without a trace: only a recorded call shows it."""
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    listener.accept()
    client.close()
    net.sleep(1)
    host = net.h1 if recorded else net.network["h1"]
    host.run(["ss", "-K", "dport", "=", ":80"])
    net.sleep(1)
    step = net.history(client).transitions[-1]

    assert (step.old, step.new) == ("FIN-WAIT-2", "CLOSED")
    assert step.cause.text == ("SOCK_DESTROY" if recorded else "not observed"), describe(net.record())


def test_probes_are_not_without_effect(net: Net) -> None:
    """A keepalive probe is out of the window, so that the peer answers with an ACK."""
    client = net.h1.connect(net.h2.listen(80))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
        client.setsockopt(socket.IPPROTO_TCP, option, 1)
    net.sleep(5)
    record = net.record()

    assert len([each for each in record.segments if each.sender == "h1"]) > 4
    assert [each.number for each in record.segments if each.ignored] == []


@pytest.mark.parametrize("before", ["fresh", "connected", "bound"])
def test_a_listener_without_a_port(net: Net, before: str) -> None:
    """listen() on a socket that is not bound chooses the port after the first event: it is one listener."""
    made = net.h1.socket()
    if before != "fresh":
        listener = net.h2.listen(80)
        if before == "bound":
            made.bind((net.h1.ip, 5000))
        made.connect(listener.getsockname())
        listener.accept()
        made.disconnect()
    made.listen()
    net.sleep(0.1)
    found = [
        (end.node, end.local.port) for end in net.record().endpoints if end.role == "listener" and end.node != "h2"
    ]

    assert found == [("h1", made.getsockname()[1])], describe(net.record())
