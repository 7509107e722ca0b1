"""The parts of a page below its ladders: the run's settings, and the counters of links, faults and hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handshake_lab.recording.observations import Counters, Failure, FaultReport, LinkChange, Program, QdiscReport, Step
from handshake_lab.report.text import link_changes
from handshake_lab.report.text.escaping import visible
from handshake_lab.report.text.times import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation
    from handshake_lab.report.layout.connections import Connection
    from handshake_lab.report.text.translations import Words
    from handshake_lab.verdict.judge import Verdict

#: How many system calls a page lists.
STEPS = 300

#: The maximum length of a mark on a timeline.
_MARK = 80

#: How many lines of a failure a page shows.
LINES = 40

#: How many lines a page shows of each output of a failed test.
PRINTED = 200


def facts(record: Record, w: Words) -> list[tuple[str, str]]:
    """The settings of a run as names and values."""
    header = record.header
    seed = header.kernel.seed
    shown = [
        (w("page.kernel"), f"Linux {header.kernel.release} ({header.kernel.kind}, HZ={header.kernel.hz})"),
        (w("page.seed"), w("ladder.no_seed") if seed is None else str(seed)),
        (w("page.topology"), header.topology),
        (w("page.links"), "; ".join(header.links) or w("page.unimpaired")),
        (w("page.faults"), "; ".join(header.faults)),
        (w("page.started"), header.started),
    ]
    return [(name, value) for name, value in shown if value]


def failures(observations: Sequence[Observation]) -> list[dict[str, Any]]:
    """The failures of the run: the node and the lines of the message."""
    return [
        {"node": each.node, "lines": each.what.splitlines()[:LINES]}
        for each in observations
        if isinstance(each, Failure)
    ]


def last_lines(text: str) -> list[str]:
    """The last lines of an output of a failed test."""
    return text.rstrip().splitlines()[-PRINTED:]


def headline(observations: Iterable[Observation], verdict: Verdict, w: Words) -> str:
    """A run in one line: its first failure, or the verdict."""
    failure = next((each.what.partition("\n")[0] for each in observations if isinstance(each, Failure)), "")
    return failure or w.summary(verdict)


def tables(observations: Sequence[Observation], w: Words) -> list[dict[str, Any]]:
    """The tables of counters, calls and programs; empty ones are omitted."""
    found = [
        {
            "title": w("page.qdiscs"),
            "open": True,
            "heads": [w(f"page.{key}") for key in ("interface", "kind", "asked", "packets", "dropped", "overlimits")],
            "rows": [
                (each.interface, each.kind, each.asked, each.sent, each.dropped, each.overlimits)
                for each in observations
                if isinstance(each, QdiscReport)
            ],
        },
        {
            "title": w("page.faults"),
            "open": True,
            "heads": [w("page.fault"), w("page.fired")],
            "rows": [
                (each.fault, each.fired if each.fired or each.optional else f"0 ({w('page.never')})")
                for each in observations
                if isinstance(each, FaultReport)
            ],
        },
        {
            "title": w("page.programs"),
            "open": True,
            "heads": [w(f"page.{key}") for key in ("host", "program", "command", "result")],
            "rows": _programs(observations, w),
        },
        {
            "title": w("page.steps"),
            "open": False,
            "heads": [w(f"page.{key}") for key in ("time", "host", "call", "phase", "result")],
            "rows": [
                (seconds(each.t), each.node, each.call, w(f"page.{each.phase}"), each.result)
                if isinstance(each, Step)
                else (seconds(each.t), "", link_changes.spell(each, w), "", "")
                for each in observations
                if isinstance(each, Step | LinkChange)
            ][:STEPS],
        },
        {
            "title": w("page.counters"),
            "open": False,
            "heads": [w("page.host"), w("page.counter"), w("page.grown")],
            "rows": _counters(observations),
        },
    ]
    return [table for table in found if table["rows"]]


def marks(connection: Connection, programs: Iterable[Program], w: Words) -> list[tuple[int, str]]:
    """What happened around a connection: changes of links, and programs of its hosts that started or ended."""
    hosts = {connection.left.node, connection.right.node}
    found = [(each.t, link_changes.spell(each, w)) for each in connection.link_changes]
    for each in programs:
        if each.node in hosts:
            key = "page.program_starts" if each.phase == "starts" else "page.program_ends"
            what = w(key, name=each.name, status=each.status)
            found.append((each.t, visible(what, _MARK)))
    return sorted(found)


def _programs(observations: Sequence[Observation], w: Words) -> list[tuple[str, str, str, str]]:
    programs = [each for each in observations if isinstance(each, Program)]
    ends = {each.name: each.status for each in programs if each.phase == "ends"}
    rows = []
    for each in programs:
        if each.phase == "starts":
            status = ends.get(each.name)
            # The status of a program that was terminated by a signal is the signal's name.
            ended = status if status is None or not status.isdigit() else w("page.exit", status=status)
            rows.append((each.node, each.name, each.command, w("page.running") if ended is None else ended))
    return rows


def _counters(observations: Sequence[Observation]) -> list[tuple[str, str, int]]:
    # Each report counts from the start of the run: the last one of a host contains the totals.
    last = {each.node: each.grown for each in observations if isinstance(each, Counters)}
    return [(node, name, grown) for node in sorted(last) for name, grown in sorted(last[node].items()) if grown]
