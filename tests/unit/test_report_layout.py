"""Sorting a record into connections, and a connection into lines: the order of cause and effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.report.layout.connections import connections
from handshake_lab.report.layout.happenings import Arrival, Change, Departure, happenings
from handshake_lab.report.layout.lines import Bulk, Row, WaitRow, ladder
from handshake_lab.tcp.states import State
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from report_records import ALL, DELAY, MS, Story, _opening, bulk, normal, orphan

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record


#: What happens until a server's answer to a SYN has come.
REQUESTED = ("right LISTEN", "left SYN-SENT", "sends 1", "gets 1", "right SYN-RECEIVED", "sends 2", "gets 2")


def _story(record: Record) -> list[str]:
    """What happened, in words."""
    words = []
    for event in happenings(connections(record)[0]):
        if isinstance(event, Change):
            words.append(f"{event.side} {event.transition.new}")
        else:
            words.append(f"{'sends' if isinstance(event, Departure) else 'gets'} {event.segment.number}")
    return words


def test_with_no_delay_causes_still_come_first() -> None:
    """On a link without delay the whole handshake is one instant; its order is that of cause and effect."""
    story = Story(delay=0)
    _opening(story, 5 * MS)

    assert _story(story.record(MS * 20)) == [
        *REQUESTED,
        "left ESTABLISHED",
        "sends 3",
        "gets 3",
        "right ESTABLISHED",
    ]


def test_with_no_delay_a_request_is_there_before_it_is_given_up() -> None:
    """Back in LISTEN is not the same as listening from the start: a RST that comes at the same instant led there."""
    story = Story(delay=0)
    story.change("h2", State.LISTEN, 5 * MS, "listen()").change("h1", State.SYN_SENT, 5 * MS, "connect()")
    syn = story.send("h1", "S", 5 * MS)
    story.change("h2", State.SYN_RECEIVED, 5 * MS, segment=syn)
    story.send("h2", "SA", 5 * MS)
    rst = story.send("h1", "R", 5 * MS)
    story.change("h2", State.LISTEN, 5 * MS, segment=rst)

    assert _story(story.record(20 * MS)) == [
        *REQUESTED,
        "sends 3",
        "gets 3",
        "right LISTEN",
    ]


def test_change_stamped_before_its_segment_is_reported_after_it() -> None:
    """The kernel changes the state and the capture stamps the segment some nanoseconds apart, in either order."""
    record = normal()
    client = record.endpoints[0]
    early = replace(client.transitions[1], time=client.transitions[1].time - 700)
    steps = (client.transitions[0], early, *client.transitions[2:])
    changed = replace(record, endpoints=(replace(client, transitions=steps), record.endpoints[1]))

    assert _story(record) == _story(changed)


def test_call_that_sends_a_segment_comes_before_it() -> None:
    """A close() whose cause names the FIN it sent is not taken for one that the FIN caused."""
    record = normal()
    client = record.endpoints[0]
    step = client.transitions[2]
    assert step.new is State.FIN_WAIT_1
    reported = replace(step, cause=replace(step.cause, segment=6))
    steps = (*client.transitions[:2], reported, *client.transitions[3:])
    words = _story(replace(record, endpoints=(replace(client, transitions=steps), record.endpoints[1])))

    assert words.index("left FIN-WAIT-1") + 1 == words.index("sends 6")


@pytest.mark.parametrize("name", ALL)
def test_every_segment_leaves_before_it_arrives(name: str) -> None:
    """Each segment has one departure and at most one arrival, in that order."""
    for connection in connections(ALL[name]()):
        events = happenings(connection)
        for segment in connection.segments:
            mine = [type(e) for e in events if not isinstance(e, Change) and e.segment.number == segment.number]
            expected = [Departure] * (segment.sent is not None) + [Arrival] * (segment.received is not None)

            assert expected == mine


def test_change_and_its_segment_share_a_line() -> None:
    """SYN-SENT stands on the line on which the SYN leaves, SYN-RECEIVED where it arrives."""
    rows = ladder(connections(normal())[0]).rows
    leaves = next(row for row in rows if row.left and row.left.transition.new is State.SYN_SENT)
    arrives = next(row for row in rows if row.right and row.right.transition.new is State.SYN_RECEIVED)

    assert isinstance(leaves.piece, Departure)
    assert leaves.piece.segment.number == 1
    assert isinstance(arrives.piece, Arrival)
    assert arrives.piece.segment.number == 1


def test_waits_tell_what_ended_them() -> None:
    """A timer, a retransmission, or the end of the recording."""
    waits = [line for line in ladder(connections(orphan())[0]).lines if isinstance(line, WaitRow)]

    assert waits[0].until is not None
    assert waits[0].until.cause.text == "the FIN-WAIT-2 timer"
    assert waits[-1].open


def test_long_data_is_folded_and_counted() -> None:
    """Of a hundred data segments a few are drawn; the folded lines account for all the others."""
    connection = connections(bulk(70))[0]
    lines = ladder(connection).lines
    folded = sum(sum(line.segments.values()) for line in lines if isinstance(line, Bulk))
    drawn = {line.piece.segment.number for line in lines if isinstance(line, Row) and line.piece}

    assert len(lines) < 60
    assert len(connection.segments) == folded + len(drawn)


def test_lost_segment_among_data_is_never_folded() -> None:
    """Lost segments and their retransmissions are not folded."""
    connection = connections(bulk(70))[0]
    drawn = {row.piece.segment.number for row in ladder(connection).rows if row.piece}

    assert {p.number for p in connection.segments if p.lost or p.retransmits} <= drawn


def test_client_is_on_the_left_whoever_comes_first_in_the_record() -> None:
    """The order of a record's endpoints does not determine the sides."""
    record = normal()
    turned = replace(record, endpoints=record.endpoints[::-1])

    assert connections(turned)[0].left.node == connections(record)[0].left.node == "h1"


def test_four_tuple_used_twice_makes_two_connections() -> None:
    """Segments belong to the socket that existed when they were sent."""
    record = normal()
    later = 100_000 * MS
    endpoints = tuple(
        replace(
            endpoint,
            cookie=endpoint.cookie + 10,
            transitions=tuple(
                replace(step, time=step.time + later, earliest=step.earliest + later) for step in endpoint.transitions
            ),
            ended=endpoint.ended + later,
        )
        for endpoint in record.endpoints
    )
    segments = tuple(
        replace(p, number=p.number + 9, sent=(p.sent or 0) + later, received=(p.received or 0) + later)
        for p in record.segments
    )
    twice = replace(record, endpoints=record.endpoints + endpoints, segments=record.segments + segments)

    assert [len(connection.segments) for connection in connections(twice)] == [9, 9]


def test_closed_port_has_a_lane_without_a_socket() -> None:
    """Without a listener the other lane has a name and no states."""
    connection = connections(ALL["refused"]())[0]

    assert connection.right.node == "h2"
    assert connection.right.endpoint is None


def test_connection_to_itself_has_its_segments_once() -> None:
    """One socket, one address, both lanes."""
    story = Story()
    story.addresses["h2"] = story.addresses["h1"]
    story.change("h1", State.SYN_SENT, MS, "connect()")
    story.send("h1", "S", MS)
    connection = connections(story.record(10 * MS))[0]

    assert len(connection.segments) == 1
    assert ladder(connection).rows


@given(st.permutations(range(9)))
def test_order_does_not_depend_on_the_order_of_the_record(order: list[int]) -> None:
    """Shuffled segments give the same layout."""
    record = normal()
    shuffled = replace(record, segments=tuple(record.segments[place] for place in order))

    assert _story(record) == _story(shuffled)


def test_delay_is_the_stories_own() -> None:
    """The segments of the synthetic runs take as long as the delay of their link."""
    assert {DELAY} == {(p.received or 0) - (p.sent or 0) for p in normal().segments}


def test_connections_begin_when_they_are_opened_not_when_their_server_listens() -> None:
    """One listener for two connections: they are in the order of their opening, each with its own time."""
    early, late = Story(left_port=40002), Story(left_port=40001)
    _opening(early, 10 * MS)
    _opening(late, 1000 * MS)
    record = replace(
        early.record(5000 * MS),
        endpoints=(*early.endpoints(5000 * MS), *late.endpoints(5000 * MS)),
        segments=(*early.segments, *(replace(each, number=each.number + 3) for each in late.segments)),
    )
    found = connections(record)

    assert len({endpoint.transitions[0] for endpoint in record.endpoints if endpoint.role == "server"}) == 1
    assert [each.left.address.port for each in found] == [40002, 40001]
    assert [each.ended - each.began for each in found] == [3 * DELAY, 3 * DELAY]
