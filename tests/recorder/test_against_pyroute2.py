"""Our lean decoding of sock_diag's answers, held against pyroute2's full one."""

from __future__ import annotations

import json

from handshake_lab.experiment.execute import conducted
from handshake_lab.kernel.lab.lab_images import KernelStore
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.plan.run_plan import Plan
from jobs import REPOSITORY


def test_both_read_the_same() -> None:
    """Cookie, state, addresses, timer, inode, queues and tcp_info, of sockets in seven states."""
    kernel = LabKernel(KernelStore().ensure())
    plan = Plan(script="tests.recorder.against_pyroute2:script", links=("delay=20ms",), kernel=kernel.info)
    with conducted(plan, kernel, import_from=(REPOSITORY,)) as run:
        found = json.loads((run.directory / "found.json").read_text())

    for looks in found.values():
        assert looks["ours"] == looks["theirs"]
    states = {look[1] for looks in found.values() for look in looks["ours"]}
    assert states == {
        "LISTEN",
        "SYN-SENT",
        "SYN-RECEIVED",
        "ESTABLISHED",
        "FIN-WAIT-2",
        "CLOSE-WAIT",
        "TIME-WAIT",
    }
