"""Course units in pages: started, predicted, run and checked with what `handshake course` uses.

A unit is done in a directory of the served folder, which can be continued with the command line, and the reverse.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from markdown_it import MarkdownIt
from markupsafe import Markup

from handshake_lab.courses.experiments import Laboratory
from handshake_lab.courses.folder import ANSWERS, PREDICTIONS, RUNS, WORK
from handshake_lab.courses.folder import Folder as CourseFolder
from handshake_lab.courses.handing_in import ENDING
from handshake_lab.courses.pages import question_text
from handshake_lab.courses.phrases import feedback, phrase
from handshake_lab.courses.unit import SHIPPED, rendered, shipped_unit, units
from handshake_lab.errors import RecordUnreadable, UsageError
from handshake_lab.report.text.translations import LANGUAGES, words
from handshake_lab.serve.futures import drawings
from handshake_lab.serve.stored_pages import Frame, own_page

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.courses.unit import Question
    from handshake_lab.serve.folder import Folder

_Short = Annotated[str, msgspec.Meta(max_length=200)]
_Answer = Annotated[str, msgspec.Meta(max_length=4000)]


class AskedOfUnit(msgspec.Struct, forbid_unknown_fields=True):
    """What a page of a unit asks for. Answers that were typed are kept in any case."""

    action: Literal["predict", "run", "check", "hint", "hand-in"]
    question: _Short = ""
    answers: Annotated[dict[_Short, _Answer], msgspec.Meta(max_length=200)] = {}


class AskedUnit(msgspec.Struct, forbid_unknown_fields=True):
    """A unit to start."""

    unit: _Short
    student: _Short
    course: _Short = ""


class Units:
    """The units of a folder. All methods run experiments, and belong to the thread of the lab.

    Args:
        folder: The served folder.
        kernel: The lab kernel, as for ``--kernel``.
    """

    def __init__(self, folder: Folder, kernel: str) -> None:
        self._folder = folder
        self._kernel = kernel
        self._made: Laboratory | None = None
        self._feedback: dict[tuple[str, str], tuple[str, str]] = {}  # mark and text, by directory and question

    @property
    def _laboratory(self) -> Laboratory:
        self._made = self._made or Laboratory(self._kernel)
        return self._made

    def listed(self, lang: str) -> list[tuple[str, str]]:
        """The units that can be started: names and titles."""
        return [(unit.name, unit.text(lang).title) for unit in units()]

    def started(self) -> list[str]:
        """The directories of units that were started."""
        return list(self._folder.find(WORK))

    def start(self, asked: AskedUnit, lang: str) -> str:
        """Start a unit in a new directory of the folder; returns its name.

        Raises:
            UsageError: There is no such unit, the id is invalid, or there is such a directory.
        """
        if not re.fullmatch(r"[\w-]+", asked.unit):
            raise UsageError("unit", asked.unit, "is not a unit of this package", "4")
        unit = shipped_unit(asked.unit)
        path = self._folder.path / unit.name
        if path.is_symlink() or path.exists():
            raise UsageError("unit", unit.name, "was started here already", "handshake serve another-folder")
        CourseFolder.start(unit, asked.student, asked.course, path, lang, self._laboratory)
        return unit.name

    def act(self, name: str, asked: AskedOfUnit) -> str:
        """Do what a page asks for; returns what is said about it.

        Raises:
            UsageError: It is not possible now.
        """
        opened = self._opened(name)
        locked = opened.work.predictions is not None or not opened.predicted()
        self._keep(opened, ANSWERS if locked else PREDICTIONS, asked.answers)
        lang = opened.work.lang
        match asked.action:
            case "predict":
                opened.lock(opened.read(PREDICTIONS))
                return ""
            case "run":
                for _ in opened.run(self._laboratory):
                    pass
                for question in opened.predicted():
                    self._judge(opened, name, question, (opened.work.predictions or {}).get(question.id, ""))
                return ""
            case "check":
                question = opened.unit.question(asked.question)
                self._judge(opened, name, question, opened.answers().get(question.id, ""))
                return ""
            case "hint":
                question = opened.unit.question(asked.question)
                self._feedback[name, question.id] = "", opened.hint(question)
                return ""
            case "hand-in":
                file = opened.path / f"{opened.work.unit}-{opened.work.student}{ENDING}"
                missing = opened.hand_in(file)
                said = phrase(lang, "work.handed_in", file=file.name)
                return said + (f" {phrase(lang, 'work.missing', questions=', '.join(missing))}" if missing else "")

    def _judge(self, opened: CourseFolder, name: str, question: Question, answer: str) -> None:
        found = opened.judge(question, answer, self._laboratory)
        mark = {True: "good", False: "bad", None: ""}[found.right]
        self._feedback[name, question.id] = mark, feedback(opened.work.lang, found)

    def _opened(self, name: str) -> CourseFolder:
        """The directory of a unit.

        Raises:
            UsageError: Its unit is not one of this package, or it has links, which could lead out of the folder.
            RecordUnreadable: Its file is damaged.
        """
        if name not in self._folder.find(WORK):
            raise UsageError("unit", name, "was not started here", "handshake course start 1")
        path = self._folder.path / name
        links = [each.name for each in (*path.iterdir(), *_inside(path / RUNS)) if each.is_symlink()]
        if links:
            raise UsageError("unit", name, f"has symbolic links ({', '.join(links[:3])})", "handshake course start 1")
        opened = CourseFolder.open(path)
        if opened.work.lang not in LANGUAGES:
            raise RecordUnreadable(f"{name}/{WORK}: {opened.work.lang!r} is not a language")
        if opened.unit.folder.parent != SHIPPED:
            raise UsageError("unit", name, "is not of this package; use the command line", "handshake course check")
        return opened

    def _keep(self, opened: CourseFolder, file: str, answers: dict[str, str]) -> None:
        """Write answers into the file of the student, whose other lines stay."""
        path = opened.path / file
        if not answers or not path.is_file():
            return
        text = path.read_text("utf-8")
        for question, answer in answers.items():
            line = f"{opened.unit.question(question).id} = {json.dumps(answer.strip(), ensure_ascii=False)}"
            text = re.sub(rf"^{re.escape(question)} *=.*$", lambda _, line=line: line, text, flags=re.MULTILINE)  # type: ignore[misc]
        path.write_text(text, "utf-8")

    # -- pages --------------------------------------------------------------------------------

    def page(self, name: str, frame: Frame) -> str:
        """The page of a unit that was started."""
        opened = self._opened(name)
        text, numbers = opened.unit.text(frame.lang), opened.unit.numbers(opened.work.seed)
        return own_page(
            "unit.html.j2",
            frame,
            title=rendered(text.title, numbers, "title"),
            introduction=_marked_up(rendered(text.introduction, numbers, "introduction")),
            student=opened.work.student,
            view=Markup(self.view(name, frame)),  # noqa: S704 -- our own template
        )

    def view(self, name: str, frame: Frame) -> str:
        """The part of the page that changes with each action."""
        opened = self._opened(name)
        work = opened.work
        locked = work.predictions is not None or not opened.predicted()
        predictions = work.predictions if work.predictions is not None else opened.read(PREDICTIONS)
        answers = opened.answers()

        def shown(question: Question, answer: str) -> dict[str, object]:
            text = question_text(opened.unit, question, work.seed, frame.lang, self._laboratory)
            mark, said = self._feedback.get((name, question.id), ("", ""))
            return {
                "id": question.id,
                "text": _marked_up(text),
                "answer": answer,
                "program": bool(question.program),
                "long": question.kind in ("text", "fault"),
                "mark": mark,
                "said": said,
                "points": f"{question.points:g}",
            }

        w = words(frame.lang)
        experiments = [each for each, found in opened.unit.file.experiments.items() if found.shown]
        runs = [
            (each, drawings(self._laboratory.run(opened.unit, each, work.seed).record, w)) for each in experiments
        ] if work.runs else []  # fmt: skip
        return own_page(
            "unit_view.html.j2",
            frame,
            locked=locked,
            ran=bool(work.runs),
            predicted=[shown(each, predictions.get(each.id, "")) for each in opened.predicted()],
            answered=[shown(each, answers.get(each.id, "")) for each in opened.answered()] if work.runs else [],
            runs=runs,
        )


def _inside(path: Path) -> list[Path]:
    return list(path.iterdir()) if path.is_dir() and not path.is_symlink() else []


def _marked_up(text: str) -> Markup:
    """Markdown as HTML; HTML in it is text."""
    return Markup(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))  # noqa: S704 -- escaped by it
