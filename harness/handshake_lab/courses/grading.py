"""Grading hand-ins: each is read, its experiments run again with the student's seed, and its answers are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.courses.digest import digest
from handshake_lab.courses.handing_in import ENDING, Refused, read
from handshake_lab.courses.judging import Judgement, judge_answer
from handshake_lab.courses.keys import key_of
from handshake_lab.courses.numbers import seed_of
from handshake_lab.courses.unit import find_unit
from handshake_lab.errors import HandshakeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.unit import Question, Unit
    from handshake_lab.courses.work import Work

#: Files and folders of a submission that are looked at.
_MOST_FILES = 200


class Graded(msgspec.Struct, frozen=True):
    """One question of a hand-in.

    Attributes:
        question: Its id.
        answer: What was answered; "" if nothing.
        judgement: How it was judged.
        score: The points for it.
        points: The points that there are for it.
        attempts: How often a wrong answer was checked.
        hint: Whether its hint was shown.
        meaning: What a letter stands for, so that the answers of several students can be compared.
    """

    question: str
    answer: str
    judgement: Judgement
    score: float
    points: float
    attempts: int
    hint: bool
    meaning: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The grading of one hand-in.

    Attributes:
        student: The id that it states; for a file that cannot be read, "".
        file: The path of its file below the folder; "" if there is none.
        status: "graded", or why it was not: a key of ``status`` in the phrases.
        detail: A key of ``detail`` in the phrases; "" if the text is ``values["text"]``.
        values: The values of that text.
        unit: The name of the unit.
        course: The course that it states.
        answers: Its questions; empty unless it was graded.
    """

    student: str
    file: str
    status: str
    detail: str = ""
    values: dict[str, str | int] = {}
    unit: str = ""
    course: str = ""
    answers: tuple[Graded, ...] = ()

    @property
    def score(self) -> float:
        """Its points."""
        return sum(each.score for each in self.answers)

    @property
    def points(self) -> float:
        """The points that there are."""
        return sum(each.points for each in self.answers)


def grade(
    folder: Path, laboratory: Laboratory, *, course: str | None = None, roster: Iterable[str] = ()
) -> Iterator[Result]:
    """Grade all hand-ins of a folder, in the order of their names.

    Args:
        folder: The folder; a hand-in may be in a folder of its own, as learning platforms export them.
        laboratory: Where the experiments run again.
        course: The course that they must be for; None: whichever they state.
        roster: The ids of all students: those without a hand-in are reported.
    """
    seen: set[tuple[str, str]] = set()
    for file in submissions(folder):
        result = grade_file(file, str(file.relative_to(folder)), laboratory, course)
        key = (result.student.casefold(), result.unit)
        if result.student and key in seen:
            result = msgspec.structs.replace(
                result, status="duplicate", detail="duplicate", answers=(),
                values={"student": result.student, "unit": result.unit},
            )  # fmt: skip
        seen.add(key)
        yield result
    handed_in = {student for student, _ in seen}
    for student in roster:
        if student.casefold() not in handed_in:
            yield Result(student=student, file="", status="missing", detail="missing")


def submissions(folder: Path) -> list[Path]:
    """The files that were handed in: all but hidden ones, down to one folder below; links are not followed."""
    found = []
    for each in sorted(folder.iterdir()):
        if each.name.startswith("."):
            continue
        if each.is_dir() and not each.is_symlink():
            inside = [file for file in sorted(each.iterdir())[:_MOST_FILES] if not file.is_dir() or file.is_symlink()]
            # A folder of a student may have other files beside the hand-in.
            found += [file for file in inside if file.name.endswith(ENDING)] or inside
        else:
            found.append(each)
    return found


def grade_file(file: Path, name: str, laboratory: Laboratory, course: str | None) -> Result:
    """Grade one file.

    Args:
        file: The file.
        name: How results name it.
        laboratory: Where the experiments run again.
        course: The course that it must be for; None: whichever it states.
    """
    try:
        work = read(file)
    except Refused as error:
        return Result(student="", file=name, status=error.status, values={"text": error.detail})
    objection = _objection(work, laboratory, course)
    if objection is None:
        try:
            unit = find_unit(work.unit)
            objection = _edited(work, unit, laboratory)
            if objection is None:
                answers = tuple(_graded(work, unit, question, laboratory) for question in unit.file.questions)
                return Result(
                    student=work.student,
                    file=name,
                    status="graded",
                    unit=work.unit,
                    course=work.course,
                    answers=answers,
                )
        except HandshakeError as error:
            objection = ("failed", "failed", {"error": str(error).splitlines()[0]})
        finally:
            laboratory.forget()
    status, detail, values = objection
    return Result(
        student=work.student, file=name, status=status, detail=detail, values=values, unit=work.unit, course=work.course
    )


_Objection = tuple[str, str, dict[str, str | int]]


def _objection(work: Work, laboratory: Laboratory, course: str | None) -> _Objection | None:
    """Why a hand-in is not replayed, if it is not."""
    return next(_objections(work, laboratory, course), None)


def _objections(work: Work, laboratory: Laboratory, course: str | None) -> Iterator[_Objection]:
    try:
        unit = find_unit(work.unit)
    except HandshakeError:
        yield "unknown", "unknown", {"unit": work.unit}
        return
    if unit.file.version != work.version:
        yield "version", "version", {"theirs": work.version, "ours": unit.file.version}
    if course is not None and work.course != course:
        yield "seed", "course", {"theirs": work.course, "ours": course}
    if work.seed != seed_of(work.student, work.course):
        yield "seed", "seed", {"theirs": work.seed, "student": work.student, "course": work.course}
    if not work.predictions and not work.answers:
        yield "empty", "empty", {}
    if work.release != laboratory.release:
        yield "kernel", "kernel", {"theirs": work.release, "ours": laboratory.release}
    if (work.predictions is not None or work.lock) and work.lock != work.expected_lock():
        yield "edited", "edited_predictions", {}


def _edited(work: Work, unit: Unit, laboratory: Laboratory) -> _Objection | None:
    """Which run of a hand-in is not what a replay gives, if one is not."""
    for name in unit.file.experiments:
        if name not in work.runs:
            return "edited", "run_missing", {"experiment": name}
        if work.runs[name] != digest(laboratory.run(unit, name, work.seed).record):
            return "edited", "edited_run", {"experiment": name}
    return None


def _graded(work: Work, unit: Unit, question: Question, laboratory: Laboratory) -> Graded:
    answer = ((work.predictions or {}) if question.predict else work.answers).get(question.id, "")
    key = key_of(unit, question, work.seed, laboratory)
    found = judge_answer(unit, question, answer, key, work.seed, laboratory)
    hinted = question.id in work.hints
    score = max(0.0, question.points - (question.hint_cost if hinted else 0.0)) if found.right else 0.0
    meaning = key.lettered.get(answer.strip().casefold(), answer) if question.kind == "choice" else answer
    points = 0.0 if question.kind == "text" else question.points
    return Graded(question.id, answer, found, score, points, work.attempts.get(question.id, 0), hinted, meaning)
