"""Servers are stopped, killed and restarted at segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.pytest_plugin.dispatch import finding_test

if TYPE_CHECKING:
    from explore.conftest import Project

#: A server that counts in memory, or in a file; restarted in between, only the latter continues. It does not import the
#: modules socket and os, which takes longer than the run.
COUNTER = """
import _socket, posix
listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", 80))
listener.listen()
kept = posix.open("/tmp/count", posix.O_RDWR | posix.O_CREAT)
count = len(posix.read(kept, 99)) if KEEPS else 0
while True:
    connection, _ = listener._accept()
    try:
        if posix.read(connection, 1):
            count += 1
            posix.write(kept, b"+")
            posix.write(connection, b"%d" % count)
    except ConnectionError:
        pass
    posix.close(connection)
"""
SHOP = """
    import pytest

    import time

    KEEPS = False
    SERVER = {program!r}

    def ask(net):
        for _ in range(5):
            try:
                with net.h1.socket() as client:
                    client.settimeout(30)
                    client.connect(("h2", 80))
                    client.sendall(b"?")
                    if answer := client.recv(10):
                        return int(answer)
            except ConnectionError:
                pass
            net.sleep(1)

    def start(net, keeps):
        return net.h2.start(["python3", "-I", "-S", "-c", SERVER.replace("KEEPS", str(keeps))], listening=80)

    @pytest.mark.handshake(delay="20ms")
    def test_shop(net):
        start(net, KEEPS)
        first = ask(net)
        assert ask(net) > first
"""


#: The same faults, activated before the run.
ACTIVATED = """
    @pytest.mark.handshake(delay="20ms")
    @pytest.mark.parametrize("keeps", [False, True])
    def test_restarted(net, keeps):
        net.fault("{restart}")
        start(net, keeps)
        first = ask(net)
        assert ask(net) > first

    @pytest.mark.handshake(delay="20ms")
    def test_stopped(net):
        net.fault("stop h2 10s on DATA nth=1 from h1")
        start(net, False)
        began = time.monotonic()
        assert ask(net) == 1
        assert 10 < time.monotonic() - began < 10.1

    @pytest.mark.handshake(delay="20ms")
    def test_killed(net):
        net.fault("kill h2 on DATA nth=1 from h1")
        server = start(net, False)
        assert ask(net) is None
        assert server.wait() == -9

    @pytest.mark.handshake(delay="20ms")
    def test_killed_nothing(net):
        net.fault("kill h1 on DATA nth=1 from h1")
        start(net, False)
        assert ask(net) == 1
"""


def test_a_restart_that_loses_state_is_found(project: Project) -> None:
    """Only a restart between the requests shows it. With the count in a file it does not fail."""
    project.write(test_shop=SHOP.format(program=COUNTER))

    ((exploration,),) = project.search("of=restart findings=1", test_shop=[""]).values()

    (finding,) = exploration.findings
    assert finding.repeatable
    (fault,) = finding.faults
    assert finding_test.call(fault) == f'net.fault("{fault}")'
    project.write(test_shop=SHOP.format(program=COUNTER) + ACTIVATED.format(restart=fault))
    result = project.run("-k", "restarted or stopped or killed")
    result.assert_outcomes(failed=2, passed=3)
    result.stdout.fnmatch_lines(["*never fired: of * segments, * DATA, * from h1; no server was running on h1.*"])
    result.stdout.fnmatch_lines(["FAILED test_shop.py::test_restarted[[]False]*"])
