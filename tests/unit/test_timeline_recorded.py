"""Recordings of the lab kernel, each of one way to trip a recorder up, and what must be read from them.

``tests/unit/fixtures/timeline/`` holds what the recorder wrote on Linux 7.3.4, on 6.1.192
where the name ends so, and on Debian's kernels in a machine that QEMU emulated, where it ends
in ``-emulated``. An endpoint is described by the edges it took (`handshake edges`).
"""

from __future__ import annotations

import random
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.observations import (
    Address,
    Observation,
    SegmentSeen,
    SocketGone,
    SocketSeen,
    StateChange,
    Step,
    TcpEvent,
    Witness,
)
from handshake_lab.tcp.diagram.lookup import BY_ID
from handshake_lab.tcp.states import State
from handshake_lab.verdict.judge import judge
from handshake_lab.verdict.self_transitions import self_transitions
from msgspec import structs
from recordings import RUNS, held_up, only, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from handshake_lab.recording.history import Endpoint, Record

#: Nanoseconds in a millisecond.
MS = 1_000_000

#: For each run, its endpoints: node, role, and the edges in order.
EXPECTED: dict[str, tuple[str, ...]] = {
    # The ways to open and to close.
    "normal": ("h1 client 2 7 12 14 17 20", "h2 server 1 4 10 13 16 19"),
    "server_first": ("h1 client 2 7 13 16 19", "h2 server 1 4 10 12 14 17 20"),
    "sim_close": ("h1 client 2 7 12 15 18 20", "h2 server 1 4 10 12 15 18 20"),
    "sim_open": ("h1 client 2 6 10 12 14 17 20", "h2 client 2 6 10 13 16 19"),
    "close_in_sr": ("h1 client 2 6 11 14 17 20", "h2 client 2 6 10 13 16 19"),
    "note2": ("h1 client 2 7 12 21 20", "h2 server 1 4 10 13 16 19"),
    "shutdown_then_close": ("h1 client 2 7 12 14 17 20", "h2 server 1 4 10 13 16 19"),
    "self": ("h1 client 2 6 10 12 15 18",),
    "self_lo": ("h1 client 2 6 10 12 15 18",),
    # Requests, which the tracepoint does not see.
    "third_ack_never": ("h1 client 2 7", "h2 server 1 4 30"),
    "third_ack_lost_data": ("h1 client 2 7 12 14 26.F2", "h2 server 1 4 10 13 27.CW"),
    "close_in_ss": ("h1 client 2 8", "h2 server 1 4 30"),
    "rst_in_sr": ("h1 client 2 7", "h2 server 1 4 9"),
    "syn_in_sr": ("h1 client 2 7", "h2 server 1 4 23"),
    "syn_ack_in_sr": ("h1 client 2 7 26.ES", "h2 server 1 4 23"),
    "syn_ack_stray": ("h1 client 2 7 12 14 17 20", "h2 server 1 4 10 13 16 19"),
    "syncookies": ("h1 client 2 7 12 14 17 20", "h2 server 1 41 10 13 16 19"),
    "syncookies-6.1": ("h1 client 2 7 12 14 17 20", "h2 server 1 41 10 13 16 19"),
    "fastopen2": ("h1 client 2 7 12 14 17 20", "h2 server 1 41b 10 13 16 19") * 2,
    "fastopen2-6.1": ("h1 client 2 7 12 14 17 20", "h2 server 1 41b 10 13 16 19") * 2,
    "defer": ("h1 client 2 7 12 14 26.F2", "h2 server 1 4 10 13 27.CW"),
    "queue_full3": (
        "h1 client 2 7",
        "h2 server 1 4 10",
        "h1 client 2 7",
        "h1 client 2 7",
        "h2 server 1 4 10",
        "h2 server 1 4 30",
    ),
    "abort_on_overflow3": (
        "h1 client 2 7",
        "h2 server 1 4 10",
        "h1 client 2 7",
        "h1 client 2 7 26.ES",
        "h2 server 1 4 10",
        "h2 server 1 4 40",
    ),
    "listener_close_pending": ("h1 client 2 7", "h2 server 1 4 39.SR"),
    "listener_close_queued": ("h1 client 2 7 26.ES", "h2 server 1 4 10 39.ES"),
    # Mini-sockets, which the tracepoint calls CLOSED.
    "orphan_f2": ("h1 client 2 7 12 14 31", "h2 server 1 4 10 13"),
    "orphan_f2_fin": ("h1 client 2 7 12 14 17 20", "h2 server 1 4 10 13 16 19"),
    "held_f2": ("h1 client 2 7 12 14 31", "h2 server 1 4 10 13"),
    "linger2_neg": ("h1 client 2 7 12 14 27.F2", "h2 server 1 4 10 13 26.CW"),
    "data_after_close_f1": ("h1 client 2 7 12 38.F1", "h2 server 1 4 10 13 26.CW"),
    "data_after_close_f2": ("h1 client 2 7 12 14 38.F2", "h2 server 1 4 10 13 26.CW"),
    "tw_overflow": ("h1 client 2 7 12 14 37.F2", "h2 server 1 4 10 13 16 26.LA"),
    "tw_rst": ("h1 client 2 7 12 14 17 34", "h2 server 1 4 10 13 16 19"),
    # Addresses, cookies and socket addresses used again.
    "tw_reopen": (
        "h1 client 2 7 13 16 19",
        "h2 server 1 4 10 12 14 17 35",
        "h1 client 2 7 12 14 17 20",
        "h2 server 1 4 10 13 16 19",
    ),
    "tw_reuse-6.1": (
        "h1 client 2 7 12 14 17 36",
        "h2 server 1 4 10 13 16 19",
        "h1 client 2 7 12 14 17 20",
        "h2 server 1 4 10 13 16 19",
    ),
    "reuse_many": ("h1 client 2 7 27.ES", "h2 server 1 4 10 26.ES") * 5,
    # The run before, in the same kernel, left an orphan whose LAST-ACK ends in this one.
    "dead_namespace": ("h1 client 2 7 12 21 20", "h2 server 1 4 10 13 16 19"),
    # Before 6.15 a child is first shown with its listener's address and remote port 0.
    "normal-6.1": ("h1 client 2 7 12 14 17 20", "h2 server 1 4 10 13 16 19"),
    "wild": ("h1 client 2 7 12 14 17 20", "h2 server 1 4 10 13 16 19"),
    "dual": ("h1 client 2 7 12 14 17 20", "h2 server 1 4 10 13 16 19"),
    # Ends that no FIN brings.
    "refused": ("h1 client 2 25",),
    "syn_blackhole": ("h1 client 2 29.SS",),
    "linger0": ("h1 client 2 7 27.ES", "h2 server 1 4 10 26.ES"),
    "unread": ("h1 client 2 7 27.ES", "h2 server 1 4 10 26.ES"),
    "keepalive": ("h1 client 2 7 29.ES", "h2 server 1 4 10"),
    "fin_blackhole": ("h1 client 2 7 12 29.F1", "h2 server 1 4 10"),
    "sskill": ("h1 client 2 7 42.ES", "h2 server 1 4 10 26.ES"),
    "sskill_tw": ("h1 client 2 7 12 14 17 42.TW", "h2 server 1 4 10 13 16 19"),
    # Time is real, and the machine slow: a stock kernel of Debian, emulated.
    "challenged-emulated": ("h1 client 2 7 12", "h2 server 1 4 10"),
    "silent-emulated": ("h1 client 2 7 12 14 29.F2", "h2 server 1 4 10 13"),
    "syn_dup-emulated": ("h1 client 2 7", "h2 server 1 4 10"),
    # What the middle does to segments.
    "syn_dup": ("h1 client 2 7 12 14 17 20", "h2 server 1 4 10 13 16 19"),
    "corrupt": ("h1 client 2 7 12 14 17 20", "h2 server 1 4 10 13 16 19"),
    "reorder": ("h1 client 2 7 12 14 26.F2", "h2 server 1 4 10 13 27.CW"),
    # The kernel's reports that the segments contradict.
    "unsent_fin_later": ("h1 client 2 7 12 15 18 20", "h2 server 1 4 10 12 14 17 20"),
}


def without(name: str, *kinds: type) -> Record:
    """A run as it would have been read without some observers."""
    return reconcile([each for each in recorded(name) if not isinstance(each, kinds)])


def reported(end: Endpoint) -> str:
    """An endpoint in short."""
    return " ".join([end.node, end.role, *(str(step.edge) for step in end.transitions)])


def place(end: Endpoint) -> tuple[str, Address, Address]:
    """Which connection's end it is."""
    return end.node, end.local, end.remote


@pytest.mark.parametrize("name", EXPECTED)
def test_edges_of_linux_are_not_called_edges_of_the_rfc(name: str) -> None:
    """The summary of a verdict counts them."""
    record = reconcile(recorded(name))
    edges = [step.edge for end in record.endpoints for step in end.transitions if step.edge is not None]
    own = [edge for edge in edges if BY_ID[edge].source == "Linux"]
    message = judge(record).message
    assert message is not None

    if message.code == "agrees":
        assert own == []
    if message.code == "agrees_with_linux":
        assert own
        assert message.values == {"count": len(own), "all": len(edges)}


def test_every_recording_is_expected_to_hold_something() -> None:
    """No recording lies about unused."""
    assert {file.stem for file in RUNS.iterdir()} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_recording(name: str) -> None:
    """Every endpoint is found, took the edges it took, and nothing is invented."""
    record = reconcile(recorded(name))

    assert EXPECTED[name] == tuple(reported(end) for end in record.endpoints if end.role != "listener")
    assert record.complete
    for end in record.endpoints:
        for step in end.transitions:
            assert step.witnesses
            assert not step.inferred
            assert step.flaw != "gap"
            assert step.cause.kind != "unknown"
            assert (step.old, step.new) == (BY_ID[str(step.edge)].old, BY_ID[str(step.edge)].new)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize(
    "blind",
    [(StateChange, TcpEvent), (SocketSeen, SocketGone), (SegmentSeen,), (Step,), (StateChange, TcpEvent, SegmentSeen)],
    ids=["no tracepoint", "no looks", "no capture", "no calls", "looks only"],
)
def test_recording_without_an_observer(name: str, blind: tuple[type, ...]) -> None:
    """Without any of the observers, each endpoint has its states, or the record states what is unknown."""
    truth: dict[tuple[str, Address, Address], list[list[str]]] = {}
    for end in reconcile(recorded(name)).endpoints:
        truth.setdefault(place(end), []).append([str(state) for state in end.states])

    record = without(name, *blind)

    for end in record.endpoints:
        doubts = [step for step in end.transitions if step.flaw or step.objection]
        assert doubts or [str(state) for state in end.states] in truth[place(end)]


def test_an_unknown_cause_is_never_as_documented() -> None:
    """Whichever observers are missing, and whatever of the calls: the verdict counts what it cannot explain."""
    kinds = (StateChange, TcpEvent, SocketSeen, SocketGone, SegmentSeen, Step)
    blinds = [each for size in (0, 1, 2, 3) for each in combinations(kinds, size)]
    unexplained = explained = 0
    for name in EXPECTED:
        for blind in blinds:
            record = without(name, *blind)
            unknown = sum(step.cause.kind == "unknown" for end in record.endpoints for step in end.transitions)
            verdict = judge(record)
            assert verdict.message is not None
            if verdict.ok and unknown:
                unexplained += 1
                assert verdict.message.code == "causes_unknown", (name, blind)
                assert verdict.message.values["count"] == unknown
                assert verdict.neutral
                assert not any("as documented" in text for text in (verdict.summary, str(verdict.message)))
            else:
                explained += 1
                assert verdict.message.code != "causes_unknown", (name, blind)

    assert unexplained > 100
    assert explained > 100


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize(("share", "longest"), [(0.3, 5 * MS), (0.3, 10 * MS), (0.05, 40 * MS)])
def test_recording_of_a_machine_that_is_held_up(name: str, share: float, longest: int) -> None:
    """Where time is real, the processor may be taken away between any two things that are seen."""
    quick = recorded(name)
    stayed = [
        (self_transition.edge, self_transition.node) for self_transition in self_transitions(reconcile(quick), quick)
    ]
    for seed in range(3):
        run = held_up(quick, random.Random(f"{name} {seed}"), share, longest)  # noqa: S311  nothing secret

        record = reconcile(run)

        found = tuple(reported(end) for end in record.endpoints if end.role != "listener")
        assert sorted(EXPECTED[name]) == sorted(found), f"seed {seed}"
        if longest <= 10 * MS:
            assert [
                (self_transition.edge, self_transition.node) for self_transition in self_transitions(record, run)
            ] == stayed


def test_time_wait_is_seen_by_looks_alone() -> None:
    """The tracepoint reports CLOSED when TIME-WAIT begins, and nothing when it ends."""
    client = only(reconcile(recorded("tw_rst")).endpoints, "h1")

    assert client.transitions[-1].witnesses == (Witness.DIAG, Witness.CAPTURE)
    assert "RST" in client.transitions[-1].cause.text


def test_an_unsent_fin_is_no_deviation() -> None:
    """With the window closed, Linux enters FIN-WAIT-1 and CLOSING though no FIN has left, as RFC 9293 does."""
    record = reconcile(recorded("unsent_fin_later"))
    client = only(record.endpoints, "h1")
    verdict = judge(record)
    (unsent,) = [finding for finding in verdict.findings if finding.message and finding.message.code == "fin_queued"]

    assert [step for step in client.transitions if step.flaw or step.objection] == []
    assert (record.endpoints[unsent.endpoint or 0], unsent.ok) == (client, None)
    assert client.transitions[unsent.transition or 0].new is State.FIN_WAIT_1
    assert verdict.ok


@pytest.mark.parametrize("when", [0, 1_000_000_000])
def test_a_socket_of_another_namespace_with_the_same_addresses(when: int) -> None:
    """A run before had a connection with the same addresses, whose socket ends only now: it is not of this run."""
    run = recorded("normal")
    (opened,) = [each for each in _changes(run) if each.new is State.ESTABLISHED and each.remote.port == 80]
    last = structs.replace(opened, t=when, sk=4711, old=State.LAST_ACK, new=State.CLOSED)
    record = reconcile([run[0], last, *run[1:]])

    assert [end.states for end in record.endpoints] == [end.states for end in reconcile(run).endpoints]
    assert [each.code for each in record.objections] == ["sockets_of_earlier_runs"]


def test_a_run_beside_this_one_with_the_same_addresses() -> None:
    """Another run on the same kernel has the same connection ten seconds later: no segment of this run is near it."""
    run = recorded("normal")
    header = structs.replace(run[0], kernel=structs.replace(run[0].kernel, kind="host"))
    beside = [
        structs.replace(each, t=each.t + 10_000_000_000, sk=each.sk + 1)
        for each in _changes(run)
        if each.remote.port == 80
    ]
    record = reconcile([header, *run[1:-1], *beside, run[-1]])

    assert [end.states for end in record.endpoints] == [end.states for end in reconcile([header, *run[1:]]).endpoints]
    assert [each.code for each in record.objections] == ["sockets_of_other_runs"]


def _changes(run: Iterable[Observation]) -> list[StateChange]:
    return [each for each in run if isinstance(each, StateChange)]


#: Each trap of the tracepoint, a recording of it, and how it shows there.
TRAPS: dict[str, tuple[str, Callable[[Sequence[Observation]], bool]]] = {
    "a connecting socket without a port": (
        "normal",
        lambda run: any(each.new is State.SYN_SENT and each.local.port == 0 for each in _changes(run)),
    ),
    "a child without a remote port": (
        "normal-6.1",
        lambda run: any(each.new is State.SYN_RECEIVED and each.remote.port == 0 for each in _changes(run)),
    ),
    "a state set to what it is": (
        "shutdown_then_close",
        lambda run: any(each.old is each.new for each in _changes(run)),
    ),
    "memory used again": (
        "reuse_many",
        lambda run: len({each.sk for each in _changes(run)}) < len(EXPECTED["reuse_many"]),
    ),
    "another socket's last step, from a namespace that is gone": (
        "dead_namespace",
        lambda run: any(each.new is State.CLOSED and each.local.port == 80 for each in _changes(run)[-1:]),
    ),
    "a request that is never named": (
        "third_ack_never",
        lambda run: not any(State.SYN_RECEIVED in (each.old, each.new) for each in _changes(run)),
    ),
    "an orphan's FIN-WAIT-2 that is called CLOSED": (
        "orphan_f2",
        lambda run: any((each.old, each.new) == (State.FIN_WAIT_2, State.CLOSED) for each in _changes(run)),
    ),
    "a reset that was not received": (
        "data_after_close_f1",
        lambda run: any(isinstance(each, TcpEvent) and each.name == "tcp_receive_reset" for each in run),
    ),
    "a FIN that was not sent": (
        "unsent_fin_later",
        lambda run: any(each.new is State.CLOSING for each in _changes(run)),
    ),
    "a request that is in no table": (
        "syncookies",
        lambda run: not any(isinstance(each, SocketSeen) and each.state is State.SYN_RECEIVED for each in run),
    ),
    "a child that is there at the SYN": (
        "fastopen2",
        lambda run: any(isinstance(each, SegmentSeen) and "S" in each.flags and each.length for each in run),
    ),
    "a connection with itself": ("self", lambda run: any(each.local == each.remote for each in _changes(run))),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap_is_in_a_recording(trap: str) -> None:
    """`test_recording` checks that the error is not made; this checks that the recording can provoke it."""
    name, shows = TRAPS[trap]

    assert shows(recorded(name))


#: In which run there is a request that is given up, and its edges.
UNSEEN = {
    "rst_in_sr": "h2 server 1 4 9",
    "syn_in_sr": "h2 server 1 4 23",
    "syn_ack_in_sr": "h2 server 1 4 23",
    "abort_on_overflow3": "h2 server 1 4 40",
}


@pytest.mark.parametrize("name", UNSEEN)
def test_a_request_that_no_look_showed_ends_as_its_segments_tell(name: str) -> None:
    """On a link without delay it ends before any poll; the tracepoint shows that it never was a connection."""
    run = recorded(name)
    gone = next(end for end in reconcile(run).endpoints if reported(end) == UNSEEN[name])
    polls = (SocketSeen, SocketGone)
    unseen = [
        each for each in run if not (isinstance(each, polls) and each.node == "h2" and each.remote == gone.remote)
    ]

    end = next(end for end in reconcile(unseen).endpoints if (end.node, end.remote) == (gone.node, gone.remote))

    assert len(unseen) < len(run)
    assert reported(end) == UNSEEN[name]
    assert end.transitions[-1].cause == gone.transitions[-1].cause
    assert "diag" not in end.transitions[-1].witnesses
    assert end.transitions[-1].objection is not None


def test_a_stray_syn_ack_does_not_open_a_request() -> None:
    """It acknowledges what it should, but begins before the window (tcp_check_req()): the ACK behind it opens."""
    opened = only(reconcile(recorded("syn_ack_stray")).endpoints, "h2").transitions[2]

    assert opened.new is State.ESTABLISHED
    assert (opened.cause.kind, opened.cause.segment) == ("segment", 5)


def test_an_orphan_of_the_run_before_is_left_out_and_said() -> None:
    """Its FIN was lost for good; the kernel gives it up two minutes into the next run, which has the same addresses."""
    record = reconcile(recorded("dead_namespace"))

    (message,) = (str(each) for each in record.objections)

    assert "10.0.0.2:80 → 10.0.0.1:57316" in message
    assert message.endswith("of an earlier run, ignored")


def test_time_wait_is_there_though_the_tracepoint_says_closed() -> None:
    """To it the socket is CLOSED from the orphan's FIN-WAIT-2 on; polls and the capture show the rest."""
    run = recorded("normal")
    message = [each for each in run if isinstance(each, StateChange) and each.local.ip == "10.0.0.1"]
    waiting, over = only(reconcile(run).endpoints, "h1").transitions[-2:]

    assert [each for each in message if State.TIME_WAIT in (each.old, each.new)] == []
    assert (message[-1].old, message[-1].new) == (State.FIN_WAIT_2, State.CLOSED)
    assert (waiting.new, waiting.flaw, over.new, over.flaw) == (State.TIME_WAIT, None, State.CLOSED, None)
    assert message[-1].t < waiting.time
    assert waiting.witnesses == (Witness.DIAG, Witness.CAPTURE)
    assert (over.witnesses, over.cause.kind) == ((Witness.DIAG,), "timer")
    assert 60 <= (over.time - waiting.time) / 1e9 < 62


def test_a_reset_that_never_came_is_objected_to() -> None:
    """Data after close() makes the kernel reset itself and report tcp_receive_reset."""
    record = reconcile(recorded("data_after_close_f1"))

    assert len(record.objections) == 1
    assert "no RST arrived" in str(record.objections[0])


def test_a_duplicate_is_known_for_one() -> None:
    """A SYN that the middle doubled was sent once; the second SYN-ACK is its answer's repeat."""
    segments = reconcile(recorded("syn_dup")).segments

    assert [(each.flags, each.copies) for each in segments[:4]] == [("S", None), ("SA", None), ("S", 1), ("SA", None)]
    assert segments[2].sent is None
    assert segments[3].retransmits == 2


def test_a_challenge_ack_is_known_on_a_slow_machine() -> None:
    """An emulated processor took 1.2 ms from the arrival of a RST to the answer."""
    run = recorded("challenged-emulated")
    record = reconcile(run)

    (self_transition,) = self_transitions(record, run)
    rst = next(segment for segment in record.segments if segment.flags == "R")
    assert (self_transition.edge, self_transition.node, self_transition.segment) == ("26a.F1", "h1", rst.number)


def test_damage_is_distinguished_from_loss() -> None:
    """A segment that arrived with a bit changed was not lost, and its receiver's TCP did not see it."""
    segments = reconcile(recorded("corrupt")).segments
    (damaged,) = [each for each in segments if each.damaged]

    assert not damaged.lost
    assert [damaged.number] == [each.retransmits for each in segments if each.retransmits]


def test_reading_a_thousand_connections_takes_less_than_two_seconds() -> None:
    """Twenty thousand observations are reconciled while a person waits."""
    import time

    once = recorded("normal")
    many: list[Observation] = [once[0]]
    for number in range(1000):
        many += [_moved(each, number) for each in once[1:-1]]
    many.append(once[-1])

    began = time.process_time()
    record = reconcile(many)
    took = time.process_time() - began

    assert len(many) > 20_000
    assert len(record.endpoints) == 2000
    assert took < 2


def _moved(each: Observation, number: int) -> Observation:
    """The same on other ports, with other identities, a little later."""
    later: dict[str, object] = {"t": each.t + number * 1000}
    for field in ("local", "remote", "src", "dst"):
        end = getattr(each, field, None)
        if end is not None and end.port > 1023:
            later[field] = Address(end.ip, 10_000 + number)
        elif end is not None and end.port:
            later[field] = Address(end.ip, 40_000 + number)
    for field in ("sk", "cookie"):
        value = getattr(each, field, 0)
        if value:
            later[field] = value + number * 10_000_000_000
    if hasattr(each, "since"):
        later["since"] = each.since + number * 1000
    if isinstance(each, SegmentSeen):
        later["frame"] = b""
    return structs.replace(each, **later)
