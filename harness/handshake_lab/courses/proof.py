"""Proving a unit: for many seeds, every key is computed from a run, judged right, and a wrong answer is not.

Feedback on a wrong answer must not contain the key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.courses.experiments import Laboratory, check_experiments, experiment_of, processes
from handshake_lab.courses.judging import judge_answer
from handshake_lab.courses.keys import key_of
from handshake_lab.courses.pages import answers_file, unit_page
from handshake_lab.courses.phrases import feedback
from handshake_lab.courses.unit import load_unit
from handshake_lab.errors import HandshakeError
from handshake_lab.report.text.translations import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from handshake_lab.courses.keys import Key
    from handshake_lab.courses.unit import Question, Unit

#: An answer that is wrong for every key of its kind, beside one that is made from the key.
_ALWAYS_WRONG = {"fault": "corrupt any nth=1 optional", "program": "raise SystemExit(1)\n"}


class Defect(msgspec.Struct, frozen=True):
    """What is wrong with a unit: where, for which seed, and what."""

    seed: int
    where: str
    what: str


def prove(
    unit: Unit, seeds: Iterable[int], laboratory: Laboratory, langs: tuple[str, ...] = LANGUAGES
) -> Iterator[Defect]:
    """Check a unit for seeds, and yield its defects.

    Args:
        unit: The unit.
        seeds: The seeds.
        laboratory: Where its experiments run.
        langs: The languages in which it must have a text.
    """
    for lang in langs:
        if lang not in unit.texts:
            yield Defect(0, f"{lang}.md", "is missing")
    for seed in seeds:
        try:
            check_experiments(unit, seed)
            for question in unit.file.questions:
                yield from (Defect(seed, question.id, what) for what in _question(unit, question, seed, laboratory))
            for lang in unit.texts:
                unit_page(unit, seed, lang, laboratory)
                msgspec.toml.decode(answers_file(unit, unit.file.questions, seed, lang, laboratory))
        except HandshakeError as error:
            yield Defect(seed, unit.name, str(error))
        finally:
            laboratory.forget()


def prove_for_seeds(
    unit: Unit, seeds: Sequence[int], kernel: str, langs: tuple[str, ...] = LANGUAGES, workers: int = 1
) -> Iterator[Defect]:
    """The same in several processes, each with a kernel of its own.

    Args:
        unit: The unit.
        seeds: The seeds.
        kernel: The kernel, as for ``--kernel``.
        langs: The languages in which it must have a text.
        workers: How many processes.
    """
    workers = min(workers, len(seeds))
    if workers < 2:
        yield from prove(unit, seeds, Laboratory(kernel), langs)
        return
    with processes(workers) as pool:
        shares = [(unit.folder, tuple(seeds[place::workers]), kernel, langs) for place in range(workers)]
        found = dict.fromkeys(defect for share in pool.map(_share, shares) for defect in share)
    yield from sorted(found, key=lambda defect: defect.seed)


def _share(share: tuple[Path, tuple[int, ...], str, tuple[str, ...]]) -> list[Defect]:
    folder, seeds, kernel, langs = share
    return list(prove(load_unit(folder), seeds, Laboratory(kernel), langs))


def _question(unit: Unit, question: Question, seed: int, laboratory: Laboratory) -> Iterator[str]:
    key = key_of(unit, question, seed, laboratory)
    if question.kind == "text":
        return
    right = model_answer(unit, question, key, seed)
    found = judge_answer(unit, question, right, key, seed, laboratory)
    if found.right is not True:
        yield f"the key {right[:200]!r} is judged wrong: {feedback('en', found)}"
    wrong = wrong_answer(question, key)
    found = judge_answer(unit, question, wrong, key, seed, laboratory)
    if found.right is not False:
        yield f"the answer {wrong[:200]!r} is judged right, but the key is {right[:200]!r}"
    for lang in LANGUAGES:
        text = feedback(lang, found)
        if _tells(text, question, key):
            yield f"the feedback {text!r} contains the key {right!r}"


def model_answer(unit: Unit, question: Question, key: Key, seed: int) -> str:
    """The right answer as a student would write it.

    A fault is the one of the experiment, and a program the unit's ``mended-`` file: they are not computed.
    """
    if question.kind == "fault":
        return "; ".join(experiment_of(unit, question.experiment, seed).faults)
    if question.kind == "program":
        return (unit.folder / f"mended-{question.program}").read_text("utf-8")
    return _written(question, key.value)


def _written(question: Question, value: Any) -> str:
    if question.kind == "time":
        return f"{float(value):.9f} s"
    if isinstance(value, tuple):
        return str(value[0])
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def wrong_answer(question: Question, key: Key) -> str:
    """An answer of the same kind that is wrong, but not far from the key."""
    if question.kind in _ALWAYS_WRONG:
        return _ALWAYS_WRONG[question.kind]
    value = key.value
    if question.kind == "choice":
        return next(letter for letter in key.lettered if letter != value)
    if isinstance(value, tuple):
        return f"not_{value[0]}"
    if isinstance(value, list):
        return _written(question, _other_list(question, value))
    return _written(question, value * 1.5 + 0.1 if question.kind == "time" else value + 1)


def _other_list(question: Question, value: list[Any]) -> list[Any]:
    if question.kind == "states":
        return [*value[:-1], "CLOSING" if value[-1] != "CLOSING" else "CLOSE-WAIT"]
    if question.kind == "order":
        return [value[1], value[0], *value[2:]]
    return [*value[:-1], value[-1] + 1]


def _tells(text: str, question: Question, key: Key) -> bool:
    """Whether feedback contains the key: as a number of its own, or as a list."""
    if question.kind in ("fault", "program", "choice", "order", "fields"):
        return False  # there is no short text that would be the key; letters are those of the answer
    if question.kind == "states":
        return _written(question, key.value) in text
    if question.kind == "segment":
        return re.search(rf"#{key.value}\b", text) is not None
    return re.search(rf"(?<![#\w.]){re.escape(_written(question, key.value))}(?![\w.])", text) is not None
