"""Captures on both sides of the middle are joined to segments: sent, arrived, lost, duplicated, crafted, damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from handshake_lab.reconcile.segments.matching import join
from handshake_lab.recording.causal_order import arrange
from handshake_lab.recording.node_addresses import Nodes
from handshake_lab.recording.observations import SegmentSeen
from handshake_lab.tcp.address import Address
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from handshake_lab.recording.history import TransmittedSegment

MS = 1_000_000
A, B = Address("10.0.0.1", 40000), Address("10.0.0.2", 80)
NODES = Nodes({"h1": ["10.0.0.1/24"], "h2": ["10.0.0.2"], "s1": []})


def seen(
    ms: float,
    node: str,
    direction: Literal["sent", "received"],
    flags: str = "A",
    *,
    seq: int = 0,
    ack: int = 0,
    length: int = 0,
    back: bool = False,
) -> SegmentSeen:
    """A sight of a segment from A to B, or back."""
    src, dst = (B, A) if back else (A, B)
    return SegmentSeen(round(ms * MS), node, f"{node}-eth0", direction, src, dst, flags, seq, ack, length, 100, b"")


def segments(*sights: SegmentSeen) -> tuple[TransmittedSegment, ...]:
    """What they join to."""
    return join(list(enumerate(sights)), NODES).segments


def times(segment: TransmittedSegment) -> tuple[float | None, float | None]:
    """Milliseconds of sending and arrival."""
    return tuple(None if t is None else t / MS for t in (segment.sent, segment.received))  # type: ignore[return-value]


def test_a_segment_that_arrives() -> None:
    """The observations at both ends give one segment; that of a switch adds nothing."""
    (only,) = segments(
        seen(0, "h1", "sent"), seen(0.1, "s1", "received"), seen(50, "s1", "sent"), seen(50, "h2", "received")
    )

    assert (only.sender, only.receiver, times(only)) == ("h1", "h2", (0, 50))
    assert not only.lost


def test_a_segment_that_is_lost() -> None:
    """Sent and never received."""
    (only,) = segments(seen(0, "h1", "sent"))

    assert only.lost


def test_which_of_two_alike_was_lost_is_determined_by_the_usual_delay() -> None:
    """A SYN sent twice and received once: the delay of other segments shows which one it was."""
    second = segments(
        seen(0, "h1", "sent", "S"),
        seen(1000, "h1", "sent", "S"),
        seen(1050, "h2", "received", "S"),
        seen(1100, "h1", "sent", seq=1),
        seen(1150, "h2", "received", seq=1),
    )
    first = segments(
        seen(0, "h1", "sent", "S"),
        seen(1000, "h1", "sent", "S"),
        seen(1500, "h2", "received", "S"),
        seen(1600, "h1", "sent", seq=1),
        seen(3100, "h2", "received", seq=1),
    )

    assert [times(each) for each in second[:2]] == [(0, None), (1000, 1050)]
    assert [times(each) for each in first[:2]] == [(0, 1500), (1000, None)]


def test_a_duplicate_made_in_the_middle() -> None:
    """What arrives twice and was sent once is the same segment and its copy."""
    one, copy = segments(seen(0, "h1", "sent", "S"), seen(50, "h2", "received", "S"), seen(51, "h2", "received", "S"))

    assert times(one) == (0, 50)
    assert times(copy) == (None, 51)
    assert one.number == copy.copies
    assert copy.retransmits is None


def test_a_segment_made_up_in_the_middle() -> None:
    """A crafted segment has no time of sending, and is not a retransmission."""
    (only,) = segments(seen(50, "h2", "received", "R", seq=7))

    assert times(only) == (None, 50)
    assert (only.copies, only.retransmits) == (None, None)


def test_retransmissions_are_linked_to_the_first_sending() -> None:
    """By sequence numbers: also where a later segment repeats a part of an earlier one, or several."""
    found = segments(
        seen(0, "h1", "sent", "S", seq=99),
        seen(1, "h1", "sent", "PA", seq=100, length=10),
        seen(2, "h1", "sent", "PA", seq=110, length=10),
        seen(3, "h1", "sent", "PA", seq=110, length=10),
        seen(4, "h1", "sent", "PA", seq=100, length=20),
        seen(5, "h1", "sent", "FA", seq=120),
        seen(6, "h1", "sent", "FPA", seq=115, length=5),
        seen(7, "h1", "sent", "A", seq=121),
    )

    assert [each.retransmits for each in found] == [None, None, None, 3, 2, None, 3, None]
    assert [each.rel_seq for each in found] == [0, 1, 11, 11, 1, 21, 16, 22]


def test_a_syn_ack_does_not_repeat_a_crossing_syn() -> None:
    """In a simultaneous open both carry the same sequence number, and are two segments."""
    found = segments(seen(0, "h1", "sent", "S", seq=5), seen(50, "h1", "sent", "SA", seq=5, ack=8))

    assert [each.retransmits for each in found] == [None, None]


def test_relative_numbers_begin_anew_with_every_connection() -> None:
    """A new SYN founds new numbers; a made-up one founds none; all of it across 2^32."""
    top = 2**32 - 1
    found = segments(
        seen(0, "h1", "sent", "S", seq=top),
        seen(50, "h2", "sent", "SA", seq=500, ack=0, back=True),
        seen(100, "h1", "sent", "A", seq=0, ack=501),
        seen(150, "h2", "received", "S", seq=77),
        seen(200, "h1", "sent", "A", seq=3, ack=501),
        seen(300, "h1", "sent", "S", seq=1000),
        seen(350, "h1", "sent", "A", seq=1001, ack=501),
    )

    assert [each.rel_seq for each in found] == [0, 0, 1, 78, 4, 0, 1]
    assert [each.rel_ack for each in found] == [0, 1, 1, 0, 1, 0, 1]


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.booleans(), st.integers(0, 3)), max_size=25),
    st.integers(1, 300),
)
def test_nothing_is_lost_or_made_up_in_joining(sendings: list[tuple[int, bool, int]], delay: int) -> None:
    """Whatever is lost, every observation belongs to exactly one segment, and arrivals to the correct one."""
    sights = []
    for ms, lost, kind in sorted(sendings):
        sights.append(seen(ms, "h1", "sent", seq=kind))
        if not lost:
            sights.append(seen(ms + delay, "h2", "received", seq=kind))
    sights.sort(key=lambda sight: sight.t)

    found = segments(*sights)

    assert sum(each.sent is not None for each in found) == len(sendings)
    assert sum(each.received is not None for each in found) == sum(not lost for _, lost, _ in sendings)
    assert all(each.sent is not None for each in found)
    assert [each.number for each in found] == list(range(1, len(found) + 1))


@given(st.lists(st.booleans(), max_size=12), st.booleans())
def test_segments_of_one_instant_are_in_the_order_of_cause_and_effect(backs: list[bool], h2_first: bool) -> None:
    """A link without delay: all has one time, and the captures are read one host after the other."""
    sights = []
    for seq, back in enumerate(backs):
        sights += [
            seen(0, "h2" if back else "h1", "sent", seq=seq, back=back),
            seen(0, "h1" if back else "h2", "received", seq=seq, back=back),
        ]
    sights.sort(key=lambda sight: sight.node, reverse=h2_first)

    assert [each.seq for each in segments(*sights)] == list(range(len(backs)))


def test_a_circle_of_causes_does_not_lose_anything() -> None:
    """Damaged data may hold one: then the lowest of what is left goes first."""
    assert arrange([3, 1, 2], [(0, 1)]) == [2, 0, 1]
    assert arrange([3, 1, 2, 0], [(0, 1), (1, 2), (2, 0)]) == [3, 1, 2, 0]
