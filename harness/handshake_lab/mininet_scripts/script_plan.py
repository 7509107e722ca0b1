"""The plan of a script's run, as a value that is passed to a kernel."""

from __future__ import annotations

import msgspec

from handshake_lab.plan.cost import NO_COST, Cost
from handshake_lab.recording.observations import KernelInfo

#: The name of the script's process in the record.
SCRIPT = "script"


class ScriptPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A script, and how it is run.

    ``script`` is its absolute path, and ``source`` its text if the kernel cannot see its directory; ``python`` is
    the interpreter that runs it; ``directory`` is its working directory; ``rate`` is that of links without one, in bits
    per second, 0 for no limit; ``heartbeat`` is the time between two polls of all sockets when nothing happens, in
    seconds; ``replay`` is the command that repeats the run.
    """

    script: str
    source: str | None = None
    arguments: tuple[str, ...] = ()
    python: str
    directory: str
    kernel: KernelInfo
    rate: int = 0
    heartbeat: float = 5.0
    cost: Cost = NO_COST  #: what programs' use of the machine costs in virtual time
    curves: bool = False  #: whether congestion windows and round-trip times are recorded
    replay: str = ""
