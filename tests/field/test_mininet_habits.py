"""Hosts and networks can be used as Mininet's are: cmd, popen, IP, MAC, get, pingAll."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from handshake_lab import ProgramFailed, WaitTimedOut, approx_trip, seconds
from handshake_lab.network.echo import echo
from handshake_lab.recording.observations import Step

if TYPE_CHECKING:
    from handshake_lab import Net


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("echo one; echo two", "one\ntwo\n"),
        ("echo problem >&2", "problem\n"),
        ("printf 'no newline'", "no newline"),
        ("true", ""),
        ("cat", ""),  # there is no input that it could take the next command from
        ("false; echo $?", "1\n"),
        ("echo \"two  spaces\" 'and $HOME' \\\\", "two  spaces and $HOME \\\n"),
        ("for n in 1 2 3; do\n  echo $n\ndone", "1\n2\n3\n"),
        (r"printf '\177ELF'", "\x7fELF"),
        (r"printf '\377'", "\ufffd"),
        ("head -c 300000 /dev/zero | tr '\\0' x", "x" * 300_000),
    ],
)
def test_output(net: Net, command: str, output: str) -> None:
    """Standard output and standard error are returned as text."""
    assert net.h1.cmd(command) == output


def test_a_mistake_does_not_end_the_shell(net: Net) -> None:
    """Its message is the output; the next command works."""
    assert "unexpected EOF" in net.h1.cmd("echo 'never closed")
    assert "command not found" in net.h1.cmd("nosuchprogram")
    assert net.h1.cmd("echo", "still", 1) == "still 1\n"


def test_commands_share_a_shell(net: Net) -> None:
    """Directory, variables and functions stay for later commands of the same host, and of no other."""
    net.h1.cmd("cd /usr; greeting=hello; f() { echo f of $1; }")

    assert net.h1.cmd("pwd; echo $greeting; f x") == "/usr\nhello\nf of x\n"
    assert net.h2.cmd("echo $greeting") == "\n"


def test_it_runs_in_the_host(net: Net) -> None:
    """The programs of a host have its addresses."""
    assert net.h2.ip in net.h2.cmd("ip -brief address")
    assert net.h2.ip not in net.h1.cmd("ip -brief address")


def test_a_server_in_the_background(net: Net) -> None:
    """A job continues after the command; it can be found by its number and ended."""
    server = "import socket, time; s = socket.create_server(('', 80)); print('serving', flush=True); time.sleep(1e6)"
    assert net.h2.cmd(f'{sys.executable} -c "{server}" &') in ("", "serving\n")
    net.h2.wait_for("LISTEN")
    pid = int(net.h2.cmd("echo $!").removeprefix("serving\n"))
    assert net.h1.connect(("h2", 80)).getpeername() == (net.h2.ip, 80)
    net.h2.cmd(f"kill {pid}; wait {pid}")
    net.h2.wait_for("LISTEN", count=0)


def test_jobs_are_known_by_name(net: Net) -> None:
    """``kill %sleep``, as Mininet's examples have it."""
    net.h1.cmd("sleep 1000 &")
    assert "sleep 1000" in net.h1.cmd("jobs")
    net.h1.cmd("kill %sleep; wait %sleep")
    assert "sleep 1000" not in net.h1.cmd("jobs")


def test_a_command_takes_too_long(net: Net) -> None:
    """It is ended, with the shell; what it had printed is in the message."""
    net.h1.cmd("greeting=hello")
    with pytest.raises(WaitTimedOut, match=r"(?s)h1: the end of 'echo begun; sleep 1000'.*begun"):
        net.h1.cmd("echo begun; sleep 1000", limit=2)

    assert net.h1.cmd("echo new shell $greeting") == "new shell\n"


def test_a_command_ends_the_shell(net: Net) -> None:
    """The error states this, and the next command has a new shell."""
    with pytest.raises(ProgramFailed, match="'echo so long; exit 3' ended the shell with exit status 3") as caught:
        net.h1.cmd("echo so long; exit 3")

    assert caught.value.output == "so long\n"
    assert net.h1.cmd("echo again") == "again\n"


def test_a_command_is_on_record(net: Net) -> None:
    """With its host, its beginning and its end."""
    net.h1.cmd("sleep 2")
    steps = [seen for seen in net.observations if isinstance(seen, Step) and seen.call == "sleep 2"]

    assert [(step.node, step.phase) for step in steps] == [("h1", "begins"), ("h1", "ends")]
    assert 2.0 <= seconds(steps[1].t - steps[0].t) < 2.5


def test_popen(net: Net) -> None:
    """A process as Python's subprocess module makes it, with pipes."""
    split = net.h1.popen("echo 'one argument' two")
    listed = net.h1.popen(["cat"], stdin=-1, text=True)
    shell = net.h1.popen("echo $((1 + 1)) >&2; exit 5", shell=True)  # noqa: S604 -- what is tried

    assert split.communicate() == (b"one argument two\n", b"")
    assert listed.communicate("given") == ("given", "")
    assert (shell.communicate(), shell.returncode) == ((b"", b"2\n"), 5)


def test_popen_is_ended_with_the_test(net: Net) -> None:
    """A process that is left running does not keep the run."""
    assert net.h1.popen("sleep 1000").poll() is None


def test_addresses(net: Net) -> None:
    """IP() and MAC(), as `ip` shows them."""
    assert net.h1.IP() == net.h1.ip == "10.0.0.1"
    assert f"link/ether {net.h1.MAC()}" in net.h1.cmd("ip link show h1-eth0")


def test_get(net: Net) -> None:
    """One host for one name, a list for several."""
    assert net.get("h1") is net.h1
    assert net.get("h2", "h1") == [net.h2, net.h1]
    assert [host.name for host in net.hosts] == ["h1", "h2"]
    with pytest.raises(KeyError):
        net.get("h3")


@pytest.mark.handshake(topology="star,n=3", delay="10ms")
def test_ping_all(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    """Who reached whom is printed; the loss is returned in percent."""
    assert net.pingAll() == 0.0
    assert "h1 -> h2 h3\n" in capsys.readouterr().out
    net.link("s1", "h3").cut()

    assert net.pingAll(timeout=1) == pytest.approx(100 * 4 / 6)
    assert "h3 -> X X\n*** Results: 67% dropped (2/6 received)\n" in capsys.readouterr().out


@pytest.mark.handshake(delay="20ms")
def test_echo_takes_a_round_trip(net: Net) -> None:
    """The time of an echo is that of the path."""
    one, two = net.network["h1"], net.network["h2"]
    echo(one, two, 1)  # ARP takes a round trip of its own

    assert echo(one, two, 1) == approx_trip(net.rtt)
    assert echo(one, two, 0.01) is None


@pytest.mark.handshake(topology="pair,ipv6=True")
def test_ping_all_over_ipv6(net: Net) -> None:
    """By ICMPv6 where hosts have no IPv4 address."""
    assert net.pingAll() == 0.0


@pytest.mark.handshake(topology="routed")
def test_ping_all_through_a_router(net: Net) -> None:
    """From subnet to subnet."""
    assert net.pingAll() == 0.0
