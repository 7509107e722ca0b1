"""A unit as it is written: its folder has ``unit.toml`` with experiments and questions, and a text for each language.

docs/courses.md describes the format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import jinja2
import jinja2.sandbox
import msgspec

from handshake_lab.courses.measures import FUNCTIONS
from handshake_lab.courses.numbers import NumberSpec
from handshake_lab.courses.unit_text import UnitText
from handshake_lab.errors import UsageError
from handshake_lab.plan.nearest_name import hint

#: The name of the file with experiments and questions.
UNIT_FILE = "unit.toml"
#: The units of this package.
SHIPPED = Path(str(files("handshake_lab.courses") / "units"))

Kind = Literal[
    "states", "segment", "number", "time", "fields", "order", "choice", "word", "fault", "program", "text"
]  # fmt: skip


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run: the network, what happens to it, and what the hosts do. Its texts may contain ``{{ numbers }}``.

    Attributes:
        topology: As for ``--topology``; a file is looked for in the unit's folder.
        links: As for ``--link``.
        faults: As for ``--fault``.
        at: As for ``--at``: pairs of a time and an action.
        sysctls: As for ``--sysctl``, as a table.
        steps: What the hosts' sockets do, one step a line (`handshake_lab.plan.steps`).
        servers: Programs instead of steps, as for ``--server``.
        clients: Programs instead of steps, as for ``--client``.
        after: How long connections may take to end after the clients, as for ``--after``.
        shown: Whether the student sees the run. If not, it is used for questions only.
    """

    topology: str = "pair"
    links: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    at: tuple[tuple[str, str], ...] = ()
    sysctls: dict[str, str | int] = {}
    steps: str = ""
    servers: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    after: str = "130s"
    shown: bool = True


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question. Its text is in the language's file, below a heading with its id.

    Attributes:
        id: Its name.
        kind: How the answer is written and judged.
        experiment: The run that its key is computed from.
        predict: Whether it must be answered before the run is shown.
        points: What a right answer is worth.
        hint_cost: How many points the hint costs.
        key: An expression that computes the right answer from the run (`handshake_lab.courses.measures`).
        options: ``choice``: for each option, by its name in the text, an expression that is true if it is right.
        rows: ``fields`` and ``order``: which segments are shown, as in a fault: "any", "any from h1".
        blanks: ``fields``: what is left out: "SYN-ACK ack", "ACK nth=1 from h1 seq".
        timer: ``time``: whether a kernel timer determines it, which may be late by an eighth.
        on: ``fault``: the experiment to which the answer is added; the result must equal the run of ``experiment``.
        program: ``program``: the file in the unit's folder that is to be mended.
        passes: ``program``: expressions that must be true of the run with the mended program.
    """

    id: str
    kind: Kind
    experiment: str = ""
    predict: bool = False
    points: float = 1.0
    hint_cost: float = 0.0
    key: str = ""
    options: dict[str, str] = {}
    rows: str = "any"
    blanks: tuple[str, ...] = ()
    timer: bool = False
    on: str = ""
    program: str = ""
    passes: tuple[str, ...] = ()


class UnitFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``unit.toml``.

    Attributes:
        version: Raised whenever an experiment, a key or a question changes: hand-ins state the version they are for.
        numbers: Numbers that differ between students, by name.
        experiments: The runs, by name, in the order in which they are shown, each with what all have in common.
        questions: The questions, in their order.
    """

    version: int
    questions: tuple[Question, ...]
    experiments: dict[str, Experiment]
    numbers: dict[str, NumberSpec] = {}


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit.

    Attributes:
        name: The name of its folder: "04-time-wait".
        folder: Its folder.
        file: The content of ``unit.toml``.
        texts: Its texts, by language.
    """

    name: str
    folder: Path
    file: UnitFile
    texts: dict[str, UnitText]

    def question(self, name: str) -> Question:
        """A question by its id.

        Raises:
            UsageError: There is none.
        """
        known = {each.id: each for each in self.file.questions}
        if name not in known:
            raise UsageError(
                "QUESTION", name, f"is not a question of this unit: {hint(name, known)}", next(iter(known))
            )
        return known[name]

    def numbers(self, seed: int) -> dict[str, int | str]:
        """The numbers of a student."""
        return {name: spec.value(name, seed) for name, spec in self.file.numbers.items()}

    def text(self, lang: str) -> UnitText:
        """Its text in a language, or in English, or in the language that there is."""
        return self.texts.get(lang) or self.texts.get("en") or next(iter(self.texts.values()))


_TEMPLATES = jinja2.sandbox.ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False
)


def rendered(text: str, numbers: dict[str, int | str], where: str) -> str:
    """A text of a unit with the numbers of a student.

    Raises:
        UsageError: It uses a number that the unit does not have, or is not a template.
    """
    try:
        return _TEMPLATES.from_string(text).render(numbers)
    except jinja2.TemplateError as error:
        raise UsageError(where, text.strip()[:80], f"cannot be filled in ({error})", "delay={{ delay }}ms") from None


def rendered_all(value: Any, numbers: dict[str, int | str], where: str) -> Any:
    """The same for all texts in lists and tables."""
    if isinstance(value, str):
        return rendered(value, numbers, where)
    if isinstance(value, list | tuple):
        return [rendered_all(each, numbers, where) for each in value]
    if isinstance(value, dict):
        return {rendered(name, numbers, where): rendered_all(each, numbers, where) for name, each in value.items()}
    return value


def load_unit(folder: Path) -> Unit:
    """A unit from its folder.

    Raises:
        UsageError: There is none, or it is invalid; the message names the place.
    """
    file = folder / UNIT_FILE
    example = "handshake course new my-unit"
    try:
        # What experiments have in common is merged before the types are checked.
        document = msgspec.toml.decode(file.read_bytes())
        base = document.pop("base", {})
        document["experiments"] = {n: _merged(base, each) for n, each in document.get("experiments", {}).items()}
        found = msgspec.convert(document, UnitFile)
    except OSError as error:
        raise UsageError("UNIT", str(file), f"cannot be read ({error.strerror})", example) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise UsageError("UNIT", str(file), f"is invalid: {error}", example) from None
    texts = {path.stem: UnitText.parse(path.read_text("utf-8"), path.name) for path in sorted(folder.glob("??.md"))}
    unit = Unit(folder.resolve().name, folder.resolve(), found, texts)
    _check(unit, file)
    return unit


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """What experiments have in common with what one has of its own; their settings are joined."""
    found = {**base, **own}
    if "sysctls" in base and "sysctls" in own:
        found["sysctls"] = {**base["sysctls"], **own["sysctls"]}
    return found


def _check(unit: Unit, file: Path) -> None:
    """Check what the types do not say.

    Raises:
        UsageError: Something is missing, or is there twice.
    """
    ids = [question.id for question in unit.file.questions]
    for name, spec in unit.file.numbers.items():
        if not name.isidentifier() or name in FUNCTIONS:
            raise UsageError("numbers", name, "is the name of a function of keys, or not a name", "delay")
        spec.check(name)
    if not unit.texts:
        raise UsageError("UNIT", str(file.parent), "has no text", "en.md")
    if not ids or len(set(ids)) < len(ids):
        raise UsageError("UNIT", str(file), "has no questions, or two with one id", 'id = "third-segment"')
    for question in unit.file.questions:
        _check_question(unit, question)
    for lang, text in unit.texts.items():
        _check_text(unit.file.questions, lang, text)


def _check_question(unit: Unit, question: Question) -> None:
    where = f"{UNIT_FILE}: question {question.id}"
    if not re.fullmatch(r"[a-z0-9-]+", question.id):
        raise UsageError(where, question.id, "is not lower case letters, digits and hyphens", "third-segment")
    for name in (question.experiment, *([question.on] if question.on else [])):
        if question.kind != "text" and name not in unit.file.experiments:
            raise UsageError(where, name, "is not an experiment of this unit", 'experiment = "plain"')
    if lack := _lack(question):
        raise UsageError(where, question.kind, f"needs {lack}", "docs/courses.md")
    if question.program and not (unit.folder / question.program).is_file():
        raise UsageError(where, question.program, "is not a file of the unit", 'program = "server.py"')


def _check_text(questions: tuple[Question, ...], lang: str, text: UnitText) -> None:
    for question in questions:
        if question.id not in text.sections:
            raise UsageError(f"{lang}.md", question.id, "has no section", f"## {question.id}")
        if set(text.sections[question.id].options) != set(question.options):
            options = ", ".join(question.options) or "none"
            raise UsageError(f"{lang}.md: {question.id}", question.id, f"needs the options {options}", "- name: text")
    for section in text.sections:
        if section not in {question.id for question in questions}:
            raise UsageError(f"{lang}.md", section, "is not the id of a question", f"## {questions[0].id}")


def _lack(question: Question) -> str:
    """What a question of this kind lacks."""
    match question.kind:
        case "choice":
            return "" if len(question.options) > 1 else "at least two options"
        case "fields":
            return "" if question.blanks else "blanks"
        case "program":
            return "" if question.program and question.passes else "program and passes"
        case "fault":
            return "" if question.on else "on: the experiment without the fault"
        case "states" | "segment" | "number" | "time" | "word":
            return "" if question.key else "a key"
        case _:
            return ""


def units(folder: Path = SHIPPED) -> list[Unit]:
    """The units of a folder, in the order of their names."""
    return [load_unit(each.parent) for each in sorted(folder.glob(f"*/{UNIT_FILE}"))]


def find_unit(name: str) -> Unit:
    """A unit by its number ("4"), its name ("time-wait", "04-time-wait"), or its folder.

    Raises:
        UsageError: There is none.
    """
    if (Path(name) / UNIT_FILE).is_file():
        return load_unit(Path(name))
    return shipped_unit(name)


def shipped_unit(name: str) -> Unit:
    """A unit of this package by its number or name.

    Raises:
        UsageError: There is none.
    """
    names = sorted(each.parent.name for each in SHIPPED.glob(f"*/{UNIT_FILE}"))
    for each in names:
        number, _, rest = each.partition("-")
        if name in (each, rest, number, number.lstrip("0")):
            return load_unit(SHIPPED / each)
    raise UsageError("UNIT", name, f"is neither a unit ({', '.join(names)}) nor a folder with one", "4")
