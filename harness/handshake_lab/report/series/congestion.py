"""What the sender's kernel reports of its congestion control: window, threshold, round-trip time and timeout.

``tcp:tcp_probe`` reports the values that a socket has when a segment arrives: it has them since the arrival before, or
since a timer or a call after that. A poll (tcp_info) reports those at its time. A value is drawn from the arrival
before its first report on; from the report's own time if there was another report in between, or if a timer had
expired by then.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.recording.observations import SocketSeen, TcpEvent, TcpInfo, TcpProbe
from handshake_lab.report.series.plot import Plot, Points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from handshake_lab.recording.observations import Observation
    from handshake_lab.report.series.direction import Direction
    from handshake_lab.report.series.plot import CurveName
    from handshake_lab.tcp.address import Address

#: Of a socket without a slow-start threshold (TCP_INFINITE_SSTHRESH, include/net/tcp.h).
_NO_THRESHOLD = 0x7FFFFFFF
#: A retransmission that is so much later than an arrival, in nanoseconds, is not its consequence: a timer expired.
_APART = 300_000


class KernelReports(msgspec.Struct, frozen=True):
    """The reports of one socket, each kind in order of time."""

    probes: tuple[TcpProbe, ...]
    polls: tuple[tuple[int, TcpInfo], ...]
    retransmitted: tuple[int, ...]  #: when it retransmitted


class ReportsBySocket:
    """The reports of a run's kernel, by socket."""

    def __init__(self, observations: Iterable[Observation]) -> None:
        self._probes: dict[tuple[Address, Address], list[TcpProbe]] = defaultdict(list)
        self._polls: dict[tuple[str, int], list[tuple[int, TcpInfo]]] = defaultdict(list)
        self._again: dict[tuple[Address, Address], list[int]] = defaultdict(list)
        for each in observations:
            if isinstance(each, TcpProbe):
                self._probes[each.local, each.remote].append(each)
            elif isinstance(each, SocketSeen):
                if each.info is not None and each.info.snd_cwnd:  # a request or a listener has no window
                    self._polls[each.node, each.cookie].append((each.t, each.info))
            elif isinstance(each, TcpEvent) and each.name == "tcp_retransmit_skb":
                self._again[each.local, each.remote].append(each.t)

    def of(self, way: Direction) -> KernelReports:
        """The reports of the sender's socket; none if it was not observed."""
        end = way.endpoint
        if end is None:
            return KernelReports((), (), ())
        key = end.local, end.remote
        return KernelReports(
            tuple(each for each in self._probes[key] if way.began <= each.t <= end.ended),
            tuple(sorted(self._polls[end.node, end.cookie], key=lambda pair: pair[0])),
            tuple(each for each in self._again[key] if way.began <= each <= end.ended),
        )


def window_plot(way: Direction, reports: KernelReports) -> Plot:
    """The congestion window and the slow-start threshold, in segments."""
    cwnd = _steps("cwnd", way, reports, lambda probe: probe.cwnd, lambda info: info.snd_cwnd)
    threshold = _steps("ssthresh", way, reports, lambda probe: _threshold(probe.ssthresh), None)
    polled = Points("polled", "points")
    for time, info in reports.polls:
        polled.add(time, info.snd_cwnd)
    curves = (cwnd.curve(), threshold.curve(), polled.curve())
    return Plot("cwnd", way.connection, way.sender, way.receiver, curves)


def round_trip_plot(way: Direction, reports: KernelReports) -> Plot:
    """The round-trip times in the capture, the kernel's smoothed one, and its retransmission timeout, in ms."""
    srtt = _steps("srtt", way, reports, lambda probe: probe.srtt / 1000 or None, lambda info: info.rtt / 1000 or None)
    timeout = Points("rto", "steps")
    # Before the first measurement it is a constant.
    polled = [(time, info.rto if info.rtt else 0) for time, info in reports.polls]
    after = [(probe.t, probe.rto) for probe in reports.probes if probe.rto]
    for time, rto in sorted(polled + after, key=lambda pair: pair[0]):
        timeout.add(time, rto / 1000 or None)
    curves = (_measured(way).curve(), srtt.curve(), timeout.curve())
    return Plot("rtt", way.connection, way.sender, way.receiver, curves)


def _threshold(value: int) -> int | None:
    return None if value >= _NO_THRESHOLD else value


def _steps(
    name: CurveName,
    way: Direction,
    reports: KernelReports,
    of_probe: Callable[[TcpProbe], float | None],
    of_poll: Callable[[TcpInfo], float | None] | None,
) -> Points:
    """A curve of the values that the kernel reported, each from when the socket had it."""
    points = Points(name, "steps")
    polls = reports.polls if of_poll is not None else ()
    place = 0

    def polls_until(time: int) -> None:
        nonlocal place
        while place < len(polls) and polls[place][0] < time:
            when, info = polls[place]
            assert of_poll is not None  # noqa: S101 - otherwise there are no polls
            points.add(when, of_poll(info))
            place += 1

    for probe in reports.probes:
        since = max(probe.since, way.began)
        polls_until(since)
        first = place
        timer = bisect_right(reports.retransmitted, since + _APART)
        expired = reports.retransmitted[timer] if timer < len(reports.retransmitted) else probe.t
        if first < len(polls) and polls[first][0] < probe.t:
            assert of_poll is not None  # noqa: S101 - otherwise there are no polls
            when, info = polls[first]
            points.add(since if when < expired else when, of_poll(info))
            polls_until(probe.t)
            points.add(probe.t, of_probe(probe))
        else:
            points.add(since if expired >= probe.t else expired, of_probe(probe))
    polls_until(sys.maxsize)
    return points


def _measured(way: Direction) -> Points:
    """For each segment that was sent once: the time until its acknowledgment arrived (Karn's algorithm, RFC 6298)."""
    points = Points("measured", "points")
    again = {segment.retransmits for segment in way.sent if segment.retransmits is not None}
    waiting = [each for each in way.sent if each.retransmits is None and each.number not in again]
    place = 0
    for ack in way.acknowledgments:
        newest = None
        while place < len(waiting) and waiting[place].rel_seq + waiting[place].length <= ack.acknowledged:
            newest = waiting[place]
            place += 1
        if newest is not None and newest.sent is not None and newest.sent <= ack.time:
            points.add(ack.time, (ack.time - newest.sent) / 1_000_000, segment=newest.number)
    return points
