"""A student's folder for a unit: the text, the files for predictions and answers, the runs, and the work so far."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.courses.confinement import LONGEST_PROGRAM
from handshake_lab.courses.digest import digest
from handshake_lab.courses.handing_in import write
from handshake_lab.courses.judging import Judgement, judge_answer
from handshake_lab.courses.keys import key_of
from handshake_lab.courses.numbers import ID, seed_of
from handshake_lab.courses.pages import answers_file, unit_page
from handshake_lab.courses.phrases import phrase
from handshake_lab.courses.unit import SHIPPED, find_unit, rendered
from handshake_lab.courses.work import Work
from handshake_lab.errors import RecordUnreadable, UsageError
from handshake_lab.report.kept_run import write_capture, write_page
from handshake_lab.report.terminal.ladder import text as ladder_text
from handshake_lab.verdict.judge import judge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.unit import Question, Unit
    from handshake_lab.reconcile.stored_run import Run
    from handshake_lab.recording.history import Record

#: The file with the work so far; the files in which the student writes.
WORK, PAGE, PREDICTIONS, ANSWERS, RUNS = ".course.json", "README.md", "predictions.toml", "answers.toml", "runs"


class _Kept(msgspec.Struct):
    """The file `WORK`: where the unit is, if it is not one of this package, and the work so far."""

    work: Work
    source: str = ""


class Folder:
    """A student's folder.

    Args:
        path: The directory.
        unit: The unit.
        work: The work so far.
    """

    def __init__(self, path: Path, unit: Unit, work: Work) -> None:
        self.path = path
        self.unit = unit
        self.work = work

    @classmethod
    def start(cls, unit: Unit, student: str, course: str, path: Path, lang: str, laboratory: Laboratory) -> Folder:
        """Make a folder.

        Args:
            unit: The unit.
            student: The student's id.
            course: The name of the course.
            path: The directory, which does not exist or is empty.
            lang: The language of its texts.
            laboratory: Where experiments run whose results are part of the questions.

        Raises:
            UsageError: The id is invalid, or the directory is not empty.
        """
        if not re.match(ID, student):
            raise UsageError("--id", student, "is not an id: letters, digits, and . @ + -", "--id 2026-12345")
        if path.exists() and any(path.iterdir()):
            raise UsageError("--out", str(path), "is not empty", f"--out {path}-2")
        work = Work(
            unit=unit.name, version=unit.file.version, package=version("handshake-lab"), student=student, course=course,
            seed=seed_of(student, course), lang=lang, release=laboratory.release,
        )  # fmt: skip
        made = cls(path, unit, work)
        page = unit_page(unit, work.seed, lang, laboratory)
        path.mkdir(parents=True, exist_ok=True)
        (path / PAGE).write_text(page, "utf-8")
        for name, questions in ((PREDICTIONS, made.predicted()), (ANSWERS, made.answered())):
            if questions:
                (path / name).write_text(answers_file(unit, questions, work.seed, lang, laboratory), "utf-8")
        for question in unit.file.questions:
            if question.program:
                shutil.copyfile(unit.folder / question.program, path / question.program)
        made.save()
        return made

    @classmethod
    def open(cls, path: Path) -> Folder:
        """A folder that was made before.

        Raises:
            UsageError: It is not one, or it is for another version of the unit.
            RecordUnreadable: Its file is damaged.
        """
        file = path / WORK
        try:
            kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
        except OSError:
            raise UsageError(
                "--folder", str(path), "has no unit that was started", "handshake course start 1"
            ) from None
        except msgspec.MsgspecError as error:
            raise RecordUnreadable(f"{file} is damaged: {error}") from None
        work = kept.work
        unit = find_unit(kept.source or work.unit)
        if unit.file.version != work.version:
            raise UsageError(
                "--folder", str(path), f"is for version {work.version} of a unit that is now {unit.file.version}",
                f"handshake course start {unit.name} --out {path}-2",
            )  # fmt: skip
        return cls(path, unit, work)

    def save(self) -> None:
        """Write the work so far."""
        kept = _Kept(self.work, "" if self.unit.folder.parent == SHIPPED else str(self.unit.folder))
        (self.path / WORK).write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")

    def predicted(self) -> list[Question]:
        """The questions that are to be predicted."""
        return [each for each in self.unit.file.questions if each.predict]

    def answered(self) -> list[Question]:
        """The other questions."""
        return [each for each in self.unit.file.questions if not each.predict]

    # -- what the student wrote -------------------------------------------------------------

    def read(self, name: str) -> dict[str, str]:
        """The answers in one of the student's files.

        Raises:
            UsageError: It is not valid TOML, or has what is not an answer.
        """
        file = self.path / name
        if not file.exists():
            return {}
        try:
            found = msgspec.toml.decode(file.read_bytes(), type=dict[str, str | int | float])
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise UsageError(name, str(file), f"cannot be read: {error}", 'who-first = "a"') from None
        for question in found:
            self.unit.question(question)
        return {question: str(answer) for question, answer in found.items()}

    def answers(self) -> dict[str, str]:
        """All answers other than predictions; a program is the text of its file, cut where it is too long to be run."""
        found = self.read(ANSWERS)
        for question in self.answered():
            file = self.path / question.program
            if question.program and file.is_file():
                found[question.id] = file.read_text("utf-8", "replace")[: LONGEST_PROGRAM + 1]
        return found

    # -- the steps of the work --------------------------------------------------------------

    def lock(self, predictions: dict[str, str]) -> None:
        """Lock predictions: they cannot be changed after this.

        Raises:
            UsageError: They are locked already, or one is missing.
        """
        if self.work.predictions is not None:
            raise UsageError(
                PREDICTIONS, str(self.path), "is locked: predictions are made once", "handshake course run"
            )
        missing = [each.id for each in self.predicted() if not predictions.get(each.id, "").strip()]
        if missing:
            raise UsageError(PREDICTIONS, ", ".join(missing), "has no prediction yet", f'{missing[0]} = "a"')
        self.work.predictions = {each.id: predictions[each.id].strip() for each in self.predicted()}
        self.work.lock = self.work.expected_lock()
        self.save()

    def run(self, laboratory: Laboratory) -> Iterator[tuple[str, Record]]:
        """Run the experiments, keep their files, and yield the name of each and its record.

        Raises:
            UsageError: Predictions are not locked yet, or were made for another kernel.
        """
        if self.predicted() and self.work.predictions is None:
            raise UsageError(
                PREDICTIONS, str(self.path), "is not locked yet: predict first", "handshake course predict"
            )
        self._check_kernel(laboratory)
        self.work.release = laboratory.release
        for name, experiment in self.unit.file.experiments.items():
            run = laboratory.run(self.unit, name, self.work.seed)
            self.work.runs[name] = digest(run.record)
            if not experiment.shown:
                continue
            self._keep(run, name)
            yield name, run.record
        self.save()

    def _check_kernel(self, laboratory: Laboratory) -> None:
        """Check that the kernel is the folder's: other versions of Linux have other right answers.

        Raises:
            UsageError: It is another one.
        """
        wanted, given = (".".join(each.split(".")[:2]) for each in (self.work.release, laboratory.release))
        if self.work.release and wanted != given:
            reason = f"is not the kernel of this folder: it was started with Linux {self.work.release}"
            raise UsageError("--kernel", laboratory.release, reason, f"--kernel lab:{wanted}")

    def _keep(self, run: Run, name: str) -> None:
        """Keep the files of a run: its ladder, its page, its capture."""
        lang = self.work.lang
        place = self.path / RUNS / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        verdict = judge(run.record)
        (place / "ladder.txt").write_text(ladder_text(run.record, lang=lang, verdict=verdict), "utf-8")
        write_capture(place, run.record, run.observations)
        back = f"../../{PAGE}"
        write_page(place, run.record, run.observations, title=name, verdict=verdict, back=back, lang=lang)

    def judge(self, question: Question, answer: str, laboratory: Laboratory) -> Judgement:
        """Judge an answer, or a locked prediction. Wrong answers are counted.

        Raises:
            UsageError: The experiments were not run yet, or on another kernel.
        """
        if not self.work.runs:
            raise UsageError("check", question.id, "comes after the run", "handshake course run")
        self._check_kernel(laboratory)
        key = key_of(self.unit, question, self.work.seed, laboratory)
        found = judge_answer(self.unit, question, answer, key, self.work.seed, laboratory)
        if found.right is False and not question.predict and found.code != "empty":
            self.work.attempts[question.id] = self.work.attempts.get(question.id, 0) + 1
            self.save()
        return found

    def hint(self, question: Question) -> str:
        """The hint of a question; that it was shown is noted."""
        hint = self.unit.text(self.work.lang).sections[question.id].hint
        if hint and question.id not in self.work.hints:
            self.work.hints.append(question.id)
            self.save()
        if not hint:
            return phrase(self.work.lang, "work.no_hint")
        return rendered(hint, self.unit.numbers(self.work.seed), question.id)

    def hand_in(self, out: Path) -> list[str]:
        """Write the file to hand in.

        Returns:
            The ids of the questions without an answer.

        Raises:
            UsageError: The experiments were not run yet.
        """
        if not self.work.runs:
            raise UsageError("hand-in", str(self.path), "comes after the run", "handshake course run")
        answers = {name: answer for name, answer in self.answers().items() if answer.strip()}
        write(out, msgspec.structs.replace(self.work, answers=answers))
        return [each.id for each in self.answered() if each.id not in answers]
