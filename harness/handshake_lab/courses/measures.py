"""What keys are computed from: functions that measure a run, for the expressions in ``unit.toml``.

    seconds_in('h1', 'TIME-WAIT')
    count('SYN from h1') == 3
    cause('h2', 'CLOSED')

Each function notes which segments it has used: they are what feedback names. Pure.
"""

from __future__ import annotations

import inspect
import re
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

import jinja2
import jinja2.sandbox

from handshake_lab.errors import NotRecorded, UsageError
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.fault_matching import matching
from handshake_lab.plan.nearest_name import hint
from handshake_lab.recording.observations import Program, Step
from handshake_lab.tcp.diagram.lookup import EDGES
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from handshake_lab.reconcile.stored_run import Run
    from handshake_lab.recording.history import Endpoint, Transition, TransmittedSegment

_EXPRESSIONS = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
_SECOND = 1_000_000_000


class Measures:
    """A run, as expressions see it.

    Args:
        run: The run.
        numbers: The student's numbers, which expressions can use by name.
        others: Returns another run of the unit by its name; None: expressions have one run only.

    Attributes:
        used: The segments that were used since the last `value`, in the order of use.
        sequences: The connections, as host and number, whose states were used since then.
    """

    def __init__(self, run: Run, numbers: Mapping[str, int | str], others: Callable[[str], Run] | None = None) -> None:
        self._run = run
        self._others = others
        self._numbers = numbers
        self.used: list[TransmittedSegment] = []
        self.sequences: list[tuple[str, int]] = []

    def value(self, expression: str, where: str) -> Any:
        """The value of an expression.

        Raises:
            UsageError: It is invalid, or measures something that the run does not have.
        """
        self.used, self.sequences = [], []
        names = {**self._functions(), **self._numbers}
        try:
            return _EXPRESSIONS.compile_expression(expression, undefined_to_none=False)(**names)
        except (jinja2.TemplateError, NotRecorded, TypeError, ValueError, ZeroDivisionError) as error:
            raise UsageError(where, expression, f"cannot be computed ({error})", "count('SYN from h1')") from None

    def _functions(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FUNCTIONS}

    def run(self, experiment: str) -> Measures:
        """Another experiment, for a comparison: ``run('small').largest_rtt('h1')``."""
        if self._others is None:
            raise NotRecorded("there is no other run")
        return Measures(self._others(experiment), self._numbers)

    # -- states -----------------------------------------------------------------------------

    def states(self, host: str, nth: int = 1) -> list[str]:
        """The states of a host's nth connection, in order."""
        endpoint = self._endpoint(host, nth)
        self.sequences.append((host, nth))
        self._use_causes(endpoint.transitions)
        return [str(state) for state in endpoint.states]

    def last_state(self, host: str, nth: int = 1) -> str:
        """The last state of a host's nth connection."""
        return self.states(host, nth)[-1]

    def was_in(self, host: str, state: str, nth: int = 1) -> bool:
        """Whether a host's nth connection was in a state."""
        return _state(state) in self.states(host, nth)

    def seconds_in(self, host: str, state: str, nth: int = 1) -> float:
        """How many seconds a host's nth connection was in a state."""
        endpoint, wanted = self._endpoint(host, nth), _state(state)
        steps = endpoint.transitions
        pairs = zip(steps, [*steps[1:], None], strict=True)
        self._use_causes([step for pair in pairs if pair[0].new == wanted for step in pair if step])
        return endpoint.time_in(wanted) / _SECOND

    def cause(self, host: str, state: str, nth: int = 1) -> int:
        """The number of the segment that was the cause of entering a state, or that was sent with it."""
        step = self._entered(host, state, nth)
        if step.cause.segment is None:
            raise NotRecorded(f"no segment is on record as the cause of {state} at {host}")
        return step.cause.segment

    def cause_kind(self, host: str, state: str, nth: int = 1) -> str:
        """Why a host's nth connection entered a state: "segment", "call", "timer", "reset" or "unknown"."""
        return self._entered(host, state, nth).cause.kind

    def connections(self, host: str) -> int:
        """How many connections a host had, attempts included."""
        return len(self._endpoints(host))

    def how_many(self, host: str, state: str) -> int:
        """How many connections of a host were in a state at any time."""
        wanted = _state(state)
        return sum(wanted in each.states for each in self._endpoints(host))

    def left_in(self, host: str, state: str) -> int:
        """How many connections of a host were in a state when the recording ended."""
        wanted = _state(state)
        return sum(each.states[-1:] == [wanted] for each in self._endpoints(host))

    def functions(self, host: str, state: str, nth: int = 1) -> list[str]:
        """The functions of the kernel that take a host's nth connection into a state, for a `word`."""
        edge = self._entered(host, state, nth).edge
        found = next((each.linux for each in EDGES if each.id == edge), "")
        # "connect(): tcp_v4_connect()": what stands before a colon is the call of the program.
        return re.findall(r"(\w+)\(\)", found.rpartition(": ")[2])

    # -- segments ---------------------------------------------------------------------------

    def count(self, what: str) -> int:
        """How many segments there were of a kind, as in a fault: "SYN from h1"."""
        return len(self._matching(what))

    def lost(self, what: str) -> int:
        """How many of them did not arrive."""
        return sum(segment.lost for segment in self._matching(what))

    def first_lost(self, what: str) -> int:
        """The number of the first of them that did not arrive, as in the ladder."""
        lost = [segment for segment in self._matching(what) if segment.lost]
        if not lost:
            raise NotRecorded(f"no {what} was lost")
        self.used[-1:] = lost[:1]
        return lost[0].number

    def burst(self, host: str) -> int:
        """How many segments with data a host sends before the first acknowledgment of its data arrives."""
        data = self._matching(f"DATA from {host}")
        answers = [each for each in self._matching(f"any to {host}") if each.rel_ack > 1 and each.received is not None]
        first = min((each.received or 0 for each in answers), default=None)
        return sum(first is None or (each.sent or 0) < first for each in data)

    def retransmitted(self, what: str) -> int:
        """How many of them were retransmissions."""
        return sum(segment.retransmits is not None for segment in self._matching(what))

    def ignored(self, what: str) -> int:
        """How many of them had no effect, as their receiver's kernel reported."""
        return sum(segment.ignored is not None for segment in self._matching(what))

    def number(self, what: str) -> int:
        """The number of the first of them, as in the ladder."""
        return self._first(what).number

    def seq(self, what: str) -> int:
        """The sequence number of the first of them, from the initial one."""
        return self._first(what).rel_seq

    def ack(self, what: str) -> int:
        """The acknowledgment number of the first of them."""
        return self._first(what).rel_ack

    def length(self, what: str) -> int:
        """How many bytes of data the first of them has."""
        return self._first(what).length

    def seen_from(self, what: str) -> str:
        """The source address with which the first of them arrives: a router may have translated it."""
        return self._first(what).arriving[0].ip

    def sender(self, what: str) -> str:
        """Which host or router has sent the first of them."""
        return self._first(what).sender

    def octets(self, what: str) -> int:
        """How many bytes of data they have together; retransmissions are not counted."""
        return sum(segment.length for segment in self._matching(what) if segment.retransmits is None)

    def sent(self, what: str) -> float:
        """When the first of them was sent, in seconds since the recording began."""
        return (self._first(what).sent or 0) / _SECOND

    def arrived(self, what: str) -> float:
        """When the first of them arrived, in seconds since the recording began."""
        segment = self._first(what)
        if segment.received is None:
            raise NotRecorded(f"{what} did not arrive")
        return segment.received / _SECOND

    def slowest_trip(self, what: str) -> float:
        """The longest time that one of them took to arrive, in seconds."""
        trips = [(each.received or 0) - each.sent for each in self._matching(what) if each.sent and not each.lost]
        return max(trips, default=0) / _SECOND

    def usual_gap(self, what: str) -> float:
        """The median time between the arrivals of two of them, in seconds: the pace of the narrowest link."""
        times = sorted(each.received for each in self._matching(what) if each.received is not None)
        if len(times) < 2:
            raise NotRecorded(f"fewer than two of {what} arrived")
        return median(later - earlier for earlier, later in pairwise(times)) / _SECOND

    def entered(self, host: str, state: str, nth: int = 1) -> float:
        """When a host's nth connection entered a state for the last time, in seconds since the recording began."""
        return self._entered(host, state, nth).time / _SECOND

    # -- programs, counters, sockets --------------------------------------------------------

    def error(self, host: str, call: str, nth: int = 1) -> str:
        """The error of the nth such system call of a host: "ECONNREFUSED"; "" if it succeeded."""
        calls = self._calls(host, call)
        if len(calls) < nth:
            raise NotRecorded(f"{host} has only {len(calls)} calls of {call}")
        result = calls[nth - 1].result
        return result if result.startswith("E") or result.endswith("Error") else ""

    def errors(self, host: str, call: str, name: str) -> int:
        """How many such system calls of a host failed with an error, by the error's name."""
        return sum(each.result == name for each in self._calls(host, call))

    def exit_status(self, host: str, nth: int = 1) -> str:
        """How the nth program of a host ended: "0", "1", "SIGTERM"; "" if it still ran at the end."""
        ends = {each.name: each.status for each in self._programs("ends")}
        begun = [each.name for each in self._programs("starts") if each.node == host]
        if len(begun) < nth:
            raise NotRecorded(f"{host} has only {len(begun)} programs")
        return ends.get(begun[nth - 1], "")

    def counter(self, host: str, name: str) -> int:
        """By how much a counter of a host's kernel grew: "ListenOverflows"."""
        return self._run.record.counters.get(host, {}).get(name, 0)

    # -- for this package -------------------------------------------------------------------

    def segments(self, what: str) -> list[TransmittedSegment]:
        """The segments that match, as in a fault, with nth and first."""
        return self._matching(what)

    def steps(self, host: str, nth: int = 1) -> tuple[Transition, ...]:
        """The transitions of a host's nth connection."""
        return self._endpoint(host, nth).transitions

    def segment(self, number: int) -> TransmittedSegment | None:
        """The segment with a number."""
        found = (*self._run.record.segments, *self._run.record.datagrams)
        return next((each for each in found if each.number == number), None)

    def _endpoints(self, host: str) -> list[Endpoint]:
        return [each for each in self._run.record.endpoints if each.node == host and each.role != "listener"]

    def _endpoint(self, host: str, nth: int) -> Endpoint:
        found = self._endpoints(host)
        if len(found) < nth:
            nodes = self._run.record.header.nodes
            raise NotRecorded(
                f"{host} has only {len(found)} connections"
                if host in nodes
                else f"there is no {host}; {hint(host, nodes)}"
            )
        return found[nth - 1]

    def _entered(self, host: str, state: str, nth: int) -> Transition:
        wanted = _state(state)
        found = [step for step in self._endpoint(host, nth).transitions if step.new == wanted]
        if not found:
            raise NotRecorded(f"{host} was never in {state}")
        self._use_causes(found[-1:])
        return found[-1]

    def _matching(self, what: str) -> list[TransmittedSegment]:
        fault = Fault.parse(f"drop {what}", field="WHAT")
        datagrams = fault.kind == "UDP" or fault.kind.startswith("ICMP")
        record = self._run.record
        found = matching(fault, (*record.segments, *record.datagrams) if datagrams else record.segments)
        if fault.nth:
            found = [found[place - 1] for place in fault.nth if place <= len(found)]
        if fault.last:
            found = found[-1:]
        if fault.first:
            found = found[: fault.first]
        self.used += found[-1:]  # naming all of them would reveal how many there are
        return found

    def _first(self, what: str) -> TransmittedSegment:
        found = self._matching(what)
        if not found:
            raise NotRecorded(f"the run has no {what}")
        self.used[-1] = found[0]
        return found[0]

    def _use_causes(self, steps: list[Transition] | tuple[Transition, ...]) -> None:
        for step in steps:
            segment = self.segment(step.cause.segment) if step.cause.segment is not None else None
            if segment:
                self.used.append(segment)

    def _calls(self, host: str, call: str) -> list[Step]:
        found = self._run.observations
        return [o for o in found if isinstance(o, Step) and o.node == host and o.call == call and o.phase == "ends"]

    def _programs(self, phase: str) -> list[Program]:
        return [o for o in self._run.observations if isinstance(o, Program) and o.phase == phase]


#: The functions of expressions, by name, with their descriptions; docs/courses.md lists them.
FUNCTIONS = {
    name: inspect.getdoc(function) or ""
    for name, function in vars(Measures).items()
    if inspect.isfunction(function)
    and not name.startswith("_")
    and name not in ("value", "segments", "steps", "segment")
}


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError:
        raise NotRecorded(f"{name} is not a state of TCP; {hint(name, State)}") from None
