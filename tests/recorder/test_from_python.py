"""Recording, reading and judging runs from Python, by what `import handshake_lab` exports."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import handshake_lab as hl
import pytest
from command_line import parked_kernels
from handshake_lab.recording.observations import TcpProbe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

SERVER = [f"{sys.executable} -m http.server 80"]
CLIENT = [
    f'{sys.executable} -c "import urllib.request as r; print(len(r.urlopen(\\"http://h2/\\").read()) > 0)"',
]


@pytest.fixture(scope="module", autouse=True)
def _parked() -> Iterator[None]:
    """No run of this file boots a kernel of its own."""
    with parked_kernels():
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> hl.Run:
    """A run that is kept."""
    return hl.record(
        servers=SERVER,
        clients=CLIENT,
        links=["delay=50ms"],
        faults=["drop SYN-ACK nth=1"],
        kernel="lab",
        seed=7,
        out=tmp_path_factory.mktemp("runs") / "my-run",
    )


def test_it_is_recorded(run: hl.Run) -> None:
    """The record has both ends of the connection and the segment that was lost."""
    client = hl.endpoint(run.record, "h1", "client")
    verdict = hl.judge(run.record)

    assert verdict.ok
    assert client.states[:3] == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert hl.seconds(client.time_in("SYN-SENT")) == hl.approx_timer(1.0, plus=0.1)
    assert hl.sent(run.record, "SA")[0].lost
    assert "SYN-SENT" in hl.ladder(run.record, verdict=verdict)
    assert hl.page(run.record, run.observations, title="a run").startswith("<!DOCTYPE html>")


def test_it_is_kept(run: hl.Run) -> None:
    """Reading it gives the same again; what the programs printed is beside it."""
    assert run.directory is not None
    again = hl.read(run.directory)

    assert (again.record, again.observations, again.directory) == (run.record, run.observations, run.directory)
    assert hl.read(str(run.directory / "events.jsonl")).record == run.record
    assert (run.directory / "h1-client-1.out").read_text() == "True\n"
    assert (run.directory / "capture.pcapng").exists()


def test_curves_change_nothing_else(run: hl.Run) -> None:
    """The reports of congestion windows are more lines; every other line is the same without them."""
    without = hl.record(
        servers=SERVER, clients=CLIENT, links=["delay=50ms"], faults=["drop SYN-ACK nth=1"], seed=7, curves=False
    )
    probes = [each for each in run.observations if isinstance(each, TcpProbe)]

    assert {each.local.ip for each in probes} == {"10.0.0.1", "10.0.0.2"}
    assert [each for each in run.observations if each not in probes] == list(without.observations)


def test_it_is_the_same_again(run: hl.Run) -> None:
    """With the same seed; and no files are left of a run that is not kept."""
    again = hl.record(servers=SERVER, clients=CLIENT, links=["delay=50ms"], faults=["drop SYN-ACK nth=1"], seed=7)

    assert again.directory is None
    assert hl.sent_at(again.record) == hl.sent_at(run.record)


@pytest.mark.parametrize(
    ("wanted", "error", "fields"),
    [
        ({}, hl.UsageError, {"field": "--server, --client"}),
        ({"clients": ["true"], "kernel": "marble"}, hl.UsageError, {"field": "--kernel", "value": "marble"}),
        ({"clients": ["h9=true"]}, hl.UsageError, {"field": "--client", "value": "h9"}),
        ({"clients": ["true"], "topology": "ring"}, hl.UsageError, {"field": "topology", "value": "ring"}),
        ({"clients": ["true"], "links": ["h1>h9:loss=1%"]}, hl.UsageError, {"value": "h9"}),
        ({"clients": ["true"], "memory": 1}, hl.UsageError, {"field": "--memory", "value": 1}),
        ({"clients": ["true"], "clock_start": "noon"}, hl.UsageError, {"value": "noon"}),
        # These are raised inside the kernel.
        ({"clients": ["/no/such/program -x"]}, hl.UsageError, {"field": "--client", "value": "/no/such/program -x"}),
        ({"clients": ["true"], "faults": ["drop SYN nth=1"]}, hl.FaultNeverFired, {}),
    ],
)
def test_errors(wanted: dict[str, Any], error: type[hl.HandshakeError], fields: dict[str, object]) -> None:
    """They have their class and all of their fields, wherever they were raised."""
    with pytest.raises(error) as caught:
        hl.record(**wanted)

    assert {name: getattr(caught.value, name) for name in fields} == fields
    if isinstance(caught.value, hl.UsageError):
        assert str(caught.value).endswith(f"For example: {caught.value.example}")


def test_memory_and_clock_of_the_kernel(tmp_path: Path) -> None:
    """As with the options of ``handshake record``."""
    program = "sh -c 'date -u +%F; grep MemTotal /proc/meminfo'"
    hl.record(clients=[program], memory=256, clock_start="2026-11-27", out=tmp_path / "run")
    printed = (tmp_path / "run" / "h1-client-1.out").read_text().split()

    assert printed[0] == "2026-11-27"
    assert 128 * 1024 < int(printed[2]) < 256 * 1024


def test_a_server_that_fails(tmp_path: Path) -> None:
    """The run continues, and the failure is recorded with the program's output."""
    run = hl.record(
        servers=[f"{sys.executable} -c \"raise SystemExit('no configuration')\""],
        clients=[f"{sys.executable} -c \"import socket; socket.socket().connect_ex(('h2', 80))\""],
        out=tmp_path / "run",
    )
    (failure,) = [seen for seen in run.observations if type(seen).__name__ == "Failure"]

    assert failure.node == "h2"
    assert "exited with status 1 and did not listen" in failure.what
    assert "no configuration" in failure.what
    assert hl.endpoint(run.record, "h1").states == ["CLOSED", "SYN-SENT", "CLOSED"]


def test_a_udp_server_is_waited_for() -> None:
    """Clients are started once its port is bound, as for TCP."""
    serves = "import socket, time; time.sleep(2); s = socket.socket(type=2); s.bind(('', 53)); d, a = s.recvfrom(9)"
    asks = "import socket; s = socket.socket(type=2); s.connect(('h2', 53)); s.send(b'ask'); s.settimeout(5); s.recv(9)"
    run = hl.record(
        servers=[f'{sys.executable} -c "{serves}; s.sendto(d, a)"'], clients=[f'{sys.executable} -c "{asks}"']
    )
    ends = {seen.name: seen.status for seen in run.observations if getattr(seen, "phase", "") == "ends" and seen.name}

    assert ends["h1-client-1"] == "0"


@pytest.mark.parametrize("path", ["no/such/run", "tests"])
def test_what_is_not_a_run(path: str) -> None:
    """Said with the path."""
    with pytest.raises(hl.RecordUnreadable, match=path):
        hl.read(path)
