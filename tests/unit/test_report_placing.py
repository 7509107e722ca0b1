"""The labels of a ladder's arrows do not overlap."""

from __future__ import annotations

from handshake_lab.report.layout.connections import connections
from handshake_lab.report.layout.lines import ladder
from handshake_lab.report.svg import axes
from handshake_lab.report.svg.label_layout import Arrows
from msgspec.structs import replace
from report_records import DELAY, MS, Story


def _burst() -> Story:
    """Seven segments of data at once, and a FIN that takes much longer than they."""
    story = Story()
    for number in range(7):
        story.send("h1", "A", number * MS // 10, length=1448)
    story.send("h1", "FA", MS)
    story.segments[-1] = replace(story.segments[-1], received=4 * DELAY)
    for number in range(7):
        story.send("h2", "A", 2 * DELAY + number * MS)  # so that the FIN's arrow is steeper than theirs
    return story


def test_labels_above_one_that_lies_flat_lie_flat_too() -> None:
    """The last label before the FIN would run into the FIN's; once it lies flat, those above would run into it."""
    drawn = ladder(connections(_burst().record(10 * DELAY))[0])
    labels = Arrows(drawn).labels(axes.sequence(drawn))

    assert [labels[number].angle for number in range(1, 8)] == [0] * 7
    assert labels[8].angle > 0


def test_a_label_with_nothing_below_it_follows_its_arrow() -> None:
    """It is read along the arrow, in either direction."""
    story = Story()
    story.send("h1", "S", 0)
    story.send("h2", "SA", DELAY)
    drawn = ladder(connections(story.record(10 * DELAY))[0])
    arrows = Arrows(drawn)
    axis = axes.sequence(drawn)
    labels, courses = arrows.labels(axis), arrows.courses(axis)

    assert [labels[number].angle for number in (1, 2)] == [courses[number].angle for number in (1, 2)]
    assert labels[1].angle > 0 > labels[2].angle
