"""The files that a student reads and fills in: the page of a unit, and the lists of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.courses.keys import key_of
from handshake_lab.courses.phrases import phrase
from handshake_lab.courses.unit import rendered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.unit import Question, Unit

#: The kinds whose questions show something of a run.
_SHOWING = ("order", "fields", "fault")
_LINE = 100


def unit_page(unit: Unit, seed: int, lang: str, laboratory: Laboratory) -> str:
    """The page of a unit for a student: its text, what to do, and the questions.

    Args:
        unit: The unit.
        seed: The student's seed.
        lang: The language.
        laboratory: Where experiments run whose results are part of the questions.
    """
    text, numbers = unit.text(lang), unit.numbers(seed)
    parts = [f"# {rendered(text.title, numbers, 'title')}", phrase(lang, "page.kernel", release=laboratory.release)]
    parts.append(rendered(text.introduction, numbers, "introduction"))
    parts.append(phrase(lang, "page.steps").strip())
    predicted = [each for each in unit.file.questions if each.predict]
    others = [each for each in unit.file.questions if not each.predict]
    number = 0
    for heading, questions in (("page.predict", predicted), ("page.answer", others)):
        if questions:
            parts.append(f"## {phrase(lang, heading)}")
        for question in questions:
            number += 1
            parts.append(f"### {number}. `{question.id}` ({_points(question, lang)})")
            parts.append(question_text(unit, question, seed, lang, laboratory))
    return "\n\n".join(parts) + "\n"


def question_text(unit: Unit, question: Question, seed: int, lang: str, laboratory: Laboratory) -> str:
    """The text of a question with its options, and with what it shows of a run."""
    section, numbers = unit.text(lang).sections[question.id], unit.numbers(seed)
    parts = [rendered(section.text, numbers, question.id)]
    if question.kind == "choice":
        key = key_of(unit, question, seed, laboratory)
        options = {
            letter: rendered(section.options[name], numbers, question.id) for letter, name in key.lettered.items()
        }
        parts.append("\n".join(f"- **{letter}** {text}" for letter, text in options.items()))
    elif question.kind == "order":
        key = key_of(unit, question, seed, laboratory)
        parts.append("```text\n" + "\n".join(f"{letter}  {text}" for letter, text in key.lettered.items()) + "\n```")
    elif question.kind in _SHOWING:
        parts.append(f"```text\n{key_of(unit, question, seed, laboratory, lang).shown}```")
    form = phrase(lang, f"form.{question.kind}", program=question.program)
    return "\n\n".join([*parts, f"*{form}*"])


def answers_file(unit: Unit, questions: Sequence[Question], seed: int, lang: str, laboratory: Laboratory) -> str:
    """The file in which a student writes the answers to questions."""
    lines = []
    for question in questions:
        if question.program:
            continue  # the answer is the program itself
        shown = question_text(unit, question, seed, lang, laboratory).replace("**", "")
        lines += [f"# {line}".rstrip() for line in shown.splitlines() if line.strip("`").strip() not in ("", "text")]
        lines += [f'{question.id} = ""', ""]
    return "\n".join(lines)


def _points(question: Question, lang: str) -> str:
    text = phrase(lang, "page.points", points=f"{question.points:g}")
    return text + (
        ", " + phrase(lang, "page.hint_costs", points=f"{question.hint_cost:g}") if question.hint_cost else ""
    )
