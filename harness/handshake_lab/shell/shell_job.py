"""The run of a session: its network and its plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.recording.events_file import read
from handshake_lab.recording.observations import NetworkChange, RunHeader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handshake_lab.plan.link import LinkSpec
    from handshake_lab.recording.observations import KernelInfo


def network_of(run: Path) -> tuple[str, tuple[str, ...]]:
    """The topology of a recorded run, and the impairments of its links, as for ``--link``.

    Args:
        run: The run's directory, or its ``events.jsonl``.

    Raises:
        RecordUnreadable: There is no run, or it is damaged or of a newer format.
        UsageError: Its script changed the network: there is no topology that describes it.
    """
    observations = read(run).observations
    header = observations[0]
    if any(isinstance(each, NetworkChange) for each in observations) or not isinstance(header, RunHeader):
        raise UsageError("TOPOLOGY", str(run), "is a run whose script made its own network", "handshake shell star,n=3")
    return header.topology, tuple(header.links)


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
