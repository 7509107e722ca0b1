"""The time-sequence graph (W. Richard Stevens, "TCP/IP Illustrated", volume 1): data, acknowledgments and the window.

It is derived from the captured segments: data when it is sent, acknowledgments when they reach the sender.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.series.plot import Plot, Points

if TYPE_CHECKING:
    from handshake_lab.report.series.direction import Direction


def sequence_plot(way: Direction) -> Plot:
    """The time-sequence graph of one direction; bytes count from the SYN's sequence number."""
    data, again, lost = Points("data", "bars"), Points("retransmission", "bars"), Points("lost", "points")
    for segment in way.data:
        start, end = segment.rel_seq, segment.rel_seq + segment.length
        points = data if segment.retransmits is None else again
        points.add(segment.sent or 0, start, end, segment.number)
        if segment.lost or segment.damaged:
            lost.add(segment.sent or 0, end, segment=segment.number)
    ack, edge, sack = Points("ack", "steps"), Points("window_edge", "steps"), Points("sack", "bars")
    highest = 0
    for each in way.acknowledgments:
        highest = max(highest, each.acknowledged)
        ack.add(each.time, highest)
        if each.window is not None:
            edge.add(each.time, each.acknowledged + each.window)
        for left, right in each.sack:
            sack.add(each.time, left, right, each.number)
    curves = (data, again, lost, ack, edge, sack)
    return Plot("sequence", way.connection, way.sender, way.receiver, tuple(each.curve() for each in curves))


def inflight_plot(way: Direction) -> Plot:
    """Bytes that are sent and not acknowledged, as the sender knows it, and the window that its peer advertises."""
    inflight, window = Points("inflight", "steps"), Points("window", "steps")
    highest = acknowledged = 0
    events: list[tuple[int, int, int, int | None]] = [
        (segment.sent or 0, 1, segment.rel_seq + segment.length, None) for segment in way.sent
    ]
    events += [(each.time, 0, each.acknowledged, each.window) for each in way.acknowledgments]
    # A segment that leaves at the time of an acknowledgment's arrival is its consequence.
    for time, sent, number, advertised in sorted(events, key=lambda event: event[:2]):
        if sent:
            highest = max(highest, number)
        else:
            acknowledged = max(acknowledged, number)
            window.add(time, advertised)
        inflight.add(time, max(0, highest - acknowledged))
    return Plot("inflight", way.connection, way.sender, way.receiver, (inflight.curve(), window.curve()))
