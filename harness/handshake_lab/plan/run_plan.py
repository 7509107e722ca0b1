"""The plan of a run, as a value that is sent into a kernel."""

from __future__ import annotations

from typing import Any

import msgspec

from handshake_lab.plan.cost import NO_COST, Cost
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.link import LinkSpec
from handshake_lab.plan.schedule import Schedule
from handshake_lab.plan.timed_action import TimedAction
from handshake_lab.recording.observations import KernelInfo


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A run: the network, what happens to it, and the script that uses it.

    ``topology`` is a name from ``topologies/`` or the path of a course's own file;
    ``links`` are laid over it in their order; ``directory`` is where programs are run
    ("" where the kernel puts them), as far as the kernel shows its files;
    ``heartbeat`` is the time between two polls of all sockets when nothing happens, in seconds.
    """

    script: str  #: "package.module:function", called with the `Net` and ``argument``
    argument: Any = None
    topology: str = "pair"
    found_topology: str = ""  #: the same topology by the path at which the kernel sees its file; empty: `topology`
    links: tuple[LinkSpec, ...] = ()
    faults: tuple[Fault, ...] = ()
    timed: tuple[TimedAction, ...] = ()  #: what happens to the network at given times
    sysctls: dict[str, str] = {}
    kernel: KernelInfo
    directory: str = ""
    heartbeat: float = 5.0
    cost: Cost = NO_COST  #: what programs' use of the machine costs on a lab kernel
    cost_optional: bool = True  #: whether a kernel that cannot let it cost anything will do
    follow: tuple[int, ...] | None = None  #: decisions to take where the run branches, instead of branching
    curves: bool = False  #: whether congestion windows and round-trip times are recorded
    schedule: Schedule | None = None  #: what happens to the run's segments, each by its number
    replay: str = ""  #: the command that gives this run again, for the record
