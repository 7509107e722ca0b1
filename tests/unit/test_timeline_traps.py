"""What trips a recorder up and was not recorded: strangers' events, lost reports, sockets that seem to vanish."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest
from handshake_lab.errors import RecordUnreadable
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.observations import (
    FORMAT_VERSION,
    Counters,
    KernelInfo,
    Missed,
    Observation,
    RunEnd,
    RunHeader,
    SegmentSeen,
    SocketGone,
    SocketSeen,
    StateChange,
    Step,
    TcpEvent,
    Witness,
)
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.states import State
from handshake_lab.verdict.judge import judge
from strategies import ANY, CLIENT, SERVER, Plan, Sight, Talk, watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.recording.history import Record

S = State
MS = 1_000_000
PLAN = Plan(
    simultaneous=False, endings=("close", "close"), when=(200, 500), data=(0, 0), delay=(50, 50), lost=frozenset()
)
CLIENT_STATES = [S.CLOSED, S.SYN_SENT, S.ESTABLISHED, S.FIN_WAIT_1, S.FIN_WAIT_2, S.TIME_WAIT, S.CLOSED]
SERVER_STATES = [
    S.CLOSED, S.LISTEN, S.SYN_RECEIVED, S.ESTABLISHED, S.CLOSE_WAIT, S.LAST_ACK, S.CLOSED,
]  # fmt: skip


def plain_run() -> list[Observation]:
    """A connection, seen by all."""
    return watched(Talk(PLAN), Sight())


def with_more(*more: Observation, kind: Literal["lab", "host", "vm"] = "vm") -> Record:
    """That run, with something else in it."""
    run = plain_run()
    assert isinstance(run[0], RunHeader)
    head = msgspec.structs.replace(run[0], kernel=KernelInfo(kind, "6.1.0", 250, None))
    return reconcile([head, *sorted([*run[1:-1], *more], key=lambda each: each.t), run[-1]])


def states(record: Record) -> list[list[State]]:
    """The states of every endpoint."""
    return [end.states for end in record.endpoints]


def header(**nodes: str) -> RunHeader:
    """The first line of a run."""
    addresses = {name: [address] for name, address in nodes.items()}
    return RunHeader(
        0, FORMAT_VERSION, KernelInfo("vm", "6.1.0", 250, None), "pair", addresses, [], [], {}, "2026-01-01"
    )


def test_events_of_strangers_are_left_out() -> None:
    """Tracepoints have no namespace: sockets with addresses that no host has belong to other runs."""
    far, away = Address("192.0.2.1", 9000), Address("192.0.2.2", 443)
    record = with_more(
        StateChange(5 * MS, 0xDEAD, S.CLOSED, S.SYN_SENT, Address(far.ip, 0), away),
        StateChange(6 * MS, 0xDEAD, S.SYN_SENT, S.ESTABLISHED, far, away),
        StateChange(7 * MS, 0xDEAD, S.ESTABLISHED, S.CLOSED, far, away),
    )

    assert states(record) == [CLIENT_STATES, SERVER_STATES]
    assert record.objections == ()


def test_events_of_another_world_on_the_same_kernel_are_left_out_and_said() -> None:
    """Concurrent runs have the same addresses: sockets that only the tracepoint reported belong to another run."""
    mine, other = Address(CLIENT.ip, 4711), Address(SERVER.ip, 80)
    more = [
        StateChange(5 * MS, 0xDEAD, S.CLOSED, S.SYN_SENT, Address(CLIENT.ip, 0), other),
        StateChange(6 * MS, 0xDEAD, S.SYN_SENT, S.ESTABLISHED, mine, other),
        StateChange(7 * MS, 0xDEAD, S.ESTABLISHED, S.CLOSED, mine, other),
    ]
    alone, shared = with_more(*more), with_more(*more, kind="host")

    assert sorted(states(alone)) == sorted(
        [CLIENT_STATES, SERVER_STATES, [S.CLOSED, S.SYN_SENT, S.ESTABLISHED, S.CLOSED]]
    )
    assert states(shared) == [CLIENT_STATES, SERVER_STATES]
    assert "of other runs on this kernel" in str(shared.objections[0])


def test_a_run_without_any_segment_has_no_sockets_of_another_world() -> None:
    """A socket connected to itself sends nothing that a capture could show; that the capture watched is known."""
    run = plain_run()
    assert isinstance(run[0], RunHeader)
    head = msgspec.structs.replace(
        run[0], kernel=KernelInfo("host", "6.1.0", 250, None), observers={Witness.CAPTURE: "", Witness.DIAG: ""}
    )
    quiet = Talk(dataclasses.replace(PLAN, delay=(0, 0)))
    ours = [each for each in watched(quiet, Sight()) if not isinstance(each, SegmentSeen | RunHeader)]
    mine, other = Address(CLIENT.ip, 4711), Address(SERVER.ip, 80)
    more = [
        StateChange(5 * MS, 0xDEAD, S.CLOSED, S.SYN_SENT, Address(CLIENT.ip, 0), other),
        StateChange(6 * MS, 0xDEAD, S.SYN_SENT, S.ESTABLISHED, mine, other),
    ]

    record = reconcile([head, *sorted([*ours[:-1], *more], key=lambda each: each.t), ours[-1]])

    assert {end.local.port for end in record.endpoints} == {CLIENT.port, SERVER.port}


@pytest.mark.parametrize("before", [2000 * MS, 0], ids=["long before", "at the same time"])
def test_a_listener_of_another_world_is_not_taken_for_this_ones(before: int) -> None:
    """It has the same address; it is older, or farther from the poll of ours, or has another cookie."""
    ours = [
        msgspec.structs.replace(
            each, t=each.t + before, **({"since": each.since + before} if "since" in dir(each) else {})
        )
        for each in plain_run()[1:]
    ]
    head = plain_run()[0]
    assert isinstance(head, RunHeader)
    head = msgspec.structs.replace(head, kernel=KernelInfo("host", "6.1.0", 250, None))
    address, anyone = Address(SERVER.ip, SERVER.port), ANY
    more: list[Observation] = [
        StateChange(MS // 2, 0xBEEF, S.CLOSED, S.LISTEN, address, anyone),
        StateChange(before + 90 * MS, 0xBEEF, S.LISTEN, S.CLOSED, address, anyone),
        TcpEvent(before + 90 * MS, "tcp_destroy_sock", address, anyone, 0xBEEF, 4242),
    ]

    record = reconcile([head, *sorted([*ours[:-1], *more], key=lambda each: each.t), ours[-1]])

    server = next(end for end in record.endpoints if end.node == "h2" and end.role == "server")
    assert server.states == SERVER_STATES
    assert server.transitions[0].time == before + MS
    assert Witness.TRACEPOINT in server.transitions[0].witnesses
    assert [end.role for end in record.endpoints].count("listener") <= 1


@pytest.mark.parametrize("answered", [True, False])
def test_a_syn_with_data_opens_fast_where_its_syn_ack_takes_the_data(*, answered: bool) -> None:
    """Tracepoint and capture may be further apart than clocks are, on a slow machine: the acknowledgment decides."""
    run = plain_run()
    changed: list[Observation] = []
    for each in run:
        new = each
        if isinstance(each, SegmentSeen) and each.flags == "S":
            new = msgspec.structs.replace(each, length=5)
        elif isinstance(each, SegmentSeen) and each.flags == "SA" and answered:
            new = msgspec.structs.replace(each, ack=each.ack + 5)
        changed.append(new)

    server = next(end for end in reconcile(changed).endpoints if end.node == "h2")

    assert server.transitions[1].edge == ("41b" if answered else "4")


@pytest.mark.parametrize(("cookie", "objections"), [(7, 1), (0, 1), (4242, 0)])
def test_a_reset_of_another_world_is_not_held_against_this_one(cookie: int, objections: int) -> None:
    """tcp_receive_reset has no namespace: its cookie, if the kernel reports one, shows to which run it belongs."""
    record = with_more(TcpEvent(150 * MS, "tcp_receive_reset", CLIENT, SERVER, 0xDEAD, cookie), kind="host")

    assert states(record) == [CLIENT_STATES, SERVER_STATES]
    assert len([each for each in record.objections if "tcp_receive_reset" in str(each)]) == objections


@pytest.mark.parametrize(("grown", "last"), [({"EmbryonicRsts": 1}, None), ({}, S.CLOSED), (None, None)])
def test_a_request_gone_after_one_syn_ack(grown: dict[str, int] | None, last: State | None) -> None:
    """The capture missed the RST that ended it: counters show this, or the cause is unknown."""
    plan = dataclasses.replace(PLAN, when=(0, 0), delay=(5, 5), lost=frozenset({1}))
    run = watched(Talk(plan), Sight(frozenset({"tracepoint"}), "capture", 0.375, (0, 0, 0), 2361))
    more = [] if grown is None else [Counters(run[-1].t, "h2", grown)]
    end = next(end for end in reconcile([*run[:-1], *more, run[-1]]).endpoints if end.node == "h2")

    assert end.states[:-1] == [S.CLOSED, S.LISTEN, S.SYN_RECEIVED]
    assert (end.states[-1] is last) if last else (end.transitions[-1].flaw == "gap")


@pytest.mark.parametrize("flags", ["S", "SA"])
def test_a_stray_syn_does_not_begin_a_connection(flags: str) -> None:
    """Another SYN is crafted directly after the SYN, without a SYN-ACK: the connection is that of the first one."""
    first = next(each for each in plain_run() if isinstance(each, SegmentSeen) and each.node == "h2")
    stray = msgspec.structs.replace(first, t=first.t + MS // 2, flags=flags, seq=first.seq + 1_000_000)
    plain, lost_resets = (
        [[str(step.cause.text) for step in end.transitions] for end in record.endpoints]
        for record in (reconcile(plain_run()), with_more(stray))
    )

    assert (first.flags, first.direction) == ("S", "received")
    assert lost_resets == plain


def test_both_abort_before_either_has_heard_of_it() -> None:
    """On a link of a millisecond each RST comes within the clocks' difference, but to a socket that is gone."""
    plan = dataclasses.replace(PLAN, endings=("abort", "abort"), when=(200, 200), delay=(1, 1))
    ends = [end.transitions[-1] for end in reconcile(watched(Talk(plan), Sight())).endpoints]

    assert [(end.new, end.edge, end.cause.kind) for end in ends] == [(S.CLOSED, "27.ES", "call")] * 2


def test_events_of_a_dead_namespace_are_left_out_and_said() -> None:
    """An orphan of the run before fires LAST-ACK→CLOSED with this run's addresses."""
    record = with_more(StateChange(5 * MS, 0xDEAD, S.LAST_ACK, S.CLOSED, Address(SERVER.ip, 80), Address(CLIENT.ip, 5)))

    assert states(record) == [CLIENT_STATES, SERVER_STATES]
    assert "of an earlier run" in str(record.objections[0])


def test_a_socket_address_used_again_begins_a_new_life() -> None:
    """Two connections, one after the other, in the same memory."""
    first, second = Address(CLIENT.ip, 5001), Address(CLIENT.ip, 5002)
    run: list[Observation] = [header(h1=CLIENT.ip, h2=SERVER.ip)]
    for at, local in ((0, first), (100 * MS, second)):
        run += [
            StateChange(at, 0xA, S.CLOSED, S.SYN_SENT, Address(local.ip, 0), SERVER),
            StateChange(at + 10 * MS, 0xA, S.SYN_SENT, S.ESTABLISHED, local, SERVER),
            StateChange(at + 20 * MS, 0xA, S.ESTABLISHED, S.CLOSED, local, SERVER),
        ]

    record = reconcile([*run, RunEnd(10**9)])

    assert [(end.local, end.states) for end in record.endpoints] == [
        (local, [S.CLOSED, S.SYN_SENT, S.ESTABLISHED, S.CLOSED]) for local in (first, second)
    ]


def test_a_lost_close_does_not_join_two_connections() -> None:
    """The end of the first was not reported; the second begins all the same."""
    run: list[Observation] = [
        header(h1=CLIENT.ip, h2=SERVER.ip),
        StateChange(1 * MS, 0xA, S.CLOSED, S.SYN_SENT, Address(CLIENT.ip, 0), SERVER),
        StateChange(2 * MS, 0xA, S.SYN_SENT, S.ESTABLISHED, Address(CLIENT.ip, 1), SERVER),
        StateChange(9 * MS, 0xA, S.CLOSED, S.SYN_SENT, Address(CLIENT.ip, 0), SERVER),
        StateChange(10 * MS, 0xA, S.SYN_SENT, S.ESTABLISHED, Address(CLIENT.ip, 2), SERVER),
        RunEnd(10**9),
    ]

    assert [end.local.port for end in reconcile(run).endpoints] == [1, 2]


def test_lost_reports_do_not_join_a_client_with_a_child() -> None:
    """The same memory, other addresses: what was lost in between was the end of the one and the birth of the other."""
    mine, other = Address(CLIENT.ip, 1), Address(CLIENT.ip, 2)
    run: list[Observation] = [
        header(h1=CLIENT.ip, h2=SERVER.ip),
        StateChange(1 * MS, 0xA, S.CLOSED, S.SYN_SENT, Address(CLIENT.ip, 0), SERVER),
        StateChange(2 * MS, 0xA, S.SYN_SENT, S.ESTABLISHED, mine, SERVER),
        StateChange(9 * MS, 0xA, S.SYN_RECEIVED, S.ESTABLISHED, SERVER, other),
        StateChange(10 * MS, 0xA, S.ESTABLISHED, S.CLOSE_WAIT, SERVER, other),
        RunEnd(10**9),
    ]

    record = reconcile(run)

    assert [(end.node, end.local, end.remote, end.states) for end in record.endpoints] == [
        ("h1", mine, SERVER, [S.CLOSED, S.SYN_SENT, S.ESTABLISHED])
    ]
    assert str(other) in " ".join(map(str, record.objections))


def test_self_loops_are_no_transitions() -> None:
    """shutdown(), then close(): the kernel sets the state it has."""
    record = with_more(StateChange(250 * MS, 0xA0, S.FIN_WAIT_1, S.FIN_WAIT_1, CLIENT, SERVER))

    assert states(record) == [CLIENT_STATES, SERVER_STATES]


def test_a_child_of_an_older_kernel() -> None:
    """Before 6.15 its first event has the listener's address, 0.0.0.0, and remote port 0."""
    run = [
        as_before_6_15(each) if isinstance(each, StateChange) and each.new is S.SYN_RECEIVED else each
        for each in plain_run()
    ]

    assert states(reconcile(run)) == [CLIENT_STATES, SERVER_STATES]


def as_before_6_15(change: StateChange) -> StateChange:
    """The same as an older kernel shows it."""
    return StateChange(change.t, change.sk, change.old, change.new, Address(ANY.ip, change.local.port), ANY)


def test_a_socket_that_a_dump_missed_was_not_gone() -> None:
    """A dump can miss a socket that moves between tables."""
    record = with_more(
        SocketGone(150 * MS, 149 * MS, "h1", 7, S.ESTABLISHED, CLIENT, SERVER),
        SocketSeen(151 * MS, 150 * MS, "h1", 7, S.ESTABLISHED, CLIENT, SERVER),
    )

    assert states(record) == [CLIENT_STATES, SERVER_STATES]


def test_ss_is_a_witness_of_its_own() -> None:
    """What a person types is held beside what the recorder dumped; without a cookie, by its addresses."""
    record = with_more(SocketSeen(150 * MS, 0, "h1", 0, S.ESTABLISHED, CLIENT, SERVER, "ss"))

    assert states(record)[0] == CLIENT_STATES


def test_a_look_that_contradicts_is_objected_to() -> None:
    """A state shown long after it was left is named, not believed."""
    record = with_more(SocketSeen(400 * MS, 390 * MS, "h1", 7, S.SYN_SENT, CLIENT, SERVER))

    assert states(record)[0] == CLIENT_STATES
    assert any("reported SYN-SENT" in str(step.objection) for step in record.endpoints[0].transitions)


def test_a_fin_wait_2_that_a_look_showed_is_one_however_short() -> None:
    """On a busy machine, related events may be far apart, unless a poll in between contradicts it."""
    plan = Plan(
        simultaneous=True, endings=("close", "close"), when=(6, 11), data=(0, 0), delay=(5, 5), lost=frozenset({0, 3})
    )
    talk = Talk(plan)
    record = reconcile(watched(talk, Sight(misses="capture", rate=0.5)))

    assert record.endpoints[1].states == [state for _, state in talk.b.history]


def test_losses_that_an_observer_knows_of_are_said() -> None:
    """A full ring buffer or packet socket does not pass for a quiet network."""
    record = with_more(Missed(900 * MS, "tracepoint", "", 2), Missed(900 * MS, "capture", "h1", 9))

    assert states(record) == [CLIENT_STATES, SERVER_STATES]
    assert len(record.objections) == 2
    assert "h1: capture lost reports (at least 9)" in str(record.objections[1])


def test_a_listener_that_nobody_reached_is_an_endpoint() -> None:
    """One that was reached is the beginning of its connections' histories."""
    idle = Address(SERVER.ip, 8080)
    record = with_more(
        StateChange(2 * MS, 0xEE, S.CLOSED, S.LISTEN, idle, ANY),
        StateChange(600 * MS, 0xEE, S.LISTEN, S.CLOSED, idle, ANY),
    )

    assert [end.role for end in record.endpoints] == ["client", "listener", "server"]
    assert record.endpoints[1].states == [S.CLOSED, S.LISTEN, S.CLOSED]
    assert [step.edge for step in record.endpoints[1].transitions] == ["1", "3"]


def test_a_listener_that_was_there_before_is_inferred() -> None:
    """A server cannot be reached without one: CLOSED→LISTEN has no witness, and an interval for time."""
    run = [
        each
        for each in plain_run()
        if not (isinstance(each, (StateChange, SocketSeen)) and each.local == SERVER and each.remote == ANY)
    ]

    listening = reconcile(run).endpoints[1].transitions[0]

    assert (listening.old, listening.new, listening.inferred, listening.witnesses) == (S.CLOSED, S.LISTEN, True, ())


def test_a_cookie_joins_what_addresses_cannot() -> None:
    """tcp_destroy_sock names the socket's address and its cookie both."""
    polls = [each for each in plain_run() if not isinstance(each, (StateChange, SegmentSeen))]
    record = reconcile(
        [
            polls[0],
            StateChange(1 * MS, 0xA0, S.CLOSED, S.SYN_SENT, Address(CLIENT.ip, 0), SERVER),
            *polls[1:-1],
            TcpEvent(101 * MS, "tcp_destroy_sock", CLIENT, SERVER, 0xA0, 7),
            polls[-1],
        ]
    )

    assert [end.cookie for end in record.endpoints if end.role == "client"] == [7]


def test_steps_name_the_call() -> None:
    """The program's own close() is the cause, and a witness."""
    record = with_more(Step(201 * MS, "h1", "close", "begins", 7), Step(201 * MS, "h1", "close", "ends", 7))
    closing = record.endpoints[0].transitions[2]

    assert (closing.cause.kind, closing.cause.text) == ("call", "close()")
    assert Witness.APPLICATION in closing.witnesses


def test_a_cut_record_is_incomplete() -> None:
    """A record without its last line is incomplete, and its states are those up to then."""
    run = [each for each in plain_run() if each.t < 180 * MS]

    record = reconcile(run)

    assert not record.complete
    assert states(record) == [CLIENT_STATES[:3], SERVER_STATES[:4]]


def test_counters_alone_are_no_socket() -> None:
    """A run in which nothing happened has no endpoints."""
    record = reconcile([header(h1=CLIENT.ip), Counters(5, "h1", {}), RunEnd(9)])

    assert (record.endpoints, record.segments, record.objections) == ((), (), ())


def test_the_header_comes_first() -> None:
    """Without it addresses have no hosts."""
    with pytest.raises(RecordUnreadable, match="header"):
        reconcile([RunEnd(1)])


@pytest.mark.parametrize(
    ("spoil", "ok", "reported"),
    [
        (lambda run: run, True, "as documented: all 12 transitions"),
        (lambda run: run[:-1], True, "the recording stopped"),
        (lambda run: [each for each in run if each.t < 300 * MS], True, "did not leave CLOSE-WAIT"),
        (
            lambda run: [each for each in run if not isinstance(each, (StateChange, SegmentSeen))],
            True,
            "not explained: the cause of",
        ),
        (
            lambda run: [
                *run[:-1],
                StateChange(150 * MS, 0xA0, S.ESTABLISHED, S.LISTEN, CLIENT, SERVER),
                StateChange(151 * MS, 0xA0, S.LISTEN, S.ESTABLISHED, CLIENT, SERVER),
                run[-1],
            ],
            False,
            "not an edge of the diagram",
        ),
    ],
    ids=["plain", "cut", "half open", "looks only", "impossible"],
)
def test_verdict(spoil: Callable[[list[Observation]], list[Observation]], ok: bool, reported: str) -> None:
    """Edges of the diagram are as documented, whatever was lost, if their causes are known; what is none is not."""
    verdict = judge(reconcile(spoil(plain_run())))

    assert verdict.ok is ok
    assert verdict.exit_code == (0 if ok else 1)
    assert any(reported in text for text in (verdict.summary, *(finding.text for finding in verdict.findings)))


@pytest.mark.parametrize(
    ("lost", "reported"),
    [
        ({0}, "h1: SYN retransmitted after 1.00 s because it was lost"),
        ({1}, "h1: SYN retransmitted after 1.00 s because its acknowledgment, segment 2, was lost"),
        ({3}, "h1: FIN-ACK retransmitted after 1.00 s because it was lost"),
    ],
)
def test_a_verdict_gives_the_reason_of_a_retransmission(lost: set[int], reported: str) -> None:
    """It lies in what was lost before."""
    plan = Plan(
        simultaneous=False, endings=("close", "close"), when=(3000, 6000), data=(0, 0), delay=(50, 50),
        lost=frozenset(lost),
    )  # fmt: skip

    verdict = judge(reconcile(watched(Talk(plan), Sight())))

    assert verdict.ok
    assert reported in [finding.text for finding in verdict.findings]
