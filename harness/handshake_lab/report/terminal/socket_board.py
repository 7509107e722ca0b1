"""The sockets of a running run, as the last poll showed them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handshake_lab.recording.observations import Program, SocketGone, SocketSeen
from handshake_lab.report.text.escaping import visible
from handshake_lab.report.text.times import SECOND, clock
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.recording.observations import Address, Observation

#: Nanoseconds of the run's clock for which a closed socket remains visible.
LINGERS = 3 * SECOND


@dataclass(slots=True)
class Entry:
    """One socket: its values at the last poll, and since when it is in its state.

    ``due`` is when its timer expires, on the run's clock; None if it has none.
    """

    node: str
    local: Address
    remote: Address
    state: State
    since: int
    changed: int
    timer: str = ""
    due: int | None = None
    retrans: int = 0
    rqueue: int = 0
    wqueue: int = 0


class SocketBoard:
    """Collects observations, and keeps the current sockets.

    Attributes:
        now: The time of the newest observation.
        running: The running programs, by name.
    """

    def __init__(self) -> None:
        self.now = 0
        self.running: dict[str, str] = {}
        self._entries: dict[tuple[str, int], Entry] = {}

    def take(self, observations: Iterable[Observation]) -> list[str]:
        """Add observations; return a line for each change of a state, and for each start or end of a program."""
        lines = []
        for each in observations:
            self.now = max(self.now, each.t)
            if isinstance(each, SocketSeen | SocketGone) and each.observer == "diag":
                line = self._seen(each)
            elif isinstance(each, Program):
                line = self._program(each)
            else:
                continue
            if line:
                lines.append(f"{clock(each.t):>12} {line}")
        return lines

    def _seen(self, each: SocketSeen | SocketGone) -> str:
        key = each.node, each.cookie
        before = self._entries.get(key)
        old = before.state if before else State.CLOSED
        state = each.state if isinstance(each, SocketSeen) else State.CLOSED
        since = before.since if before and old is state else each.t
        entry = Entry(each.node, each.local, each.remote, state, since, changed=each.t)
        if isinstance(each, SocketSeen):
            entry.timer, entry.retrans, entry.rqueue, entry.wqueue = each.timer, each.retrans, each.rqueue, each.wqueue
            entry.due = each.t + each.expires if each.timer else None
        self._entries[key] = entry
        ends = str(each.local) if State.LISTEN in (old, state) else f"{each.local} > {each.remote}"
        # Without the previous state: between two polls there may have been other states.
        return f"{each.node} {ends} {state}" if old is not state else ""

    def _program(self, each: Program) -> str:
        if each.phase == "starts":
            self.running[each.name] = each.command
            return f"{each.name}: {visible(each.command)}"
        self.running.pop(each.name, None)
        return f"{each.name}: {each.status}"

    def entries(self, now: int, room: int) -> tuple[list[Entry], int]:
        """The sockets to show, by host, and how many others there are.

        Args:
            now: The current time on the run's clock; sockets closed long before are removed.
            room: The maximum number to show: those that changed last.
        """
        self._entries = {
            key: each
            for key, each in self._entries.items()
            if each.state is not State.CLOSED or now - each.changed < LINGERS
        }
        latest = sorted(self._entries.values(), key=lambda each: each.changed)[-room:] if room > 0 else []
        latest.sort(key=lambda each: (each.node, each.state is not State.LISTEN))
        return latest, len(self._entries) - len(latest)

    def counts(self) -> dict[str, Counter[State]]:
        """How many sockets of each host are in each state."""
        found: dict[str, Counter[State]] = {}
        for each in self._entries.values():
            found.setdefault(each.node, Counter())[each.state] += 1
        return dict(sorted(found.items()))
