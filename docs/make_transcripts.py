# ruff: noqa: INP001 - a script, not part of a package
"""Write the transcripts of the course units, docs/courses: ``python docs/make_transcripts.py [UNIT]...``.

A student's session with each unit, in both languages: the commands, what they print, and the files as the student fills
them in. The student is wrong once, looks at the hint, and corrects the answer. Blocks are what the commands print, long
runs without their ends; answers are made from the keys. tests/courses/test_units.py repeats it.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner
from handshake_lab.cli.commands.course import command
from handshake_lab.courses import experiments, grading
from handshake_lab.courses.experiments import Laboratory
from handshake_lab.courses.folder import ANSWERS, PREDICTIONS
from handshake_lab.courses.keys import key_of
from handshake_lab.courses.numbers import seed_of
from handshake_lab.courses.proof import model_answer, wrong_answer
from handshake_lab.courses.unit import find_unit, rendered, units
from handshake_lab.report.text.translations import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from handshake_lab.courses.unit import Question, Unit
    from handshake_lab.reconcile.stored_run import Run

FOLDER = Path(__file__).parent / "courses"
STUDENT = "2026-12345"
SEED = seed_of(STUDENT, "")
#: Lines of an experiment that are shown.
_LINES = 70
#: In each language: the introduction, the headings, and that a program is mended.
_TEXTS = {
    "en": """\
What a student with the id {student} does, and sees, on Linux {release}. [The course page](../courses.md) explains the
commands. The text of the unit is in `README.md` of the folder.
Start
Predict
Run
Answer
Hand in
Grade
The student mends `{file}`.""",
    "ko": """\
학번이 {student}인 학생이 Linux {release}에서 입력하고 보는 내용이다. 명령은 [수업 실습](../courses.md)에서 설명한다.
단원의 본문은 폴더의 `README.md`에 있다.
시작
예상
실행
답
제출
채점
학생이 `{file}` 파일을 고친다.""",
}


class _Session:
    """Commands in a student's folder, in one language, and their transcript."""

    def __init__(self, unit: Unit, lang: str, laboratory: Laboratory) -> None:
        self.unit = unit
        self.lang = lang
        self.laboratory = laboratory

    def transcript(self) -> Iterator[str]:
        """Its parts, each a paragraph or a block."""
        first, second, start, predict, run, answer, hand_in, grade, mends = _TEXTS[self.lang].splitlines()
        number = str(int(self.unit.name.partition("-")[0]))
        yield f"# {rendered(self.unit.text(self.lang).title, self.unit.numbers(SEED), 'title')}"
        yield f"{first}\n{second}".format(student=STUDENT, release=self.laboratory.release)
        yield f"## {start}"
        yield self.command_output("start", number, "--id", STUDENT, "--lang", self.lang)
        with contextlib.chdir(self.unit.name):
            predicted = [each for each in self.unit.file.questions if each.predict]
            answered = [each for each in self.unit.file.questions if not each.predict and each.kind != "text"]
            if predicted:
                yield f"## {predict}"
                yield self.filled_in(PREDICTIONS, predicted, wrong=predicted[0])
                yield self.command_output("predict")
            yield f"## {run}"
            yield self.shortened(self.command_output("run", "--plain"))
            yield f"## {answer}"
            wrong = next(each for each in answered if not each.program)
            yield self.filled_in(ANSWERS, [each for each in answered if not each.program], wrong=wrong)
            for question in answered:
                if question.program:
                    Path(question.program).write_text(self.right(question), "utf-8")
                    yield mends.format(file=question.program)
            yield self.command_output("check")
            yield self.command_output("check", wrong.id, "--hint")
            self.filled_in(ANSWERS, [wrong], wrong=None)
            yield self.command_output("check", wrong.id)
            yield f"## {hand_in}"
            yield self.command_output("hand-in", "--out", f"{STUDENT}.handin.zip")
            yield f"## {grade}"
            Path("hand-ins").mkdir()
            Path(f"{STUDENT}.handin.zip").rename(f"hand-ins/{STUDENT}.handin.zip")
            yield self.command_output("grade", "hand-ins", "--lang", self.lang)

    def right(self, question: Question) -> str:
        """The right answer; times are rounded as a student would."""
        key = key_of(self.unit, question, SEED, self.laboratory)
        return f"{key.value:.3g} s" if question.kind == "time" else model_answer(self.unit, question, key, SEED)

    def wrong(self, question: Question) -> str:
        """A wrong answer: times are rounded, and a word is the right one of another question."""
        key = key_of(self.unit, question, SEED, self.laboratory)
        answer = wrong_answer(question, key)
        if question.kind == "time":
            return f"{float(answer.removesuffix(' s')):.3g} s"
        if question.kind == "word":
            others = [self.right(each) for each in self.unit.file.questions if each.kind == "word" and each != question]
            known = key.value if isinstance(key.value, tuple) else (key.value,)
            return next((other for other in others if other not in known), answer)
        return answer

    def filled_in(self, name: str, questions: list[Question], wrong: Question | None) -> str:
        """Write answers into a file of the folder, and show it."""
        file = Path(name)
        text = file.read_text("utf-8")
        for question in questions:
            answer = self.wrong(question) if question is wrong else self.right(question)
            text = re.sub(
                rf'^{question.id} = ".*"$', lambda _, line=f'{question.id} = "{answer}"': line, text, flags=re.MULTILINE
            )
        file.write_text(text, "utf-8")
        return f"```toml\n# {name}\n\n{text.strip()}\n```"

    def shortened(self, printed: str) -> str:
        """What ``run`` prints, without the ends of experiments that fill more than a page."""
        names = "|".join(map(re.escape, self.unit.file.experiments))
        last = re.search(r"\n\n[^\n]+\n(?:[+x ] .*\n)*\n[^\n]+\n```$|\n\n[^\n]+\n```$", printed)
        body, end = (printed[: last.start()], last[0]) if last else (printed, "")
        parts = re.split(rf"\n\n(?=(?:{names})\n\n)", body)
        return "\n\n".join(map(_page, parts)) + end

    def command_output(self, *words: str) -> str:
        """Carry out a command, and show it with what it prints."""
        done = CliRunner().invoke(command, words, catch_exceptions=False)
        return f"```output\n$ handshake course {' '.join(words)}\n{done.output.strip()}\n```"


def _page(text: str) -> str:
    lines = text.splitlines()
    return text if len(lines) <= _LINES else "\n".join(lines[:_LINES]).rstrip() + "\n…"


def transcript(unit: Unit, lang: str, laboratory: Laboratory) -> str:
    """The transcript of a unit.

    Args:
        unit: The unit.
        lang: ``en`` or ``ko``.
        laboratory: Where experiments run; the commands use it as well.
    """
    modules = (experiments, grading)
    try:
        for module in modules:
            module.Laboratory = lambda _: laboratory  # type: ignore[assignment,misc]
        with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
            return "\n\n".join(_Session(unit, lang, laboratory).transcript()) + "\n"
    finally:
        for module in modules:
            module.Laboratory = Laboratory  # type: ignore[misc]


class SharedLaboratory(Laboratory):
    """A laboratory that runs each experiment once, also with a student's fault or program, until it is cleared."""

    def __init__(self, kernel: str) -> None:
        super().__init__(kernel)
        self._answered: dict[str, Run] = {}

    @contextlib.contextmanager
    def running(
        self,
        unit: Unit,
        name: str,
        seed: int,
        *,
        faults: Sequence[str] = (),
        programs: Mapping[str, str] | None = None,
    ) -> Iterator[Run]:
        """The run; its files are there the first time only."""
        key = repr((unit.name, name, seed, faults, programs))
        if key in self._answered:
            yield self._answered[key]
            return
        with super().running(unit, name, seed, faults=faults, programs=programs) as run:
            self._answered[key] = run
            yield run

    def forget(self) -> None:
        """Keep the runs: commands forget them at their ends."""

    def clear(self) -> None:
        """Forget the runs."""
        self._answered.clear()
        super().forget()


def page(unit: Unit, lang: str) -> Path:
    """The file of a transcript."""
    return FOLDER / f"{unit.name}{'' if lang == 'en' else '.' + lang}.md"


def main() -> None:
    """Write the transcripts of the units that are named, or of all."""
    laboratory = SharedLaboratory("lab")
    FOLDER.mkdir(exist_ok=True)
    for unit in [find_unit(name) for name in sys.argv[1:]] or units():
        for lang in LANGUAGES:
            page(unit, lang).write_text(transcript(unit, lang, laboratory), "utf-8")
        laboratory.clear()


if __name__ == "__main__":
    main()
