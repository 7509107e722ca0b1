"""Those who watch the load of benchmarks/fidelity.py beside the recorder: two loops and the tracepoint alone.

Each is a separate process. When it is terminated, it writes its observations and its processor time.
"""

# ruff: noqa: INP001, PLC0415 -- a script, which imports what it needs
from __future__ import annotations

import json
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.fidelity_load import PORT  # noqa: E402 -- once it can be found
from benchmarks.poll_cost import pyroute2_poll, ss_poll  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: How ss spells two of the states.
STATES = {"ESTAB": "ESTABLISHED", "SYN-RECV": "SYN-RECEIVED"}

Seen = set[tuple[str, int, str]]  # side, the client's port, state


def side_of(local: int, remote: int) -> tuple[str, int] | None:
    """Which end of which connection that is; None for a listener."""
    if local == PORT:
        return ("server", remote) if remote else None
    return ("client", local) if local and remote == PORT else None  # bound only after SYN-SENT was stopped


def poll_until_stopped(snapshot: Callable[[], Iterable[tuple[str, int, int]]], pause: float, stopped: list[int]) -> Any:
    """Look again and again."""
    seen: Seen = set()
    before: set[tuple[str, int]] = set()
    polls = 0
    while not stopped:
        now = set()
        for state, local, remote in snapshot():
            end = side_of(local, remote)
            if end:
                now.add(end)
                seen.add((*end, STATES.get(state, state)))
        seen.update((*end, "CLOSED") for end in before - now)
        before = now
        polls += 1
        if pause:
            time.sleep(pause)
    return seen, polls


def trace_until_stopped(stopped: list[int]) -> Any:
    """The tracepoint and nothing else; an event without its ports is filed with the socket's next."""
    from handshake_lab.observers.clock import Clock
    from handshake_lab.observers.tracepoint import Tracepoints
    from handshake_lab.recording.observations import StateChange

    tracepoints = Tracepoints(Clock())
    early: dict[int, list[str]] = {}
    seen: Seen = set()
    while not stopped:
        select.select(tracepoints.descriptors(), [], [], 0.2)
        for descriptor in tracepoints.descriptors():
            for event in tracepoints.read(descriptor):
                if not isinstance(event, StateChange):
                    continue
                states = [*early.pop(event.sk, ()), str(event.new)]
                end = side_of(event.local.port, event.remote.port)
                if end:
                    seen.update((*end, state) for state in states)
                else:
                    early[event.sk] = states
    tracepoints.close()
    return seen, 0


def cpu_seconds() -> float:
    """User and system time of this process and of the programs that it has run."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def main(kind: str, pause: float, out: Path) -> None:
    """Watch until SIGTERM; leave what was seen, and what it cost."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    polls_of = pyroute2_poll() if kind == "pyroute2" else ss_poll
    used = cpu_seconds()
    seen, polls = trace_until_stopped(stopped) if kind == "tracepoint" else poll_until_stopped(polls_of, pause, stopped)
    out.write_text(json.dumps({"seen": sorted(seen), "cpu": cpu_seconds() - used, "polls": polls}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
