"""Properties that every run must have, in addition to its test's assertions. Each can be disabled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.explore.outcome import Failed
from handshake_lab.recording.observations import Program, SocketSeen, TcpEvent
from handshake_lab.tcp.states import State
from handshake_lab.verdict.judge import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handshake_lab.reconcile.stored_run import Run
    from handshake_lab.recording.history import Endpoint

#: Nanoseconds that a socket may stay in CLOSE-WAIT, or connected to an end that no longer exists.
LIMIT = 60_000_000_000
#: Signals with which the kernel ends a program that has a defect (signal(7)).
_CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP")
#: Signals with which a run ends its own programs.
_ENDED = ("SIGTERM", "SIGKILL")
#: States of an end that is connected to another end.
_CONNECTED = (State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_1, State.FIN_WAIT_2)
#: tcp_close() discards data that no program has read (SK_RST_REASON_TCP_ABORT_ON_CLOSE, include/net/rstreason.h).
_DISCARDED = "TCP_ABORT_ON_CLOSE"


def _edges(run: Run) -> Iterator[str]:
    """Every transition is an edge of RFC 9293's diagram, or one that Linux is known to add."""
    verdict = judge(run.record)
    if not verdict.ok:
        yield from (finding.text for finding in verdict.findings if finding.ok is False)


def _crash(run: Run) -> Iterator[str]:
    """No program was ended by a signal that means a defect."""
    for each in run.observations:
        if isinstance(each, Program) and each.phase == "ends" and each.status in _CRASHES:
            yield f"{each.node}: {each.command} was ended by {each.status}"


def _finish(run: Run) -> Iterator[str]:
    """No client was ended at its time limit because it did not end by itself."""
    for each in run.observations:
        if isinstance(each, Program) and each.phase == "ends" and "-client-" in each.name and each.status in _ENDED:
            yield f"{each.node}: {each.command} did not end, although the faults had stopped"


def _close_wait(run: Run) -> Iterator[str]:
    """No socket is in CLOSE-WAIT for longer than `LIMIT`: its program does not close it after the peer's FIN."""
    for endpoint in run.record.endpoints:
        if endpoint.time_in(State.CLOSE_WAIT) > LIMIT:
            yield f"{_end(endpoint)}: more than {LIMIT / 1e9:g} s in CLOSE-WAIT after the peer's FIN"


def _half_open(run: Run) -> Iterator[str]:
    """No end stays connected for longer than `LIMIT` after the other end has ceased to exist."""
    gone = {
        (endpoint.local, endpoint.remote): endpoint.transitions[-1].time
        for endpoint in run.record.endpoints
        if endpoint.transitions and endpoint.states[-1] == State.CLOSED
    }
    for endpoint in run.record.endpoints:
        since = gone.get((endpoint.remote, endpoint.local))
        if since is not None and endpoint.states[-1:] and endpoint.states[-1] in _CONNECTED:
            start = max(since, endpoint.transitions[-1].time)
            if endpoint.ended - start > LIMIT:
                yield f"{_end(endpoint)}: {endpoint.states[-1]}, more than {LIMIT / 1e9:g} s after its peer was closed"


def _data(run: Run) -> Iterator[str]:
    """No data that was acknowledged is discarded, because a program closes its socket without reading it."""
    for each in run.observations:
        if isinstance(each, TcpEvent) and each.name == "tcp_send_reset" and each.reason == _DISCARDED:
            yield f"{each.local} to {each.remote}: closed with data that was acknowledged and not read"


def _end(endpoint: Endpoint) -> str:
    port = f"port {endpoint.local.port}" if endpoint.role == "server" else "ephemeral port"
    return f"{endpoint.node} {endpoint.role}, {port}"


#: Every property by its name.
PROPERTIES: dict[str, Callable[[Run], Iterator[str]]] = {
    "edges": _edges,
    "crash": _crash,
    "finish": _finish,
    "close-wait": _close_wait,
    "half-open": _half_open,
    "data": _data,
}
#: The properties that every correct program has; a correct program may discard data.
DEFAULT = ("edges", "crash", "finish", "close-wait", "half-open")


def check(run: Run, names: tuple[str, ...]) -> Failed | None:
    """The first property that a run does not have."""
    for name in names:
        for text in PROPERTIES[name](run):
            return Failed(f"property {name}: {text}" if name != "edges" else "property edges", f"{name}: {text}")
    return None


def held(run: Run) -> int:
    """How many sockets except listeners programs hold at the end of a run."""
    last: dict[tuple[str, int], SocketSeen] = {}
    for each in run.observations:
        if isinstance(each, SocketSeen):
            last[each.node, each.cookie] = each
    return sum(each.inode != 0 and each.state not in (State.LISTEN, State.CLOSED) for each in last.values())
