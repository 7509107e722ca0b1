"""An independent check of causes: by a script's own log, the kernel's counters, and where each event happened.

It reads raw observations only, and shares nothing with reconciliation but the types.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.recording.observations import Counters, SegmentSeen, StateChange, TcpEvent
from handshake_lab.tcp.states import State
from handshake_lab.verdict.without_effect import why_ignored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from handshake_lab import Endpoint, Observation, Record, Transition

#: Nanoseconds: in the lab, computing takes next to none, but a call takes some.
AT_ONCE = 1_000_000
#: Causes that are a timer's end without an answer, which the kernel counts (TCPAbortOnTimeout).
GAVE_UP = ("retransmission_timer", "keepalive_timer", "persist_timer")
#: What a segment must carry, by the state that it leads to.
CARRIES = {
    "SYN-RECEIVED": ("SYN",),
    "ESTABLISHED": ("ACK",),
    "CLOSE-WAIT": ("FIN",),
    "FIN-WAIT-2": ("ACK",),
    "CLOSING": ("FIN",),
}
#: Causes with a counter that must have grown on that host.
COUNTED = {
    "accept_queue_full": "ListenOverflows",
    "time_wait_table_full": "TCPTimeWaitOverflow",
}


#: Reasons for which a segment had no effect, with the counters of the kernel that count them.
REFUSED = {
    "ignored_accept_queue": "ListenOverflows",
    "ignored_request_queue": "TCPReqQFullDrop",
    "cookie_sent": "SyncookiesSent",
    "cookie_failed": "SyncookiesFailed",
    "challenge_limited": "TCPACKSkippedChallenge",
    "ignored_deferred": "TCPDeferAcceptDrop",
    "ignored_paws": "PAWSEstab",
    "ignored_icmp": "OutOfWindowIcmps",
}


class Call(NamedTuple):
    """What a script did to one socket: from when to when, in nanoseconds of the run's clock."""

    start: int
    end: int
    what: str  #: "connect", "close", "abort", "shutdown", "destroy", "listener"
    cookie: int


class Oracle:
    """Everything that a record's causes are held against.

    Args:
        observations: Of the run.
        calls: The script's own log.
    """

    def __init__(self, observations: Iterable[Observation], calls: Sequence[Call]) -> None:
        self._calls = calls
        self._changes: list[StateChange] = []
        self._segments: list[SegmentSeen] = []
        self._errors: list[TcpEvent] = []
        self._grown: dict[str, dict[str, int]] = {}
        for each in observations:
            if isinstance(each, StateChange):
                self._changes.append(each)
            elif isinstance(each, SegmentSeen):
                self._segments.append(each)
            elif isinstance(each, TcpEvent) and each.name == "inet_sk_error_report":
                self._errors.append(each)
            elif isinstance(each, Counters):
                self._grown[each.node] = each.grown

    def contradictions(self, record: Record) -> Iterator[str]:
        """Descriptions of everything in a record that contradicts this history."""
        gave_up: Counter[str] = Counter()
        for end in record.endpoints:
            for step in end.transitions:
                code = getattr(step.cause.message, "code", "")
                if step.new is State.CLOSED:
                    gave_up[end.node] += code in GAVE_UP
                    yield from (f"{end.node} {end.local} {step.old}→CLOSED: {text}" for text in self._end(end, step))
                needed = CARRIES.get(str(step.new), ()) if step.cause.kind == "segment" else ()
                if any(flag not in step.cause.text for flag in needed):
                    yield f"{end.node} {end.local} {step.old}→{step.new}: {step.cause.text}"
                counter = COUNTED.get(code)
                if counter and not self._grown.get(end.node, {}).get(counter):
                    yield f"{end.node} {end.local}: {step.cause.text}, but {counter} did not grow"
        for node, count in gave_up.items():
            counted = self._grown.get(node, {}).get("TCPAbortOnTimeout", 0)
            if count > counted:
                yield f"{node}: {count} timers gave up, but TCPAbortOnTimeout grew by {counted}"
        yield from self._ignored(record)
        yield from self._connections(record)

    def _ignored(self, record: Record) -> Iterator[str]:
        """More segments of a kind than the kernel counted, or one that did something after all."""
        named: Counter[tuple[str, str]] = Counter()
        for number, why in why_ignored(record).items():
            segment = record.segments[number - 1]
            named[segment.receiver, REFUSED.get(why.code, "")] += 1
            moved = [
                f"{end.node} {step.old}→{step.new}"
                for end in record.endpoints
                for step in end.transitions
                if step.cause.segment == number
                and step.cause.kind in ("segment", "reset")
                and end.node == segment.receiver
            ]
            if moved:
                yield f"#{number} had no effect ({why}), but caused {moved}"
        for (node, counter), count in named.items():
            counted = self._grown.get(node, {}).get(counter, 0)
            if counter and count > counted:
                yield f"{node}: {count} segments named by {counter}, which grew by {counted}"

    def _end(self, end: Endpoint, step: Transition) -> Iterator[str]:
        kind, text = step.cause.kind, step.cause.text
        change = self._change(end, step)
        in_task = change.context == "task" if change else None
        if kind == "timer" and in_task:
            yield f"{text}, but a task closed it"
        if kind == "call" and in_task is False:
            yield f"{text}, but an interrupt closed it"
        if (
            "AF_UNSPEC" in text
            and "or" not in text.split()
            and change
            and not self._called(end, step.time, "disconnect")
        ):
            yield f"{text}, but the script did not disconnect then"
        if kind == "call" and change and not self._called(end, step.time):
            yield f"{text}, but the script called nothing then"
        destroyed = "SOCK_DESTROY" in text
        if change and destroyed != any(
            each.what == "destroy" and self._covers(each, step.time) for each in self._calls
        ):
            error = self._error(end, step)
            if destroyed or error == "ECONNABORTED":
                yield f"{text}, but the error was {error or 'none'}"
        if kind == "reset" and not self._came(end, step, "R"):
            yield f"{text}, but no RST came"
        if "ICMP" in text and not self._came(end, step, "icmp"):
            yield f"{text}, but no ICMP error came"

    def _change(self, end: Endpoint, step: Transition) -> StateChange | None:
        for each in self._changes:
            ends = (each.local, each.remote) == (end.local, end.remote)
            if ends and (each.old, each.new) == (step.old, step.new) and abs(each.t - step.time) <= AT_ONCE:
                return each
        return None

    def _called(self, end: Endpoint, at: int, what: str = "") -> bool:
        """Whether the script did something to the socket, or to what it came from, at a time."""
        return any(
            self._covers(each, at)
            and (each.cookie in (end.cookie, 0) or not end.cookie or each.what in ("listener", "destroy"))
            and what in ("", each.what)
            for each in self._calls
        )

    @staticmethod
    def _covers(call: Call, at: int) -> bool:
        return call.start - AT_ONCE <= at <= call.end + AT_ONCE

    def _error(self, end: Endpoint, step: Transition) -> str:
        for each in self._errors:
            if (each.local, each.remote) == (end.local, end.remote) and abs(each.t - step.time) <= AT_ONCE:
                return each.reason
        return ""

    def _came(self, end: Endpoint, step: Transition, what: str) -> bool:
        return any(
            each.direction == "received"
            and each.node == end.node
            and (each.dst, each.src) == (end.local, end.remote)
            and abs(each.t - step.time) <= AT_ONCE
            and (bool(each.icmp) if what == "icmp" else what in each.flags)
            for each in self._segments
        )

    def _connections(self, record: Record) -> Iterator[str]:
        """One endpoint for each connect() that sent a SYN, and no other."""
        tried = Counter(each.cookie for each in self._calls if each.what == "connect")
        seen = Counter(end.cookie for end in record.endpoints if end.role == "client")
        for cookie in tried.keys() | seen.keys():
            if tried[cookie] != seen[cookie]:
                yield f"socket {cookie}: {tried[cookie]} connect(), {seen[cookie]} endpoints"
