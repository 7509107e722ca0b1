"""Schedules: the faults on segments of a run, which are identified by their numbers.

    >>> str(Fate(7, "delay 300ms"))
    'delay 300ms of segment 7'

All TCP segments that are about to leave the middle towards a host are numbered in order. Up to the first fault of a
schedule, a run is the same as without the schedule; therefore schedules can use the numbers of an earlier run. Pure;
`handshake_lab.experiment.scheduled` executes schedules.
"""

from __future__ import annotations

import msgspec

#: The actions on a segment, each with an example. "reset": it is delivered, and then a RST is sent to the same host.
#: "cut": it and all later segments between the two hosts are dropped for a time. "stop", "kill" and "restart": the
#: servers of the host that receives it are stopped for a time, killed, or killed and started again, and then it is
#: delivered.
FATES: dict[str, str] = {
    "drop": "drop",
    "duplicate": "duplicate",
    "delay": "delay 300ms",
    "reorder": "reorder",
    "corrupt": "corrupt",
    "reset": "reset",
    "cut": "cut 10s",
    "stop": "stop 10s",
    "kill": "kill",
    "restart": "restart",
}
#: The value of `SegmentPoint.fate` for a segment that is lost in a cut that began with an earlier segment.
CUT_OFF = "cut off"


class Fate(msgspec.Struct, frozen=True, order=True):
    """The action on one segment.

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
    """The actions on a run's segments; all other segments are delivered.

    Attributes:
        fates: The actions, in the order of their segments.
        park: The number of the segment at which the run is parked and forked; 0 for none. A fork continues with its
            own schedule.
    """

    fates: tuple[Fate, ...] = ()
    park: int = 0


class SegmentPoint(msgspec.Struct, frozen=True):
    """A segment of a run, when it was about to leave the middle.

    Attributes:
        number: Its number in the run.
        t: Nanoseconds on the run's clock.
        sender: The host that sent it; "" if that is unknown.
        receiver: The host to which it is sent.
        flags: Letters (`handshake_lab.tcp.flags`).
        length: Bytes of payload.
        kind: Its most specific kind in the fault language: "SYN", "SYN-ACK", "FIN", "RST", "DATA", "ACK".
        nth: Its number among the segments of that kind from that sender.
        nth_of_both: Its number among the segments of that kind from any sender.
        lost: Whether a fault of the test itself drops it.
        fate: The schedule's action on it; "" if it was delivered.
        serves: Whether a server of the receiver runs (`handshake_lab.experiment.servers`).
        after_script: Whether the script, such as a test's function, had ended.
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
    serves: bool = False
    after_script: bool = False
