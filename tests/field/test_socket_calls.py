"""Recorded sockets do what plain ones do, whichever calls a program makes, and are found again afterwards."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from complaints import describe
from handshake_lab import endpoint, transition
from handshake_lab.recording.observations import Step
from tcp_steps import open_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab import Net, RecordedSocket

pytestmark = pytest.mark.handshake(delay="5ms")


def test_dup(net: Net) -> None:
    """dup() is another descriptor of the same socket: closing it closes nothing else."""
    client, _, _ = open_connection(net)
    client.dup().close()
    net.sleep(net.rtt)

    assert net.history(client).states[-1] == "ESTABLISHED"


def test_shutdown_sends_the_fin(net: Net) -> None:
    """shutdown() sends the FIN; the close() that follows at once has nothing left to send (__tcp_close(), tcp.c)."""
    client, _, _ = open_connection(net)
    client.shutdown(socket.SHUT_RDWR)
    client.close()
    net.sleep(net.rtt)

    assert transition(net.history(client), "FIN-WAIT-1").cause.text == "shutdown(SHUT_RDWR)", describe(net.record())


def test_shutdown_while_connecting(net: Net) -> None:
    """shutdown() right after a connect() that does not block ends the attempt, edge 8 (inet_shutdown(), af_inet.c)."""
    client = net.h1.begin_connect(net.h2.listen(80))
    client.shutdown(socket.SHUT_RDWR)
    net.sleep(0.05)
    step = endpoint(net.record(), "h1", "client").transitions[-1]

    assert (step.edge, step.cause.text) == ("8", "shutdown(SHUT_RDWR)"), describe(net.record())


def test_history_after_shutdown_while_connecting(net: Net) -> None:
    """The socket that was shut down has its history."""
    client = net.h1.begin_connect(net.h2.listen(80))
    client.shutdown(socket.SHUT_RDWR)
    net.sleep(0.05)

    assert net.history(client).states == ["CLOSED", "SYN-SENT", "CLOSED"]


# What is on record of a socket's calls.


def calls(net: Net, of: RecordedSocket) -> list[str]:
    """The calls on a socket: ``name`` where it begins, ``name=result`` where it ends."""
    return [
        step.call if step.phase == "begins" else f"{step.call}={step.result}"
        for step in net.observations
        if isinstance(step, Step) and step.cookie == of.cookie
    ]


def test_dup_closes_with_the_last(net: Net) -> None:
    """The kernel closes a socket with its last descriptor: that close() is what is on record, whichever it is."""
    client, _, _ = open_connection(net)
    other = client.dup()
    client.close()
    net.sleep(net.rtt)
    before = [call for call in calls(net, other) if call.startswith("close")]
    other.sendall(b"still open")
    other.close()
    other.close()
    net.sleep(net.rtt)

    assert (before, [call for call in calls(net, other) if call.startswith("close")]) == ([], ["close", "close="])
    assert transition(net.history(other), "FIN-WAIT-1").cause.text == "close()"


def test_makefile_closes_with_the_last(net: Net) -> None:
    """A file that makefile() made keeps the socket open after close(), as plain sockets' do."""
    client, _, _ = open_connection(net)
    file = client.makefile("rb")
    client.close()
    net.sleep(net.rtt)
    before = net.history(client).states[-1]
    file.close()
    net.sleep(1)  # the ACK may be delayed

    assert (before, net.history(client).states[-1]) == ("ESTABLISHED", "FIN-WAIT-2")
    assert [call for call in calls(net, client) if call.startswith("close")] == ["close", "close="]


def test_connect_ex(net: Net) -> None:
    """On record as connect(), with its error; an error is not raised."""
    refused, opened, pending = net.h1.socket(), net.h1.socket(), net.h1.socket()
    listener = net.h2.listen(80)
    pending.setblocking(False)
    numbers = [
        refused.connect_ex((net.h2.ip, 81)),
        opened.connect_ex(listener.getsockname()),
        pending.connect_ex(listener.getsockname()),
    ]

    assert [errno.errorcode.get(number, "") for number in numbers] == ["ECONNREFUSED", "", "EINPROGRESS"]
    assert [calls(net, each) for each in (refused, opened, pending)] == [
        ["connect", "connect=ECONNREFUSED"],
        ["connect", "connect="],
        ["connect", "connect=EINPROGRESS"],
    ]
    assert transition(net.history(opened), "SYN-SENT").cause.text == "connect()"


def test_the_error_of_a_connect_that_did_not_block(net: Net) -> None:
    """SO_ERROR returns it, once; that is on record."""
    client = net.h1.begin_connect((net.h2.ip, 81))
    net.wait_until_gone(client)

    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR, 4) == bytes(4)
    assert calls(net, client)[2:] == ["getsockopt(SO_ERROR)=ECONNREFUSED"]


@pytest.mark.handshake(sysctls={"net.ipv4.tcp_fastopen": "3"})
@pytest.mark.parametrize("call", ["sendto", "sendmsg"])
def test_fast_open(net: Net, call: str) -> None:
    """Sending with MSG_FASTOPEN is what opens the connection, and blocks as connect() does."""
    listener = net.h2.listen(80)
    client = net.h1.socket()
    if call == "sendto":
        client.sendto(b"request", socket.MSG_FASTOPEN, listener.getsockname())
    else:
        client.sendmsg([b"re", b"quest"], [], socket.MSG_FASTOPEN, listener.getsockname())
    server, _ = listener.accept()

    assert server.recv(7) == b"request"
    assert calls(net, client) == [f"{call}(MSG_FASTOPEN)", f"{call}(MSG_FASTOPEN)="]
    assert transition(net.history(client), "SYN-SENT").cause.text == f"{call}(MSG_FASTOPEN)", describe(net.record())


def test_disconnect(net: Net) -> None:
    """connect() to no address aborts the connection with a RST; the socket can connect again."""
    client, server, listener = open_connection(net)
    client.disconnect()
    net.sleep(net.rtt)
    ours, theirs = net.history(client), net.history(server)
    client.connect(listener.getsockname())

    assert (ours.states[-1], ours.transitions[-1].cause.text) == ("CLOSED", "connect(AF_UNSPEC)"), describe(
        net.record()
    )
    assert theirs.states[-1] == "CLOSED"
    assert calls(net, client)[2:] == ["connect(AF_UNSPEC)", "connect(AF_UNSPEC)=", "connect", "connect="]


def test_disconnect_of_a_closed_socket(net: Net) -> None:
    """An error of the call is raised as Python raises it."""
    client = net.h1.socket()
    client.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        client.disconnect()


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("recv", lambda end: end.recv(1)),
        ("recv_into", lambda end: end.recv_into(bytearray(1))),
        ("recvmsg", lambda end: end.recvmsg(1)),
        ("recv_into", lambda end: end.makefile("rb").read(1)),
        ("send", lambda end: end.send(b"x")),
        ("sendall", lambda end: end.sendall(b"x")),
        ("sendmsg", lambda end: end.sendmsg([b"x"])),
    ],
)
def test_transfers_that_fail(net: Net, name: str, call: Callable[[RecordedSocket], object]) -> None:
    """An error of sending or receiving is on record; what succeeds is not: there may be thousands of them."""
    client, server, _ = open_connection(net)
    server.sendall(b"data")
    client.recv(4)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
    net.sleep(net.rtt)
    with pytest.raises(ConnectionResetError):
        call(client)

    assert calls(net, client)[2:] == [f"{name}=ECONNRESET"]


def test_what_would_block_is_no_failure(net: Net) -> None:
    """A program that polls a socket that does not block leaves nothing on record."""
    client, _, _ = open_connection(net)
    client.setblocking(False)
    for _ in range(3):
        with pytest.raises(BlockingIOError):
            client.recv(1)

    assert calls(net, client)[2:] == []


def test_a_timeout_of_the_programs_own(net: Net) -> None:
    """A timeout that a program sets is as Python's, and on record."""
    client, _, _ = open_connection(net)
    client.settimeout(0.5)
    with pytest.raises(TimeoutError, match="timed out"):
        client.recv(1)

    assert calls(net, client)[2:] == ["recv=TimeoutError"]


# The descriptors are as plain sockets' are.


def test_descriptors_block(net: Net) -> None:
    """O_NONBLOCK is set where the program asked for it only: sockets of every origin."""
    client, server, listener = open_connection(net)
    begun = net.h1.begin_connect(listener)
    made = [client, server, listener, begun, client.dup(), net.h1.udp_socket(), net.h1.socket()]

    assert [each.getblocking() for each in made] == [True] * len(made)
    assert [fcntl.fcntl(each, fcntl.F_GETFL) & os.O_NONBLOCK for each in made] == [0] * len(made)
    client.settimeout(1)
    assert fcntl.fcntl(client, fcntl.F_GETFL) & os.O_NONBLOCK


def test_an_accepted_socket_blocks(net: Net) -> None:
    """Whatever its listener does, as Python's own (Lib/socket.py, accept())."""
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    net.sleep(net.rtt)
    listener.setblocking(False)
    server, address = listener.accept()

    assert (server.getblocking(), address) == (True, client.getsockname())


def test_a_descriptor_in_a_child(net: Net) -> None:
    """A child that inherits a socket can read from it as from any: it would get EAGAIN otherwise."""
    client, server, _ = open_connection(net)
    os.set_inheritable(client.fileno(), True)
    child = net.h1.popen(["head", "-c", "4"], stdin=client.fileno(), pass_fds=[client.fileno()])
    net.sleep(1)
    server.sendall(b"data")

    assert child.communicate() == (b"data", b"")
