"""The decoding of sock_diag's answers, compared with that of pyroute2."""

from __future__ import annotations

import json

from handshake_lab.experiment.execute import conducted
from handshake_lab.kernel.lab import provide_lab
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.plan.checks import parse_links
from handshake_lab.plan.run_plan import RunPlan
from jobs import REPOSITORY


def test_both_read_the_same() -> None:
    """Cookie, state, addresses, timer, inode, queues and tcp_info, of sockets in seven states."""
    kernel = LabKernel(provide_lab.ensure())
    plan = RunPlan(
        script="tests.recorder.against_pyroute2:script", links=parse_links(["delay=20ms"]), kernel=kernel.info
    )
    with conducted(plan, kernel, import_from=(REPOSITORY,)) as run:
        found = json.loads((run.directory / "found.json").read_text())

    for snapshots in found.values():
        assert snapshots["ours"] == snapshots["theirs"]
    states = {snapshot[1] for snapshots in found.values() for snapshot in snapshots["ours"]}
    assert states == {
        "LISTEN",
        "SYN-SENT",
        "SYN-RECEIVED",
        "ESTABLISHED",
        "FIN-WAIT-2",
        "CLOSE-WAIT",
        "TIME-WAIT",
    }
