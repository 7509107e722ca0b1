"""The run of a session: its plan, and the job that executes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.plan.run_plan import RunPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handshake_lab.plan.link import LinkSpec
    from handshake_lab.recording.observations import KernelInfo


def shell_plan(
    kernel: KernelInfo,
    topology: str = "pair",
    links: Sequence[LinkSpec] = (),
    sysctls: Mapping[str, str] | None = None,
    follow: Sequence[str] | None = None,
) -> RunPlan:
    """The plan of a session.

    Args:
        kernel: Where it runs.
        topology: As for `handshake_lab.record`.
        links: Impairments of its links.
        sysctls: Settings of hosts and routers.
        follow: Commands to execute without parking, after which the run ends; None: they arrive while it is parked.
    """
    return RunPlan(
        script="handshake_lab.experiment.shell_script:script",
        argument={"follow": None if follow is None else list(follow)},
        topology=topology,
        links=tuple(links),
        sysctls=dict(sysctls or {}),
        kernel=kernel,
        directory=str(Path.cwd()),
    )
