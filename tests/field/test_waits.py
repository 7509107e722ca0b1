"""A wait uses current polls: a socket does not count as gone or missing because the last poll is older."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab import (
    ProgramFailed,
    UsageError,
    WaitTimedOut,
    approx_giving_up,
    approx_timer,
    kernel_version,
    seconds,
    sockets_in,
    syn_schedule,
)
from tcp_steps import open_connection

if TYPE_CHECKING:
    from handshake_lab import Net, RecordedSocket

NEVER_CLOSES = [sys.executable, str(Path(__file__).parent / "programs" / "never_closes.py"), "80"]
#: Seconds for which Linux keeps an orphan in FIN-WAIT-2 (tcp_fin_timeout).
FIN_TIMEOUT = 60.0


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


@pytest.mark.handshake_slow
def test_wait_until_closed_sees_a_leak(net: Net) -> None:
    """The server's socket is left in CLOSE-WAIT: the error names it."""
    close_against_a_leak(net)
    with pytest.raises(WaitTimedOut, match=r"h2: 10\.0\.0\.2:80 to 10\.0\.0\.1:\d+, CLOSE-WAIT") as caught:
        net.wait_until_closed(300)

    assert caught.value.waited == 300


def timed_until_gone(net: Net, client: RecordedSocket) -> tuple[str, Any]:
    """The last state in which a socket was seen before it was gone, and the seconds until then."""
    began = seconds(net.clock.now())
    last = net.wait_until_gone(client, 300)
    assert last is not None
    return last.state, seconds(net.clock.now()) - began


@pytest.mark.handshake_slow
def test_wait_until_gone_waits_for_an_orphan(net: Net) -> None:
    """The client's end stays in FIN-WAIT-2 for tcp_fin_timeout, as the server never closes its own."""
    client = close_against_a_leak(net)

    assert timed_until_gone(net, client) == ("FIN-WAIT-2", approx_timer(FIN_TIMEOUT, plus=net.rtt))


@pytest.mark.handshake_slow
@pytest.mark.parametrize("polled", [False, True], ids=["unseen", "polled"])
def test_wait_until_gone(net: Net, *, polled: bool) -> None:
    """An orphan is gone after tcp_fin_timeout, whether or not a poll had shown it before close()."""
    client, _, _ = open_connection(net)
    if polled:
        net.h1.sockets()
    client.close()

    assert timed_until_gone(net, client) == ("FIN-WAIT-2", approx_timer(FIN_TIMEOUT, plus=net.rtt))


@pytest.mark.handshake_slow
@pytest.mark.handshake(delay="50ms")
def test_wait_until_gone_over_a_slow_path(net: Net) -> None:
    """The same where the FIN is on its way when the wait begins."""
    client, _, _ = open_connection(net)
    client.close()

    assert timed_until_gone(net, client) == ("FIN-WAIT-2", approx_timer(FIN_TIMEOUT, plus=net.rtt))


@pytest.mark.handshake_slow
@pytest.mark.handshake(delay="50ms")
def test_wait_until_gone_after_a_connect_that_does_not_block(net: Net) -> None:
    """A socket in SYN-SENT is there until its last SYN is given up."""
    net.drop("SYN", from_="h1")
    client = net.h1.begin_connect((net.h2.ip, 80))

    assert timed_until_gone(net, client) == ("SYN-SENT", approx_giving_up(syn_schedule(kernel_version(net.kernel))))


def test_wait_until_gone_of_what_never_was(net: Net) -> None:
    """A socket that has not connected yet is in no table of the kernel's: there is nothing to wait for."""
    assert net.wait_until_gone(net.h1.socket()) is None


def test_wait_for_none_sees_a_new_socket(net: Net) -> None:
    """A connection that was just opened exists: a wait for the absence of connections must not end at once."""
    net.h1.connect(net.h2.listen(80))
    with pytest.raises(WaitTimedOut, match=r"(?s)no sockets of h1 in ESTABLISHED.*h1: .*, ESTABLISHED"):
        net.h1.wait_for("ESTABLISHED", count=0, limit=5)


def test_wait_for_none_sees_a_socket_of_a_program(net: Net) -> None:
    """Also where the socket is a program's, of which no call is on record."""
    net.h2.start(NEVER_CLOSES, listening=80)
    code = "import socket, time; s = socket.create_connection(('h2', 80)); time.sleep(1e6)"
    net.h1.popen([sys.executable, "-c", code])
    net.sleep(1)
    with pytest.raises(WaitTimedOut):
        net.h2.wait_for("ESTABLISHED", count=0, limit=5)


def test_wait_for_state_that_is_over(net: Net) -> None:
    """A state that a poll has shown and that is over is not waited for with success."""
    client, server, _ = open_connection(net)
    net.h1.sockets()
    client.close()
    server.close()
    with pytest.raises(WaitTimedOut, match="TIME-WAIT"):
        net.wait_for_state(client, "ESTABLISHED", 5)


@pytest.mark.handshake(delay="10ms")
def test_wait_for_returns_what_it_waited_for(net: Net) -> None:
    """The sockets themselves, with addresses and timers."""
    net.drop("SYN-ACK", from_="h2")
    listener = net.h2.listen(80)
    net.h1.begin_connect(listener)
    (request,) = net.h2.wait_for("SYN-RECEIVED")

    assert (request.state, request.local.port, request.timer) == ("SYN-RECEIVED", 80, "on")


def test_wait_for_state_that_holds_already(net: Net) -> None:
    """A state that was entered before the wait is found without waiting."""
    client, _, _ = open_connection(net)
    began = net.clock.now()
    shown = net.wait_for_state(client, "ESTABLISHED", 5)

    assert (shown.cookie, shown.state) == (client.cookie, "ESTABLISHED")
    assert seconds(net.clock.now() - began) < 0.1


def test_wait_until_closed_sees_an_open_connection(net: Net) -> None:
    """Both ends of a connection that no program closes are open."""
    open_connection(net)
    with pytest.raises(WaitTimedOut, match=r"(?s)h1: .*ESTABLISHED\n.*h2: .*ESTABLISHED"):
        net.wait_until_closed(5)


@pytest.mark.handshake_slow
def test_wait_until_closed_returns_the_listeners(net: Net) -> None:
    """What may be left is returned."""
    client, server, _ = open_connection(net)
    client.close()
    server.close()

    assert [(each.state, each.local.port) for each in net.wait_until_closed()] == [("LISTEN", 80)]


@pytest.mark.parametrize("state", ["FIN_WAIT_2", "established", ""])
def test_a_misspelt_state_is_refused(net: Net, state: str) -> None:
    """The wait could never succeed."""
    with pytest.raises(UsageError, match="is not a state of TCP"):
        net.h1.wait_for(state)
    with pytest.raises(UsageError, match="is not a state of TCP"):
        net.wait_for_state(net.h1.socket(), state)


@pytest.mark.handshake_slow
def test_a_fault_that_does_not_fire(net: Net) -> None:
    """Waiting for a fault ends with an error that it never fired."""
    fault = net.drop("SYN", nth=2, optional=True)
    held = net.hold("RST", optional=True)
    net.h1.connect(net.h2.listen(80))
    for each in (fault, held):
        with pytest.raises(WaitTimedOut, match=f"(?s){re.escape(str(each.fault))}.*fired 0 times"):
            each.wait(limit=5)


def test_a_fault_that_fires(net: Net) -> None:
    """Waiting for a fault returns how often it has fired."""
    fault = net.drop("SYN", first=2)
    net.h1.begin_connect((net.h2.ip, 80))

    assert fault.wait(2) == 2


def test_no_wait_for_closed(net: Net) -> None:
    """No poll shows a closed socket: such a wait could never succeed, and one for none of them would at once."""
    with pytest.raises(UsageError, match="wait_until_gone"):
        net.wait_for_state(net.h1.socket(), "CLOSED")
    with pytest.raises(UsageError, match="wait_until_gone"):
        net.h1.wait_for("CLOSED", count=0)


# Servers.


def python(code: str) -> list[str]:
    """A program in Python."""
    return [sys.executable, "-c", code]


def serves(port: int, kind: str = "SOCK_STREAM", *, after: float = 0.0) -> list[str]:
    """A server that takes its time before it listens."""
    listens = "; s.listen()" if kind == "SOCK_STREAM" else ""
    binds = f"s = socket.socket(type=socket.{kind}); s.bind(('', {port})){listens}"
    return python(f"import socket, time; time.sleep({after}); {binds}; time.sleep(1e6)")


@pytest.mark.parametrize("listening", [True, 80, "80", "tcp:80", "tcp"])
def test_a_server_that_takes_its_time(net: Net, listening: bool | int | str) -> None:
    """After the call, it listens."""
    net.h2.start(serves(80, after=3), listening=listening)

    assert net.h1.connect(("h2", 80)).getpeername() == (net.h2.ip, 80)


@pytest.mark.parametrize("listening", [True, "udp:53", "udp"])
def test_a_udp_server_that_takes_its_time(net: Net, listening: bool | str) -> None:
    """A UDP server listens once its port is bound: a datagram that comes then is not refused (ICMP)."""
    began = net.clock.now()
    net.h2.start(serves(53, "SOCK_DGRAM", after=3), listening=listening)
    waited = seconds(net.clock.now() - began)
    client = net.h1.udp_socket()
    client.connect((net.h2.ip, 53))
    client.send(b"one")
    net.sleep(0.1)

    assert client.send(b"two") == 3
    assert 3 <= waited < 4 or net.kernel.real_time


def test_a_name_lookup_is_not_a_server(net: Net) -> None:
    """A server may connect a UDP socket before it listens, as resolvers do: that is a client's socket."""
    lookup = (
        "import socket, time; c = socket.socket(type=socket.SOCK_DGRAM); c.connect(('127.0.0.1', 53)); time.sleep(3)"
    )
    code = f"{lookup}; s = socket.socket(); s.bind(('', 80)); s.listen(); time.sleep(1e6)"
    net.h2.start(python(code), listening=True)

    assert net.h1.connect(("h2", 80)).getpeername() == (net.h2.ip, 80)


@pytest.mark.parametrize(
    "opens",
    [
        "s = socket.socket(socket.AF_INET6); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)",
        "s = socket.socket(socket.AF_INET6); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)",
        "os.fork() and os._exit(0); time.sleep(0.5); s = socket.socket(socket.AF_INET6)",
        "s = socket.create_server(('', 80)); s.close(); time.sleep(3); s = socket.socket(socket.AF_INET6)",
    ],
    ids=["IPv6 only", "both families", "a daemon", "a second attempt"],
)
@pytest.mark.handshake(topology="pair,ipv6=True")
def test_unusual_servers(net: Net, opens: str) -> None:
    """Other ways to come to listen: once the call returns, the server can be connected to."""
    net.h2.start(
        python(f"import os, socket, time; {opens}; s.bind(('::', 80)); s.listen(); time.sleep(1e6)"), listening=80
    )

    assert net.h1.connect(("h2", 80)).getpeername()[:2] == (net.h2.ip, 80)


def test_a_server_that_dies(net: Net) -> None:
    """The error has its status and what it printed."""
    with pytest.raises(ProgramFailed, match="exited with status 3 and did not listen") as caught:
        net.h2.start(python("import sys; print('no configuration'); sys.exit(3)"), listening=True)

    assert "no configuration" in str(caught.value)
    assert (caught.value.node, caught.value.output) == ("h2", "no configuration")


def test_a_server_that_is_killed(net: Net) -> None:
    """The error has the signal."""
    with pytest.raises(ProgramFailed, match="was ended by SIGKILL"):
        net.h2.start(python("import os; os.kill(os.getpid(), 9)"), listening=80)


def test_a_server_that_cannot_bind(net: Net) -> None:
    """That another socket has the port does not make it listen; its own words are in the message."""
    net.h2.listen(80)
    with pytest.raises(ProgramFailed, match="Address already in use"):
        net.h2.start(serves(80), listening=80)


def test_a_program_that_exits_without_listening(net: Net) -> None:
    """For a server, exit status 0 does not mean success."""
    with pytest.raises(ProgramFailed, match="exited with status 0 and did not listen on TCP port 80"):
        net.h2.start(["true"], listening=80)


@pytest.mark.handshake_slow
@pytest.mark.parametrize("listening", [True, 81, "udp:80", "udp"])
def test_a_server_that_never_listens_there(net: Net, listening: bool | int | str) -> None:
    """The error names the ports on which it listens instead, if there are any."""
    server = python("import time; time.sleep(1e6)") if listening is True else serves(80)
    listens = "no new port" if listening is True else "TCP port 80"
    with pytest.raises(WaitTimedOut, match=f"h2 listens on {listens}"):
        net.h2.start(server, listening=listening)


def test_a_daemon(net: Net) -> None:
    """A program that starts a daemon and exits has succeeded."""
    code = "import os, socket, time\nif os.fork(): os._exit(0)\nos.setsid(); time.sleep(0.2); s = socket.create_server"
    net.h2.start(python(f"{code}(('', 80)); time.sleep(1e6)"), listening=80)

    assert net.h1.connect(("h2", 80)).getpeername() == (net.h2.ip, 80)


@pytest.mark.parametrize("listening", [0, 65536, -1, "sctp:80", "udp:", "http", 1.5, None])
def test_what_is_not_a_port(net: Net, listening: bool | int | str) -> None:
    """Refused before anything is started."""
    with pytest.raises(UsageError, match="listening"):
        net.h2.start(["true"], listening=listening)


def test_a_program_that_goes_on(net: Net) -> None:
    """Waiting for a program's end returns its status; if it is still running, the error contains its output."""
    net.h2.listen(80)
    ends = net.h1.start(python("import sys; sys.exit(4)"))
    goes_on = net.h1.start(python("import time; print('working', flush=True); time.sleep(1e6)"))

    assert ends.wait() == 4
    with pytest.raises(WaitTimedOut, match=r"the end of .*\n.*\n  working"):
        goes_on.wait(5)


@pytest.mark.handshake_slow
def test_a_call_that_blocks_gives_up(net: Net) -> None:
    """After 20 minutes, as TimeoutError; the descriptor itself blocks."""
    client, _, _ = open_connection(net)
    began = seconds(net.clock.now())
    with pytest.raises(TimeoutError, match="recv"):
        client.recv(1)

    assert seconds(net.clock.now()) - began == approx_timer(1200)
    assert client.gettimeout() is None
    with pytest.raises(BlockingIOError):
        client.recv(1, socket.MSG_DONTWAIT)
