"""The key of a question, computed from a run; and what a student sees of the run before the answer."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.courses.measures import Measures
from handshake_lab.courses.numbers import shuffled
from handshake_lab.errors import UsageError
from handshake_lab.report.layout.labels import numbers
from handshake_lab.report.terminal.ladder import text as ladder_text
from handshake_lab.report.text.cells import aligned

if TYPE_CHECKING:
    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.unit import Question, Unit
    from handshake_lab.reconcile.stored_run import Run
    from handshake_lab.recording.history import TransmittedSegment

#: The fields of a segment that can be blanks.
FIELDS = {"seq": "rel_seq", "ack": "rel_ack", "len": "length"}
_MOST_ROWS = 26


class Key(msgspec.Struct, frozen=True):
    """The right answer of a student to a question.

    Attributes:
        value: The answer: a list of states, numbers or letters; a number; seconds; a letter; a digest.
        evidence: What contradicts another answer: for lists one text for each place, otherwise any number of texts.
        lettered: What the letters of the question stand for, as shown; for ``choice`` the names of options.
        shown: What of the run is shown with the question, as text.
        hz: The kernel's HZ, for tolerances.
    """

    value: Any
    evidence: tuple[str, ...] = ()
    lettered: dict[str, str] = {}
    shown: str = ""
    hz: int = 100


def label(segment: TransmittedSegment) -> str:
    """A segment as ladders print it: ``#2 SYN-ACK``."""
    return f"#{segment.number} {segment.name}"


def key_of(unit: Unit, question: Question, seed: int, laboratory: Laboratory, lang: str = "en") -> Key:
    """Compute the key of a question for a student.

    Args:
        unit: The unit.
        question: The question.
        seed: The student's seed.
        laboratory: Where experiments run.
        lang: The language of a ladder that the question shows.

    Raises:
        HandshakeError: It cannot be computed.
    """
    if question.kind in ("text", "program"):
        return Key("")
    run = laboratory.run(unit, question.experiment, seed)
    if question.kind == "fault":
        return Key(_comparable(run), shown=without_faults(run, lang))
    measures = Measures(run, unit.numbers(seed), lambda name: laboratory.run(unit, name, seed))
    where = f"question {question.id}"
    if question.kind in _SPECIAL:
        return _SPECIAL[question.kind](question, measures, seed, where)
    value = measures.value(question.key, where)
    if question.kind == "word":
        return Key(tuple(value if isinstance(value, list) else [str(value)]), _labels(measures))
    wanted = (int, float) if question.kind == "time" else int
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise UsageError(where, question.key, f"gives {value!r}, not a number", "count('SYN from h1')")
    return Key(value, _labels(measures), hz=run.record.header.kernel.hz)


def without_faults(run: Run, lang: str) -> str:
    """The ladder of a run without a word about its faults: they are the question."""
    header = msgspec.structs.replace(run.record.header, faults=[], replay="")
    return ladder_text(msgspec.structs.replace(run.record, header=header), lang=lang)


def _comparable(run: Run) -> tuple[tuple[str, ...], ...]:
    """The segments of a run as lines, for the comparison with another run."""
    return tuple(
        (label(each), str(each.rel_seq), str(each.rel_ack), str(each.length), "lost" if each.lost else "")
        for each in run.record.segments
    )


def parting(one: tuple[tuple[str, ...], ...], run: Run) -> str:
    """The first segment at which a run differs from a key of kind ``fault``; "" if there is none."""
    other = _comparable(run)
    for first, second in zip(one, other, strict=False):
        if first != second:
            return second[0]
    if len(one) == len(other):
        return ""
    return (one if len(one) > len(other) else other)[min(len(one), len(other))][0]


def _labels(measures: Measures) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label(segment) for segment in measures.used))


def _states(question: Question, measures: Measures, _seed: int, where: str) -> Key:
    """The evidence of each state after the first is what its transition was caused by."""
    states = measures.value(question.key, where)
    if not isinstance(states, list):
        raise UsageError(where, question.key, "is not a list of states", "states('h1')")
    for host, nth in measures.sequences:
        steps = measures.steps(host, nth)
        if len(steps) + 1 == len(states):
            return Key(states, ("", *(_cause(measures, step.cause.segment, step.cause.text) for step in steps)))
    return Key(states)


def _cause(measures: Measures, number: int | None, text: str) -> str:
    segment = measures.segment(number) if number is not None else None
    return label(segment) if segment else text


def _choice(question: Question, measures: Measures, seed: int, where: str) -> Key:
    order = shuffled(seed, question.id, sorted(question.options))
    lettered = dict(zip(string.ascii_lowercase, order, strict=False))
    right: list[str] = []
    evidence: tuple[str, ...] = ()
    for letter, name in lettered.items():
        if measures.value(question.options[name], f"{where}, option {name}"):
            right.append(letter)
            evidence = _labels(measures)
    if len(right) != 1:
        raise UsageError(where, [lettered[each] for each in right], "must be exactly one option", "options.yes = …")
    return Key(right[0], evidence, lettered)


def _order(question: Question, measures: Measures, seed: int, where: str) -> Key:
    found = measures.segments(question.rows)
    shown = [f"{each.sender} → {each.receiver}: {each.name} {numbers(each)}" for each in found]
    if not 1 < len(found) <= _MOST_ROWS or len(set(shown)) < len(shown):
        raise UsageError(where, question.rows, "must be 2 to 26 different segments", 'rows = "any first=6"')
    mixed = shuffled(seed, question.id, shown)
    lettered = dict(zip(string.ascii_lowercase, mixed, strict=False))
    letters = {each: letter for letter, each in lettered.items()}
    return Key([letters[each] for each in shown], tuple(f"{letters[each]} ({each})" for each in shown), lettered)


def _fields(question: Question, measures: Measures, _seed: int, where: str) -> Key:
    blanks: dict[tuple[int, str], str] = {}
    values, evidence = [], []
    for letter, blank in zip(string.ascii_uppercase, question.blanks, strict=False):
        what, _, name = blank.rpartition(" ")
        found = measures.segments(what) if what and name in FIELDS else []
        if not found:
            raise UsageError(where, blank, "is not a field of a segment of this run", "SYN-ACK ack")
        blanks[found[0].number, name] = letter
        values.append(getattr(found[0], FIELDS[name]))
        evidence.append(label(found[0]))
    rows = [("", "", "", *FIELDS)]
    for segment in measures.segments(question.rows):
        cells = [
            "-" if name == "ack" and "A" not in segment.flags else str(getattr(segment, FIELDS[name]))
            for name in FIELDS
        ]
        shown = [blanks.get((segment.number, name), cell) for name, cell in zip(FIELDS, cells, strict=True)]
        rows.append((f"#{segment.number}", f"{segment.sender} → {segment.receiver}", segment.name, *shown))
    return Key(
        values,
        tuple(evidence),
        dict(zip(string.ascii_uppercase, evidence, strict=False)),
        "\n".join(aligned(rows)) + "\n",
    )


_SPECIAL = {"states": _states, "choice": _choice, "order": _order, "fields": _fields}
