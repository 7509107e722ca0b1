"""Routers have lanes of their own in a drawn ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.observations import Address, SegmentSeen
from handshake_lab.report.layout.connections import connections
from handshake_lab.report.layout.hops import Hop, hops, routers_between
from handshake_lab.report.layout.lines import ladder
from handshake_lab.report.svg import axes, ladder_svg
from handshake_lab.report.svg.geometry import WIDE
from handshake_lab.report.svg.label_layout import Arrows
from handshake_lab.report.text.translations import words
from msgspec.structs import replace
from recordings import recorded
from report_records import MS, lost_syn_ack

if TYPE_CHECKING:
    from handshake_lab.recording.observations import Observation

#: h1's address behind the translator.
OUTSIDE = Address("192.0.2.1", 777)


def translated_at_a_router() -> list[Observation]:
    """A run through a router that translates h1's address, and holds every segment for 30 of its 50 ms."""
    found: list[Observation] = []
    for each in recorded("normal"):
        found.append(each)
        if isinstance(each, SegmentSeen) and each.direction == "sent":
            if each.node == "h1":
                before, after = each, replace(each, src=OUTSIDE)
            else:
                before, after = replace(each, dst=OUTSIDE), each
            received = replace(before, node="r1", interface="r1-eth0", direction="received", t=each.t + 20 * MS)
            found += [received, replace(after, node="r1", interface="r1-eth1", t=each.t + 50 * MS)]
    return found


def test_a_router_has_a_lane_with_the_addresses_it_translates() -> None:
    """Arrows bend at the router where they wait; its head has h1's address before and after, in both directions."""
    run = translated_at_a_router()
    (connection,) = connections(reconcile(recorded("normal")))
    ways = hops(connection.segments, run)
    between = routers_between(connection, ways)
    drawn = ladder(connection, ways=ways)
    courses = Arrows(drawn).courses(axes.sequence(drawn))
    client = connection.left.address

    assert list(between) == ["r1"]
    assert between["r1"] is not None
    assert between["r1"].changes == [(client, OUTSIDE)]
    for segment in connection.segments:
        course = courses[segment.number]
        assert [x for x, _ in course.bends] == [WIDE.middle] * 2
        parts = [(y - course.y1) / (course.y2 - course.y1) for _, y in course.bends]
        assert parts == pytest.approx([20 / 50, 50 / 50], abs=0.01)
    picture = ladder_svg.picture(drawn, words("en"))
    assert picture.count("<polyline") == len(connection.segments)
    assert f"{client} ⇒ {OUTSIDE}" in picture
    assert "<polyline" not in ladder_svg.picture(ladder(connection), words("en"))


def test_a_lost_segment_ends_where_it_was_seen_last() -> None:
    """At the router that did not send it on; halfway to the router, if that did not receive it."""
    (connection,) = connections(lost_syn_ack())
    (number,) = (each.number for each in connection.segments if each.lost)
    others = {each.number: (Hop("r1", each.sent, each.received),) for each in connection.segments if not each.lost}
    for way, expected in (
        ((Hop("r1", 1, None),), WIDE.middle),
        ((Hop("r1", 1, 2),), (WIDE.middle + WIDE.left) / 2),
        ((), (WIDE.middle + WIDE.right) / 2),
    ):
        drawn = ladder(connection, ways=others | {number: way})
        assert Arrows(drawn).courses(axes.sequence(drawn))[number].x2 == expected
