"""Two runs compared: their settings, and the events of their connections, aligned.

Events are compared by what happened, not by when, and by numbers that count from the initial sequence numbers.
"""

from __future__ import annotations

from collections import defaultdict
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.report.layout.connections import connections
from handshake_lab.report.layout.labels import numbers
from handshake_lab.report.text.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handshake_lab.recording.history import Record, TransmittedSegment
    from handshake_lab.report.layout.connections import Connection
    from handshake_lab.report.text.translations import Words

#: How many equal events are shown before and after a difference.
CONTEXT = 3
#: Beyond a first difference, at most this many events of each run are aligned: alignment takes quadratic time.
ALIGNED = 2_000
#: The maximum length of an event's text.
_LONGEST = 200

#: Marks of an event that only the first or only the second run has.
LEFT, RIGHT = "<", ">"


class Event(msgspec.Struct, frozen=True):
    """Something that happened in a connection; ``number`` is that of a segment, 0 for a transition."""

    time: int
    text: str
    number: int = 0


class Row(msgspec.Struct, frozen=True):
    """An event of either run, or of both; ``skipped`` equal events are not shown before it."""

    left: Event | None
    right: Event | None
    skipped: int = 0

    @property
    def same(self) -> bool:
        """Whether the same happened in both."""
        return self.left is not None and self.right is not None and self.left.text == self.right.text

    @property
    def mark(self) -> str:
        """In which run it happened; "" for both."""
        return "" if self.same else LEFT if self.right is None else RIGHT


class ConnectionDifference(msgspec.Struct, frozen=True):
    """A connection in both runs, or in one; the numbers are those of the ladders, 0 where it is missing.

    ``skipped`` equal events follow the last row. ``unaligned`` events of both runs are not compared.
    """

    left: int
    right: int
    name: str
    rows: tuple[Row, ...]
    skipped: int = 0
    unaligned: int = 0

    @property
    def number(self) -> str:
        """Its number in the ladders: "2", or "2 / 3" if they differ."""
        if self.left == self.right or not (self.left and self.right):
            return str(self.left or self.right)
        return f"{self.left} / {self.right}"

    @property
    def same(self) -> bool:
        """Whether the same happened in both runs."""
        return bool(self.left and self.right) and all(row.same for row in self.rows)

    @property
    def first(self) -> Row | None:
        """The first row that differs."""
        return next((row for row in self.rows if not row.same), None)


class RunDifference(msgspec.Struct, frozen=True):
    """Two runs compared.

    ``settings`` are those that differ: the key of the name, and both values. ``latest`` is the longest time in
    nanoseconds between two equal events.
    """

    settings: tuple[tuple[str, str, str], ...]
    connections: tuple[ConnectionDifference, ...]
    latest: int

    @property
    def same(self) -> bool:
        """Whether the same happened in both runs."""
        return all(each.same for each in self.connections)


def heading(connection: ConnectionDifference, words: Words) -> str:
    """Which connection it is in each run."""
    key = "diff.connection" if connection.left and connection.right else "diff.only"
    return words(key, name=connection.name, number=connection.number)


def compare(one: Record, other: Record, words: Words, *, whole: bool = False) -> RunDifference:
    """Compare two runs.

    Args:
        one: The first run.
        other: The second run.
        words: The language of the events.
        whole: Keep all equal events instead of a few around each difference.
    """
    latest = 0
    found = []
    for first, second in _pairs(connections(one), connections(other)):
        left, right = (list(_events(each, words)) if each else [] for each in (first, second))
        rows, unaligned = _aligned(left, right)
        latest = max([latest, *(abs(row.left.time - row.right.time) for row in rows if row.left and row.right)])
        shown, skipped = (rows, 0) if whole else _folded(rows)
        known = first or second
        assert known is not None  # noqa: S101 - one of both is there
        name = f"{known.left.node} – {known.right.node}:{known.right.address.port}"  # noqa: RUF001 - a range
        numbered = first.number if first else 0, second.number if second else 0
        found.append(ConnectionDifference(*numbered, visible(name, 80), tuple(shown), skipped, unaligned))
    return RunDifference(tuple(_settings(one, other)), tuple(found), latest)


def _settings(one: Record, other: Record) -> Iterator[tuple[str, str, str]]:
    pairs = zip(_facts(one), _facts(other), strict=True)
    return ((name, left, right) for (name, left), (_, right) in pairs if left != right)


def _facts(record: Record) -> list[tuple[str, str]]:
    header = record.header
    kernel = header.kernel
    return [
        ("page.kernel", f"Linux {kernel.release} ({kernel.kind})"),
        ("page.seed", "" if kernel.seed is None else str(kernel.seed)),
        ("page.topology", header.topology),
        ("page.links", "; ".join(header.links)),
        ("page.faults", "; ".join(header.faults)),
    ]


def _pairs(
    ones: Sequence[Connection], others: Sequence[Connection]
) -> Iterator[tuple[Connection | None, Connection | None]]:
    """The connections of both runs: the n-th between two hosts and to a port with the n-th of the same."""
    groups: dict[tuple[str, str, int], tuple[list[Connection], list[Connection]]] = defaultdict(lambda: ([], []))
    for side, found in enumerate((ones, others)):
        for each in found:
            groups[each.left.node, each.right.node, each.right.address.port][side].append(each)
    return (pair for left, right in groups.values() for pair in zip_longest(left, right))


def _events(connection: Connection, words: Words) -> Iterator[Event]:
    """What happened in a connection, in order of time."""
    found = []
    for segment in connection.segments:
        event = Event(segment.departed, _segment(segment, connection, words), segment.number)
        found.append((event.time, 1, event))
    for _, lane in connection.lanes:
        for step in lane.endpoint.transitions if lane.endpoint else ():
            cause = words.message(step.cause.message)
            text = f"{lane.node}: {step.old} → {step.new} ({cause})"
            # A segment that is sent at the time of a transition is its consequence.
            found.append((step.time, 0, Event(step.time, visible(text, _LONGEST))))
    found.sort(key=lambda each: each[:2])
    return (event for _, _, event in found)


def _segment(segment: TransmittedSegment, connection: Connection, words: Words) -> str:
    parts = [f"{segment.sender} → {segment.receiver} {segment.name} {numbers(segment)}"]
    if segment.retransmits is not None:
        parts.append(words("diff.again"))
    if segment.sent is None:
        parts.append(words("page.made"))
    if segment.lost:
        parts.append(words("page.lost"))
    if segment.under_way:
        parts.append(words("page.under_way"))
    reasons = connection.lost_because.get(segment.number), connection.ignored.get(segment.number)
    parts += [words.message(reason) for reason in reasons if reason is not None]
    return visible(", ".join(parts), _LONGEST)


def _aligned(left: list[Event], right: list[Event]) -> tuple[list[Row], int]:
    """Both lists, aligned; and how many of their events are left out."""
    common = next(
        (place for place, pair in enumerate(zip(left, right, strict=False)) if pair[0].text != pair[1].text),
        min(len(left), len(right)),
    )
    rows = [Row(one, other) for one, other in zip(left[:common], right[:common], strict=True)]
    rest = left[common : common + ALIGNED], right[common : common + ALIGNED]
    texts = [[event.text for event in events] for events in rest]
    matcher = SequenceMatcher(a=texts[0], b=texts[1], autojunk=False)
    for tag, begin, end, start, stop in matcher.get_opcodes():
        ones, others = rest[0][begin:end], rest[1][start:stop]
        if tag == "replace":
            rows += [Row(event, None) for event in ones] + [Row(None, event) for event in others]
        else:
            rows += [Row(one, other) for one, other in zip_longest(ones, others)]
    return rows, max(0, len(left) - common - ALIGNED) + max(0, len(right) - common - ALIGNED)


def _folded(rows: list[Row]) -> tuple[list[Row], int]:
    """The rows that differ, and a few before and after each; and how many equal ones follow the last."""
    different = [place for place, row in enumerate(rows) if not row.same]
    near = {place + step for place in different for step in range(-CONTEXT, CONTEXT + 1)}
    shown: list[Row] = []
    skipped = 0
    for place, row in enumerate(rows):
        if place in near:
            shown.append(msgspec.structs.replace(row, skipped=skipped))
            skipped = 0
        else:
            skipped += 1
    return shown, skipped
