"""The diagram as data: complete, consistent, and spelt as RFC 9293 spells it."""

from __future__ import annotations

import json

from click.testing import CliRunner
from handshake_lab.cli.commands.edges import command
from handshake_lab.tcp.diagram.lookup import BY_ID, EDGES, FIGURE_5, SHORT, Trigger, edge_of, edges_between
from handshake_lab.tcp.diagram.paths import ways
from handshake_lab.tcp.states import State

S = State

#: Figure 5 of RFC 9293, arrow by arrow.
ARROWS = [
    (S.CLOSED, S.LISTEN), (S.CLOSED, S.SYN_SENT), (S.LISTEN, S.CLOSED), (S.LISTEN, S.SYN_RECEIVED),
    (S.LISTEN, S.SYN_SENT), (S.SYN_SENT, S.SYN_RECEIVED), (S.SYN_SENT, S.ESTABLISHED), (S.SYN_SENT, S.CLOSED),
    (S.SYN_RECEIVED, S.LISTEN), (S.SYN_RECEIVED, S.ESTABLISHED), (S.SYN_RECEIVED, S.FIN_WAIT_1),
    (S.ESTABLISHED, S.FIN_WAIT_1), (S.ESTABLISHED, S.CLOSE_WAIT), (S.FIN_WAIT_1, S.FIN_WAIT_2),
    (S.FIN_WAIT_1, S.CLOSING), (S.CLOSE_WAIT, S.LAST_ACK), (S.FIN_WAIT_2, S.TIME_WAIT), (S.CLOSING, S.TIME_WAIT),
    (S.LAST_ACK, S.CLOSED), (S.TIME_WAIT, S.CLOSED),
]  # fmt: skip


def test_figure_5_is_there_arrow_by_arrow() -> None:
    """Edges 1 to 20 are the figure's twenty arrows."""
    assert [(edge.old, edge.new) for edge in FIGURE_5] == ARROWS
    assert [edge.id for edge in FIGURE_5] == [str(number) for number in range(1, 21)]


def test_numbers_run_from_1_to_45() -> None:
    """No number is missing, and ids are unique and in order."""
    assert {edge.number for edge in EDGES} == set(range(1, 46))
    assert len(BY_ID) == len(EDGES)
    assert [edge.number for edge in EDGES] == sorted(edge.number for edge in EDGES)


def test_ids_name_the_state_they_start_from() -> None:
    """Where a number covers several edges, the id ends with the state."""
    for edge in EDGES:
        _, dot, state = edge.id.partition(".")
        assert not dot or state == SHORT[edge.old]


def test_what_linux_has_can_be_seen_and_found() -> None:
    """Every edge that Linux takes names a function and an observer; every other, a reason."""
    for edge in EDGES:
        if edge.in_linux:
            assert "()" in edge.linux or "listen_overflow" in edge.linux or "embryonic_reset" in edge.linux
            assert edge.observers
        else:
            assert edge.absent
            assert not edge.observers


def test_an_edge_is_identified_by_its_states_and_what_moved() -> None:
    """Of several edges between two states, the cause decides; without one there is no telling."""
    assert edge_of(S.ESTABLISHED, S.CLOSE_WAIT) == "13"
    assert edge_of(S.ESTABLISHED, S.CLOSED, Trigger.RESET) == "26.ES"
    assert edge_of(S.SYN_RECEIVED, S.CLOSED, Trigger.EXPIRED) == "30"
    assert edge_of(S.ESTABLISHED, S.CLOSED) is None
    assert edge_of(S.ESTABLISHED, S.LISTEN) is None
    for edge in EDGES:
        if edge.moves:
            assert edge_of(edge.old, edge.new, edge.why) == edge.id


def test_ways_are_made_of_edges() -> None:
    """Bridging takes edges that Linux has, and visits no state twice."""
    for old in State:
        for new in State:
            for way in ways(old, new, passive=False):
                assert len(set(way)) == len(way)
                for one, other in zip((old, *way), way, strict=False):
                    assert any(edge.in_linux for edge in edges_between(one, other))


def test_the_only_way_to_fin_wait_2_is_through_fin_wait_1() -> None:
    """A state that was not observed is inferred where there is one way only."""
    assert ways(S.ESTABLISHED, S.FIN_WAIT_2, passive=True) == ((S.FIN_WAIT_1, S.FIN_WAIT_2),)
    assert len(ways(S.ESTABLISHED, S.TIME_WAIT, passive=True)) == 3


def test_edges_prints_every_edge() -> None:
    """``handshake edges`` prints number, event and section of each edge; ``--json`` all fields."""
    text = CliRunner().invoke(command, [], standalone_mode=False)
    data = CliRunner().invoke(command, ["--json"], standalone_mode=False)

    assert text.exit_code == data.exit_code == 0
    assert "SYN-SENT → ESTABLISHED" in text.stdout
    assert "rcv SYN, ACK" in text.stdout
    assert [edge["id"] for edge in json.loads(data.stdout)["edges"]] == [edge.id for edge in EDGES]
