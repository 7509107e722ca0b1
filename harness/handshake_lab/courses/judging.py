"""Judging an answer: right, or what contradicts it. Feedback never contains the key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.courses.confinement import LONGEST_PROGRAM
from handshake_lab.courses.keys import label, parting
from handshake_lab.courses.measures import Measures
from handshake_lab.errors import FaultNeverFired, HandshakeError, UsageError
from handshake_lab.expect.timer_windows import approx_timer
from handshake_lab.plan import units
from handshake_lab.plan.fault import Fault
from handshake_lab.recording.observations import Program
from handshake_lab.report.text.escaping import visible
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.keys import Key
    from handshake_lab.courses.unit import Question, Unit
    from handshake_lab.reconcile.stored_run import Run

#: Characters of an answer that are read, and faults in one answer.
LONGEST, MOST_FAULTS = 4000, 3
#: Characters of a line of standard error that are shown.
_LONGEST_LINE = 200
#: How far an answer may be from a time that no timer determines: relative, and in seconds.
_ROUNDED, _AT_LEAST = 0.02, 0.0002
#: Names of states in ss and in /proc/net/tcp.
_ALIASES = {"ESTAB": "ESTABLISHED", "SYN-RECV": "SYN-RECEIVED", "SYN-RCVD": "SYN-RECEIVED", "FIN-WAIT": "FIN-WAIT-1"}


class Judgement(msgspec.Struct, frozen=True):
    """The result of an answer.

    Attributes:
        right: Whether it is right; None if it is collected only.
        code: What is said about it: a key of ``feedback`` in the catalogues of texts.
        values: The values of that text.
    """

    right: bool | None
    code: str
    values: dict[str, str | int] = {}


_RIGHT = Judgement(True, "right")


def judge_answer(unit: Unit, question: Question, answer: str, key: Key, seed: int, laboratory: Laboratory) -> Judgement:
    """Judge an answer.

    Args:
        unit: The unit.
        question: The question.
        answer: The answer as written; for ``program``, the text of the program.
        key: The key for this student.
        seed: The student's seed.
        laboratory: Where the experiment runs again, for a fault or a program.
    """
    if not answer.strip():
        return Judgement(False, "empty")
    if question.kind == "text":
        return Judgement(None, "collected")
    if question.kind in _RUN_AGAIN:
        return _RUN_AGAIN[question.kind](unit, question, answer, key, seed, laboratory)
    return _judge_read(unit, question, answer, key, seed, laboratory)


def _judge_read(unit: Unit, question: Question, answer: str, key: Key, seed: int, laboratory: Laboratory) -> Judgement:
    read = _READ[question.kind](answer[:LONGEST])
    if read is None:
        return Judgement(False, f"not_{question.kind}")
    if isinstance(read, list):
        return _LISTS[question.kind](question, read, key)
    if _same(read, key, timer=question.timer):
        return _RIGHT
    if question.kind == "segment":
        return _segment(unit, question, read, seed, laboratory)
    return _contradicted(question, key)


def _contradicted(question: Question, key: Key) -> Judgement:
    evidence = [each for each in key.evidence if f"#{key.value} " not in f"{each} "][:4]
    if not evidence:
        return _contradicted_by_run(question)
    return Judgement(False, "contradicted", {"evidence": ", ".join(evidence)})


def _contradicted_by_run(question: Question) -> Judgement:
    return Judgement(False, "contradicted_by_run", {"experiment": question.experiment})


def read_states(text: str) -> list[str] | None:
    """States in order, separated by arrows, commas or blanks, in the spelling of RFC 9293, of ss or of C."""
    words = [word for word in re.split(r"[\s,;]+|-+>|→|=>", text.upper().replace("_", "-")) if word]
    found = [_ALIASES.get(word, word) for word in words]
    return found if found and all(word in set(State) for word in found) else None


def read_number(text: str) -> int | None:
    """A whole number; a ``#`` before it, as in a ladder, is left out."""
    found = re.fullmatch(r"#?\s*([\d,]{1,15})", text.strip())
    digits = found[1].replace(",", "") if found else ""
    return int(digits) if digits else None


def read_numbers(text: str) -> list[int] | None:
    """Whole numbers, separated by blanks or commas; letters before them, as in "A=1", are left out."""
    words = [re.sub(r"^[A-Za-z]\s*[=:]\s*", "", word) for word in re.split(r"[\s,;]+", text.strip()) if word]
    found = [read_number(word) for word in words]
    return [each for each in found if each is not None] if None not in found else None


def read_letters(text: str) -> list[str] | None:
    """Letters in order, with or without anything between them."""
    found = re.sub(r"[\s,;>→-]+", "", text.casefold())
    return list(found) if found.isascii() and found.isalpha() else None


def read_letter(text: str) -> str | None:
    """One letter, perhaps with a bracket."""
    found = re.fullmatch(r"\(?([a-z])[).]?", text.strip().casefold())
    return found[1] if found else None


def read_time(text: str) -> float | None:
    """Seconds: "1.5", "1.5 s", "1500ms", "1.5초", "1분"."""
    plain = text.strip().replace(" ", "").replace("초", "s").replace("밀리s", "ms")
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)(?:분|min)", plain):
        return float(found[1]) * 60
    try:
        return units.duration("answer", plain if re.search(r"[a-z]", plain) else f"{plain}s") / 1e9
    except UsageError:
        return None


def read_word(text: str) -> str | None:
    """One word; the brackets of a function are left out."""
    found = text.strip().removesuffix("()")
    return found if found and len(found.split()) == 1 else None


_READ: dict[str, Callable[[str], list[Any] | int | float | str | None]] = {
    "states": read_states,
    "segment": read_number,
    "number": read_number,
    "time": read_time,
    "fields": read_numbers,
    "order": read_letters,
    "choice": read_letter,
    "word": read_word,
}


def _same(read: float | str, key: Key, *, timer: bool) -> bool:
    if isinstance(read, float):
        return _same_time(read, key, timer=timer)
    return read in key.value if isinstance(key.value, tuple) else read == key.value


def _same_time(answered: float, key: Key, *, timer: bool) -> bool:
    measured = float(key.value)
    near = abs(answered - measured) <= max(_ROUNDED * measured, _AT_LEAST)
    return near or (timer and answered > 0 and measured == approx_timer(answered, hz=key.hz))


def _differs(given: list[Any], wanted: list[Any]) -> int | None:
    """The first place in which two lists differ; None if one is the beginning of the other."""
    return next((n for n, pair in enumerate(zip(given, wanted, strict=False)) if pair[0] != pair[1]), None)


def _states(question: Question, given: list[Any], key: Key) -> Judgement:
    """CLOSED and LISTEN at the beginning may be left out: they are those of the socket before its connection."""
    wanted, evidence = list(key.value), list(key.evidence)
    for state in ("CLOSED", "LISTEN"):
        if wanted[:1] == [state] and len(wanted) > 1:
            wanted, evidence = wanted[1:], evidence[1:]
            given = given[1:] if given[:1] == [state] else given
    if given == wanted:
        return _RIGHT
    place = _differs(given, wanted)
    if place is None and len(given) > len(wanted):
        return Judgement(False, "states_too_many", {"place": len(wanted)})
    place = len(given) if place is None else place
    seen = evidence[place] if place < len(evidence) else ""
    return (
        Judgement(False, "states", {"place": place + 1, "evidence": seen}) if seen else _contradicted_by_run(question)
    )


def _fields(_: Question, given: list[Any], key: Key) -> Judgement:
    if len(given) != len(key.value):
        return Judgement(False, "fields_missing", {"given": len(given), "wanted": len(key.value)})
    place = _differs(given, key.value)
    if place is None:
        return _RIGHT
    return Judgement(False, "field", {"blank": list(key.lettered)[place], "evidence": key.evidence[place]})


def _order(_: Question, given: list[Any], key: Key) -> Judgement:
    if given == key.value:
        return _RIGHT
    place = _differs(given, key.value)
    if place is None:
        return Judgement(False, "order_missing")
    what = key.lettered.get(given[place])
    return Judgement(False, "order", {"place": place + 1, "what": f"{given[place]} ({what})" if what else given[place]})


_LISTS = {"states": _states, "fields": _fields, "order": _order}


def _segment(unit: Unit, question: Question, number: object, seed: int, laboratory: Laboratory) -> Judgement:
    """What is known of the segment that the student named, which is not the right one."""
    run = laboratory.run(unit, question.experiment, seed)
    found = next((each for each in run.record.segments if each.number == number), None)
    if found is None:
        return Judgement(False, "no_such_segment", {"number": str(number)})
    what = label(found)
    if found.lost:
        return Judgement(False, "segment_lost", {"what": what})
    return Judgement(False, "segment", {"what": what, "sender": found.sender, "receiver": found.receiver})


def _fault(unit: Unit, question: Question, answer: str, key: Key, seed: int, laboratory: Laboratory) -> Judgement:
    texts = [text.strip() for text in re.split(r"[;\n]+", answer[:LONGEST]) if text.strip()]
    if len(texts) > MOST_FAULTS:
        return Judgement(False, "too_many_faults", {"most": MOST_FAULTS})
    try:
        for text in texts:
            Fault.parse(text, field="answer")
        with laboratory.running(unit, question.on, seed, faults=texts) as run:
            first = parting(key.value, run)
    except (UsageError, FaultNeverFired) as error:
        return Judgement(False, "fault_invalid", {"error": error.message})
    except HandshakeError:
        return Judgement(False, "fault_failed")
    return Judgement(False, "fault", {"evidence": first}) if first else _RIGHT


def _program(unit: Unit, question: Question, answer: str, _key: Key, seed: int, laboratory: Laboratory) -> Judgement:
    if len(answer.encode()) > LONGEST_PROGRAM:
        return Judgement(False, "program_too_long", {"most": LONGEST_PROGRAM})
    try:
        with laboratory.running(unit, question.experiment, seed, programs={question.program: answer}) as run:
            measures = Measures(run, unit.numbers(seed))
            for place, expression in enumerate(question.passes, 1):
                if not measures.value(expression, f"question {question.id}"):
                    return _unmet(run, question, place, ", ".join(map(label, measures.used[-2:])))
    except HandshakeError:
        return Judgement(False, "program_failed")
    return _RIGHT


def _unmet(run: Run, question: Question, place: int, evidence: str) -> Judgement:
    """What contradicts a program: what it wrote last to standard error, or the segments of the condition."""
    values: dict[str, str | int] = {"place": place, "of": len(question.passes), "evidence": evidence}
    if stderr_line := _last_stderr_line(run, question.program):
        return Judgement(False, "program_stderr", {**values, "line": stderr_line})
    return Judgement(False, "program" if evidence else "program_unseen", values)


def _last_stderr_line(run: Run, program: str) -> str:
    """The last line that a program wrote to standard error, cut; "" if there is none."""
    for each in run.observations:
        if isinstance(each, Program) and each.phase == "starts" and each.command.split()[-1:] == [program]:
            file = (run.directory or Path()) / f"{each.name}.err"
            lines = file.read_bytes()[-LONGEST:].decode("utf-8", "replace").split("\n") if file.is_file() else []
            return next((visible(line.strip(), _LONGEST_LINE) for line in reversed(lines) if line.strip()), "")
    return ""


_RUN_AGAIN = {"fault": _fault, "program": _program}
