"""Segments of a session that are under way are neither lost nor arrived, and are drawn so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.experiment.under_way import SegmentInMiddle, Undecided, number_of, with_under_way
from handshake_lab.report.html.page import page
from handshake_lab.report.layout.connections import connections
from handshake_lab.report.layout.outline import outline
from handshake_lab.report.terminal.ladder import text
from msgspec.structs import replace
from report_records import normal, transfer

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record, TransmittedSegment


def without_arrival(record: Record, *numbers: int, after: int = 10_000) -> Record:
    """A record in which some segments did not arrive, and others, later ones, were not sent."""
    segments = tuple(
        replace(each, received=None) if each.number in numbers else each
        for each in record.segments
        if each.number <= after
    )
    return replace(record, segments=segments, complete=False)


def middle(segment: TransmittedSegment) -> SegmentInMiddle:
    """A segment as seen in the middle."""
    return SegmentInMiddle(
        segment.sender,
        segment.receiver,
        segment.src,
        segment.dst,
        segment.flags,
        segment.seq,
        segment.ack,
        segment.length,
    )


def under_way(record: Record, **undecided: Any) -> list[int]:
    """The numbers of the segments that are under way."""
    found = with_under_way(record, Undecided(**undecided))
    assert [each.number for each in found.segments] == [each.number for each in record.segments]
    assert not any(each.lost and each.under_way for each in found.segments)
    return [each.number for each in found.segments if each.under_way]


@pytest.fixture
def record() -> Record:
    """A run whose segments 2 and later were not sent, or did not arrive."""
    return without_arrival(normal(), 2, after=2)


def test_what_waits_is_under_way(record: Record) -> None:
    """And has its number in the ladder; what was dropped in the middle has not."""
    second = middle(record.segments[1])

    assert under_way(record, waiting=second) == [2]
    assert number_of(with_under_way(record, Undecided(waiting=second)), second) == 2
    assert under_way(record, dropped=(second,)) == []
    assert number_of(record, second) is None


def test_what_is_delayed_or_in_a_queue_is_under_way(record: Record) -> None:
    """As long as there is anything in which it can be."""
    second = middle(record.segments[1])

    assert under_way(record, delayed=(second,)) == [2]
    assert under_way(record, in_flight=1) == [2]
    assert under_way(record) == []


def test_of_equal_segments_the_first_was_dropped(record: Record) -> None:
    """Its retransmission is the one that waits."""
    first, second = record.segments
    again = replace(second, number=3, sent=(second.sent or 0) + 10**9)
    both = replace(record, segments=(first, second, again))
    seen = middle(second)

    assert under_way(both, dropped=(seen,), waiting=seen) == [3]
    assert number_of(with_under_way(both, Undecided(seen, (seen,))), seen) == 3


def test_what_was_overtaken_is_lost() -> None:
    """By one that has arrived; or by one that waits, if no queue has anything."""
    run = transfer(20)
    data = [each for each in run.segments if each.length][:3]
    first, second, third = (each.number for each in data)
    arrived = without_arrival(run, first, after=second)
    waits = without_arrival(run, first, third, after=third)

    assert first not in under_way(arrived, in_flight=1)
    assert under_way(waits, waiting=middle(data[2])) == [third]
    assert set(under_way(without_arrival(run, second, third, after=third), waiting=middle(data[1]))) == {second, third}


def test_it_is_drawn_with_a_circle(record: Record) -> None:
    """In a terminal, on a page, with its meaning; and no sentence counts it as lost."""
    marked = with_under_way(record, Undecided(in_flight=1))

    assert "o still under way" in text(marked)
    assert "lost in transit" not in text(marked)
    html = page(marked, title="a session", lang="ko")
    assert html.count('class="waits"') == 2
    assert 'class="mark cross"' not in html
    assert "아직 전송 중" in html
    assert not any("lost" in str(each) for each in outline(marked, connections(marked)))
    assert "X lost in transit" in text(record)
