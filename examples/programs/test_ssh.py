"""ssh: a NAT that forgets idle connections, and a server that vanishes."""

from pathlib import Path

import pytest
from handshake_lab import Net, RunningProgram, seconds

pytestmark = [
    pytest.mark.needs("sshd", "openssh-server"),
    pytest.mark.needs("ssh", "openssh-client"),
    pytest.mark.handshake(
        topology="nat", delay="10ms", sysctls={"r1:net.netfilter.nf_conntrack_tcp_timeout_established": 120}
    ),
]

CONFIGURATION = """
ListenAddress 0.0.0.0
HostKey {0}/host
AuthorizedKeysFile {0}/user.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile none
TCPKeepAlive no
"""


@pytest.fixture
def login(net: Net, tmp_path: Path) -> list[str]:
    """A server in h2, and the command with which h1 logs in."""
    for name in ("host", "user"):
        net.h2.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)])
    (tmp_path / "sshd_config").write_text(CONFIGURATION.format(tmp_path))
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd separates its privileges there
    net.h2.start(["/usr/sbin/sshd", "-D", "-e", "-f", str(tmp_path / "sshd_config")], listening=22)
    options = [
        "StrictHostKeyChecking=no",
        f"UserKnownHostsFile={tmp_path}/known",
        "TCPKeepAlive=no",
        "PasswordAuthentication=no",
    ]
    return ["ssh", "-F", "none", "-i", str(tmp_path / "user"), *(f"-o{each}" for each in options)]


def later(net: Net, login: list[str], *options: str) -> RunningProgram:
    """A command in h2 that prints something after five minutes of silence."""
    return net.h1.start([*login, *options, f"root@{net.h2.ip}", "sleep 300; echo done"])


def test_a_nat_forgets_an_idle_session(net: Net, login: list[str]) -> None:
    """The NAT answers the server's first segment after the silence with a RST, and the client waits for nothing."""
    waiting = later(net, login)
    net.sleep(400)

    assert waiting.status is None
    assert waiting.output == ""
    assert len(net.h1.wait_for("ESTABLISHED")) == 1
    assert {each.sender for each in net.record().segments if "R" in each.flags} == {"r1"}


def test_keepalives_keep_the_session(net: Net, login: list[str]) -> None:
    """ServerAliveInterval is shorter than the NAT's timeout."""
    session = later(net, login, "-oServerAliveInterval=60")

    assert session.wait(400) == 0
    assert session.output == "done\n"


def test_keepalives_notice_a_server_that_vanished(net: Net, login: list[str]) -> None:
    """Three questions without an answer, five seconds each: exit status 255."""
    session = later(net, login, "-oServerAliveInterval=5", "-oServerAliveCountMax=3")
    net.sleep(10)
    net.link("r1", "h2").cut()
    began = net.clock.now()

    assert session.wait() == 255
    assert seconds(net.clock.now() - began) == pytest.approx(20, abs=5.5)
