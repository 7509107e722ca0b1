"""Selecting the segments that hosts sent from a record, by flags, sender and connection.

``flags`` are letters in the order ``SFRPAUEW`` ("S", "SA", "FA"), ``sender`` is the name of a host, times are seconds
of the run's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.errors import NotRecorded
from handshake_lab.expect.timer_windows import seconds

if TYPE_CHECKING:
    from handshake_lab.recording.history import Endpoint, Record, TransmittedSegment


def sent(record: Record, flags: str = "", *, sender: str = "", of: Endpoint | None = None) -> list[TransmittedSegment]:
    """The segments that hosts sent, in the order of sending, without those that faults injected or duplicated.

    Args:
        record: A run.
        flags: Only those with exactly these flags; ECE and CWR count only if they are among them.
        sender: Only those of this host.
        of: Only those of this endpoint's connection.
    """
    return [
        segment
        for segment in record.segments
        if segment.sent is not None
        and not segment.icmp
        and _has_flags(segment.flags, flags)
        and sender in ("", segment.sender)
        and (of is None or {of.local, of.remote} == {segment.src, segment.dst})
    ]


def _has_flags(flags: str, wanted: str) -> bool:
    """Whether a segment has exactly the wanted flags; a SYN that offers ECN has ECE and CWR (RFC 3168, 6.1.1)."""
    ecn = set(wanted) & set("EW")
    return not wanted or wanted == (flags if ecn else "".join(letter for letter in flags if letter not in "EW"))


def sent_flags(record: Record, *, sender: str = "", of: Endpoint | None = None) -> list[str]:
    """The flags of the segments that hosts sent: ``["S", "SA", "A"]``."""
    return [segment.flags for segment in sent(record, sender=sender, of=of)]


def sent_at(record: Record, flags: str = "", *, sender: str = "", of: Endpoint | None = None) -> list[float]:
    """The times at which segments were sent, in seconds of the run's clock."""
    return [seconds(each.sent) for each in sent(record, flags, sender=sender, of=of) if each.sent is not None]


def crafted_segment(record: Record) -> TransmittedSegment:
    """The only segment that a fault injected. Duplicates that faults made do not count.

    Raises:
        NotRecorded: There is no such segment, or there are several.
    """
    found = [segment for segment in record.segments if segment.sent is None and segment.copies is None]
    if len(found) != 1:
        shown = [each.flags for each in found]
        raise NotRecorded(f"{len(found)} injected segments were recorded where one was expected: {shown}")
    return found[0]


def exchange(record: Record, *, after: float = 0.0) -> list[str]:
    """The segments that hosts sent after a time, with their senders: ``["h1 FA", "h2 A"]``.

    Args:
        record: A run.
        after: Seconds of the run's clock.
    """
    return [
        f"{segment.sender} {segment.flags}"
        for segment in sent(record)
        if segment.sent is not None and seconds(segment.sent) >= after
    ]


def sent_between(record: Record, start: float, end: float) -> list[str]:
    """Descriptions of the segments that hosts sent after ``start`` and before ``end``, both in seconds."""
    return [
        f"{segment.sender} {segment.flags} at {seconds(segment.sent):.3f} s"
        for segment in sent(record)
        if segment.sent is not None and start < seconds(segment.sent) < end
    ]
