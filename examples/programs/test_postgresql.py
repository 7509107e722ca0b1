"""PostgreSQL: a client that vanishes in the middle of a transaction."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from handshake_lab import Net, RunningProgram, WaitTimedOut, seconds, shared

pytestmark = [
    pytest.mark.needs("initdb", "postgresql"),
    pytest.mark.needs("psql", "postgresql-client"),
    pytest.mark.handshake(topology="star,n=3", delay="5ms"),
]

SETTINGS = ["listen_addresses=*", "fsync=off", "autovacuum=off", "shared_buffers=1MB"]
LOCKED = "BEGIN; UPDATE stock SET left_over = 0"
UPDATE = "UPDATE stock SET left_over = 7"


@pytest.fixture(scope="session")
@shared
def data() -> Path:
    """A cluster whose files belong to a user of their own: the server refuses to run as root. Made once, and forked."""
    place = Path("/var/tmp/cluster")  # noqa: S108 - of the lab kernel
    place.mkdir()
    shutil.chown(place, "nobody")
    command = ["initdb", "--no-sync", "-A", "trust", "-U", "app", "-D", place]
    subprocess.run(command, user="nobody", env={**os.environ, "HOME": str(place)}, check=True)
    with (place / "pg_hba.conf").open("a") as file:
        file.write("host all all all trust\n")
    return place


def start(net: Net, data: Path, *settings: str) -> None:
    """Start the server in h2, with a table of one row."""
    options = [part for each in (*SETTINGS, f"unix_socket_directories={data}", *settings) for part in ("-c", each)]
    net.h2.start(["postgres", "-D", str(data), *options], listening=5432, user="nobody")
    net.h2.run(psql(net, "CREATE TABLE stock AS SELECT 1 AS left_over"))


def psql(net: Net, *commands: str) -> list[str]:
    """The command of a client."""
    parts = [part for each in commands for part in ("-c", each)]
    return ["psql", "-qX", "-h", net.h2.ip, "-U", "app", "postgres", *parts]


def vanish(net: Net) -> RunningProgram:
    """A client in h1 locks the row, and its link is cut; another in h3 wants to change the row."""
    net.h1.start(psql(net, LOCKED, r"\! echo locked; sleep 100000"), prints="locked")
    net.sleep(1)  # for the delayed ACK: without it the server retransmits, for a quarter of an hour, and asks nothing
    net.link("s1", "h1").cut()
    return net.h3.start(psql(net, UPDATE))


def test_its_locks_are_held(net: Net, data: Path) -> None:
    """The server asks for its client after two hours of silence (tcp_keepalive_time): until then everybody waits."""
    start(net, data)
    waiting = vanish(net)
    with pytest.raises(WaitTimedOut):
        waiting.wait(300)


def test_keepalives_release_them(net: Net, data: Path) -> None:
    """Ten seconds of silence, then three probes, five seconds each."""
    start(net, data, "tcp_keepalives_idle=10", "tcp_keepalives_interval=5", "tcp_keepalives_count=3")
    waiting = vanish(net)
    began = net.clock.now()
    assert waiting.wait() == 0
    assert seconds(net.clock.now() - began) == pytest.approx(25, abs=5)
