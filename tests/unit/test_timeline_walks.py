"""For any behaviour of two ends and any loss of observations, the record has the walk, or states a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.observations import Missed
from handshake_lab.tcp.diagram.lookup import edges_between
from handshake_lab.tcp.states import State
from handshake_lab.verdict.judge import judge
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from strategies import Plan, Side, Sight, Talk, observers, offsets, plans, seeds, watched

if TYPE_CHECKING:
    from handshake_lab.recording.history import Endpoint, Record

thorough = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ends(record: Record, side: Side) -> list[Endpoint]:
    """The endpoints that the record has for one side."""
    return [end for end in record.endpoints if end.node == side.name and end.role != "listener"]


def truth(side: Side) -> list[State]:
    """The states that a side went through."""
    return [state for _, state in side.history]


def declared(record: Record, end: Endpoint) -> bool:
    """Whether the record states that something about an endpoint or the run is unknown."""
    return bool(record.objections) or any(step.objection or step.flaw for step in end.transitions)


def possible(side: Side, misses: str) -> list[list[State]]:
    """The states that a record may contain for a side whose last observation may be missing.

    A request that a reset took away, and one whose timer ran out, differ in that reset
    alone: if the capture missed it at both ends, it is unknown.
    """
    states = truth(side)
    request = side.passive and State.ESTABLISHED not in states
    return [states, [*states[:-1], State.CLOSED]] if request and misses == "capture" else [states]


def check_form(record: Record) -> None:
    """What holds of any record, however little was seen."""
    for end in record.endpoints:
        at = end.transitions[0].old
        time = 0
        for step in end.transitions:
            assert step.old is at
            assert step.earliest <= step.time
            assert time <= step.time
            assert step.flaw == "gap" or edges_between(step.old, step.new)
            assert step.inferred == (not step.witnesses) or step.flaw == "gap"
            at, time = step.new, step.time


@thorough
@given(plan=plans, clock=offsets, seed=seeds)
def test_seen_by_all_the_walk_comes_back(plan: Plan, clock: tuple[int, int, int], seed: int) -> None:
    """With clocks that disagree a little, and observers in any order, every state is there and no other."""
    talk = Talk(plan)

    record = reconcile(watched(talk, Sight(offsets=clock, seed=seed)))

    check_form(record)
    for side in (talk.a, talk.b):
        if len(truth(side)) > (2 if side.passive else 1):
            assert [truth(side)] == [end.states for end in ends(record, side)]
            steps = [step for end in ends(record, side) for step in end.transitions]
            # Why a connection was given up is not in what these observers saw; all else is.
            assert not [step for step in steps if step.cause.kind == "unknown" and step.new is not State.CLOSED]
            assert not [step for step in steps if step.flaw == "gap" or step.inferred]


@thorough
@given(plan=plans, clock=offsets, blind=st.frozensets(observers, min_size=1, max_size=2), seed=seeds)
def test_what_blind_observers_hide_is_declared(
    plan: Plan, clock: tuple[int, int, int], blind: frozenset[str], seed: int
) -> None:
    """Without one or two observers the record still has the walk, or states what is unknown."""
    talk = Talk(plan)

    record = reconcile(watched(talk, Sight(blind=blind, offsets=clock, seed=seed)))

    check_form(record)
    for side in (talk.a, talk.b):
        for end in ends(record, side):
            assert end.states == truth(side) or declared(record, end)


#: Both connect and close at the same time; the capture misses the ACK that distinguishes FIN-WAIT-2 from CLOSING.
CROSSED = Plan(
    simultaneous=True,
    endings=("shutdown", "close"),
    when=(6, 6),
    data=(0, 1),
    delay=(5, 5),
    lost=frozenset({4, 6, 7, 10, 12}),
)


@thorough
@given(
    plan=plans,
    clock=offsets,
    misses=observers,
    rate=st.floats(min_value=0.05, max_value=0.9),
    seed=seeds,
)
@example(plan=CROSSED, clock=(0, 0, 0), misses="capture", rate=0.5, seed=21406291)
def test_what_an_observer_misses_the_others_make_good(
    plan: Plan, clock: tuple[int, int, int], misses: str, rate: float, seed: int
) -> None:
    """One observer loses some of its reports: the record has the walk, or states what is unknown."""
    talk = Talk(plan)

    record = reconcile(watched(talk, Sight(misses=misses, rate=rate, offsets=clock, seed=seed)))

    check_form(record)
    for side in (talk.a, talk.b):
        for end in ends(record, side):
            assert end.states in possible(side, misses) or declared(record, end)


@thorough
@given(plan=plans, clock=offsets, rate=st.floats(0.05, 0.9), seed=seeds)
def test_a_capture_that_knows_of_its_losses_accuses_nobody(
    plan: Plan, clock: tuple[int, int, int], rate: float, seed: int
) -> None:
    """A missing observation is no contradiction, and the other observers still give the whole sequence."""
    talk = Talk(plan)
    run = watched(talk, Sight(misses="capture", rate=rate, offsets=clock, seed=seed))
    lost = [Missed(run[-1].t, "capture", side.name, 1) for side in (talk.a, talk.b)]

    record = reconcile([*run[:-1], *lost, run[-1]])

    check_form(record)
    assert all(finding.ok is not False for finding in judge(record).findings)
    for side in (talk.a, talk.b):
        for end in ends(record, side):
            doubts = [step for step in end.transitions if step.flaw or step.objection]
            assert end.states in possible(side, "capture") or doubts


@thorough
@given(plan=plans, clock=offsets, blind=observers, misses=observers, rate=st.floats(0.05, 0.9), seed=seeds)
def test_the_worst_watched_run_is_never_given_states_it_did_not_have(
    plan: Plan, clock: tuple[int, int, int], blind: str, misses: str, rate: float, seed: int
) -> None:
    """One observer blind, another lossy: where nothing is declared, no state is made up."""
    talk = Talk(plan)

    record = reconcile(watched(talk, Sight(frozenset({blind}), misses, rate, clock, seed)))

    check_form(record)
    for side in (talk.a, talk.b):
        for end in ends(record, side):
            if not declared(record, end):
                walked = iter(truth(side))
                assert all(state in walked for state in end.states)
