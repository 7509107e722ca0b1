"""Schedules: what the network does to chosen segments of a run, each named by its number.

    >>> str(Fate(7, "delay 300ms"))
    'delay 300ms of segment 7'

The number counts all TCP segments that are about to leave the middle towards a host, in their order. Up to the first
segment that a schedule changes, a run is the same as without it; therefore the numbers of one run can be used to
make schedules that begin like it. Pure; `handshake_lab.experiment.scheduled` carries them out.
"""

from __future__ import annotations

import msgspec

#: What can happen to a segment, each with an example. "reset": it is delivered, and a RST follows it to the same host.
#: "cut": it and all later segments between the two hosts are dropped for a time.
FATES: dict[str, str] = {
    "drop": "drop",
    "duplicate": "duplicate",
    "delay": "delay 300ms",
    "reorder": "reorder",
    "corrupt": "corrupt",
    "reset": "reset",
    "cut": "cut 10s",
}
#: What `SegmentPoint.fate` is for a segment that is lost because an earlier one was cut off.
CUT_OFF = "cut off"


class Fate(msgspec.Struct, frozen=True, order=True):
    """What happens to one segment.

    Attributes:
        segment: The number of the segment, from 1.
        action: One of `FATES`, with its duration.
    """

    segment: int
    action: str

    @property
    def kind(self) -> str:
        """The action without its duration: one of `FATES`."""
        return self.action.partition(" ")[0]

    def __str__(self) -> str:
        return f"{self.action} of segment {self.segment}"


class Schedule(msgspec.Struct, frozen=True):
    """The fates of a run's segments; all others are delivered.

    Attributes:
        fates: In the order of their segments.
        park: The number of the segment at which the run is parked, to be forked there; 0 for none. A fork continues
            with a schedule of its own.
    """

    fates: tuple[Fate, ...] = ()
    park: int = 0


class SegmentPoint(msgspec.Struct, frozen=True):
    """A segment of a run that could have had another fate, as it was about to leave the middle.

    Attributes:
        number: Its number in the run.
        t: Nanoseconds on the run's clock.
        sender: The host that sent it; "" if that is unknown.
        receiver: The host that it is about to reach.
        flags: Letters (`handshake_lab.tcp.flags`).
        length: Bytes of payload.
        kind: Its kind in the fault language: the most telling of "SYN", "SYN-ACK", "FIN", "RST", "DATA", "ACK".
        nth: Its number among the segments of that kind from that sender.
        nth_of_both: Its number among the segments of that kind from any sender.
        lost: Whether a fault of the test itself drops it.
        fate: What the schedule did to it; "" if it was delivered.
    """

    number: int
    t: int
    sender: str
    receiver: str
    flags: str
    length: int
    kind: str
    nth: int
    nth_of_both: int
    lost: bool = False
    fate: str = ""
