"""The record of a run in a fork is that of a run in a kernel booted for it, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.experiment.execute import conducted
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.plan.checks import parse_faults, parse_links
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.recording.run_files import EVENTS

if TYPE_CHECKING:
    from handshake_lab.kernel.lab.lab_images import LabKernelImage

EXCHANGE = "handshake_lab.experiment.workloads.request_response:script"
PROGRAMS = "handshake_lab.experiment.workloads.servers_and_clients:script"
FETCH = "python3 -c \"import urllib.request; urllib.request.urlopen('http://h2/').read()\""
WEB = {
    "programs": [
        {"name": "server-1", "node": "h2", "role": "server", "command": "python3 -m http.server 80"},
        {"name": "client-1", "node": "h1", "role": "client", "command": FETCH},
        {"name": "client-2", "node": "h1", "role": "client", "command": FETCH},
    ],
    "limit": 60.0,
    "after": 60.0,
}

RUNS: dict[str, dict[str, Any]] = {
    "nothing lost": {"links": ("delay=50ms",)},
    "random loss": {"links": ("delay=50ms,loss=20%",)},
    "jitter and reordering": {"links": ("delay=50ms,jitter=20ms,reorder=25%",)},
    "a fault": {"links": ("delay=10ms",), "faults": ("drop SYN-ACK nth=1", "duplicate PSH-ACK nth=1")},
    "programs": {"script": PROGRAMS, "argument": WEB, "links": ("delay=5ms,loss=5%",)},
    "another topology": {"topology": "star", "links": ("delay=20ms,loss=5%",)},
}


def events(image: LabKernelImage, seed: int, run: dict[str, Any], *, fresh_boot: bool) -> bytes:
    """The events of a run."""
    kernel = LabKernel(image, seed=seed, wall_limit=60, fresh_boot=fresh_boot)
    links, faults = parse_links(run.get("links", ())), parse_faults(run.get("faults", ()))
    plan = RunPlan(**{"script": EXCHANGE, **run, "links": links, "faults": faults}, kernel=kernel.info)
    with conducted(plan, kernel) as done:
        return bytes((done.directory / EVENTS).read_bytes())


@pytest.mark.parametrize("seed", [1, 7, 2**64 - 1])
@pytest.mark.parametrize("name", RUNS)
def test_a_forks_record_is_a_fresh_boots(image: LabKernelImage, name: str, seed: int) -> None:
    """Every port, sequence number, cookie and time, also of the second fork, and whatever ran in between."""
    expected = events(image, seed, RUNS[name], fresh_boot=True)

    assert events(image, seed, RUNS[name], fresh_boot=False) == expected
    events(image, seed ^ 1, RUNS["random loss"], fresh_boot=False)
    assert events(image, seed, RUNS[name], fresh_boot=False) == expected
