"""Grading hand-ins: each is read, its experiments run again with the student's seed, and its answers are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.courses.digest import digest
from handshake_lab.courses.experiments import Laboratory, processes
from handshake_lab.courses.handing_in import ENDING, Refused, read
from handshake_lab.courses.judging import Judgement, judge_answer
from handshake_lab.courses.keys import key_of
from handshake_lab.courses.numbers import seed_of
from handshake_lab.courses.unit import load_unit
from handshake_lab.courses.unit import units as shipped_units
from handshake_lab.errors import HandshakeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

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


_Objection = tuple[str, str, dict[str, str | int]]


class Grader:
    """Grades hand-ins, one at a time.

    Args:
        kernel: The kernel on which experiments run again, as for ``--kernel``.
        course: The course that hand-ins must be for; None: whichever they state.
        units: The folders of units that are not of this package.

    Raises:
        HandshakeError: The kernel cannot run here, or a unit is invalid.
    """

    def __init__(self, kernel: str, course: str | None = None, units: Iterable[Path] = ()) -> None:
        self._laboratory = Laboratory(kernel)
        self._course = course
        self._units = {unit.name: unit for unit in (*shipped_units(), *map(load_unit, units))}

    def grade(self, file: Path, name: str) -> Result:
        """Grade one file.

        Args:
            file: The file.
            name: How results name it.
        """
        try:
            work = read(file)
        except Refused as error:
            return Result(student="", file=name, status=error.status, values={"text": error.detail})
        status, detail, values, answers = self._graded(work)
        return Result(
            student=work.student, file=name, unit=work.unit, course=work.course,
            status=status, detail=detail, values=values, answers=answers,
        )  # fmt: skip

    def _graded(self, work: Work) -> tuple[str, str, dict[str, str | int], tuple[Graded, ...]]:
        unit = self._units.get(work.unit)
        if unit is None:
            return "unknown", "unknown", {"unit": work.unit}, ()
        try:
            objection = next(self._objections(work, unit), None)
            if objection is not None:
                return (*objection, ())
            answers = tuple(_graded(work, unit, each, self._laboratory) for each in unit.file.questions)
        except HandshakeError as error:
            return "failed", "failed", {"error": str(error).splitlines()[0]}, ()
        finally:
            self._laboratory.forget()
        return "graded", "", {}, answers

    def _objections(self, work: Work, unit: Unit) -> Iterator[_Objection]:
        """Why a hand-in is not graded; what needs no run comes first."""
        if unit.file.version != work.version:
            yield "version", "version", {"theirs": work.version, "ours": unit.file.version}
        if self._course is not None and work.course != self._course:
            yield "seed", "course", {"theirs": work.course, "ours": self._course}
        if work.seed != seed_of(work.student, work.course):
            yield "seed", "seed", {"theirs": work.seed, "student": work.student, "course": work.course}
        if not work.predictions and not work.answers:
            yield "empty", "empty", {}
        release = self._laboratory.release
        if work.release != release:
            yield "kernel", "kernel", {"theirs": work.release, "ours": release}
        if (work.predictions is not None or work.lock) and work.lock != work.expected_lock():
            yield "edited", "edited_predictions", {}
        for name in unit.file.experiments:
            if name not in work.runs:
                yield "edited", "run_missing", {"experiment": name}
            elif work.runs[name] != digest(self._laboratory.run(unit, name, work.seed).record):
                yield "edited", "edited_run", {"experiment": name}


def grade(
    folder: Path,
    kernel: str,
    *,
    course: str | None = None,
    roster: Iterable[str] = (),
    units: Sequence[Path] = (),
    workers: int = 1,
) -> Iterator[Result]:
    """Grade all hand-ins of a folder, in the order of their names.

    Args:
        folder: The folder; a hand-in may be in a folder of its own, as learning platforms export them.
        kernel: The kernel on which experiments run again, as for ``--kernel``.
        course: The course that they must be for; None: whichever they state.
        roster: The ids of all students: those without a hand-in are reported.
        units: The folders of units that are not of this package.
        workers: How many processes grade.

    Raises:
        HandshakeError: The kernel cannot run here, or a unit is invalid.
    """
    seen: set[tuple[str, str]] = set()
    for result in _in_order(submissions(folder), folder, (kernel, course, tuple(units)), workers):
        key = (result.student.casefold(), result.unit)
        if result.student and key in seen:
            yield msgspec.structs.replace(
                result, status="duplicate", detail="duplicate", answers=(),
                values={"student": result.student, "unit": result.unit},
            )  # fmt: skip
            continue
        seen.add(key)
        yield result
    handed_in = {student for student, _ in seen}
    for student in roster:
        if student.casefold() not in handed_in:
            yield Result(student=student, file="", status="missing", detail="missing")


def _in_order(
    files: list[Path], folder: Path, arguments: tuple[str, str | None, tuple[Path, ...]], workers: int
) -> Iterator[Result]:
    """Grade files, in this process or in several."""
    names = [str(file.relative_to(folder)) for file in files]
    if min(workers, len(files)) < 2:
        yield from map(Grader(*arguments).grade, files, names)
        return
    with processes(workers, _begin_worker, arguments) as pool:
        yield from pool.map(_grade_in_worker, files, names)


_graders: list[Grader] = []


def _begin_worker(kernel: str, course: str | None, units: tuple[Path, ...]) -> None:
    _graders.append(Grader(kernel, course, units))


def _grade_in_worker(file: Path, name: str) -> Result:
    return _graders[0].grade(file, name)


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


def _graded(work: Work, unit: Unit, question: Question, laboratory: Laboratory) -> Graded:
    answer = ((work.predictions or {}) if question.predict else work.answers).get(question.id, "")
    key = key_of(unit, question, work.seed, laboratory)
    found = judge_answer(unit, question, answer, key, work.seed, laboratory)
    hinted = question.id in work.hints
    score = max(0.0, question.points - (question.hint_cost if hinted else 0.0)) if found.right else 0.0
    meaning = key.lettered.get(answer.strip().casefold(), answer) if question.kind == "choice" else answer
    points = 0.0 if question.kind == "text" else question.points
    return Graded(question.id, answer, found, score, points, work.attempts.get(question.id, 0), hinted, meaning)
