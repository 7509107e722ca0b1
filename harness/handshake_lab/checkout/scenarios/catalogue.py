"""The scenarios of a checkout, read from their files without running them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.checkout.root import REPOSITORY
from handshake_lab.errors import UsageError
from handshake_lab.plan.nearest_name import nearest_name
from handshake_lab.report.export.scenario_documents import ScenarioDocument

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet
    from pathlib import Path

#: The file with the tests under random loss, which have the names of their scenarios.
_UNDER_LOSS = "test_under_loss.py"
#: The position of scenarios without a number in the catalogue.
_LAST = 1000


class Scenario(msgspec.Struct, frozen=True):
    """A scenario and its test."""

    number: int | None  #: its row in the catalogue; None for an edge that no row covers
    name: str
    subject: str  #: the file it is in: opening, backlog, …
    what: str  #: the behaviour that it requires, and the document
    test: str  #: its node id, relative to the checkout
    under_loss: str = ""  #: that of its test under random loss, if its outcome does not depend on chance


def checkout(verb: str) -> Path:
    """The checkout with the scenarios.

    Raises:
        UsageError: The package was installed without a checkout.
    """
    if not (REPOSITORY / "tests" / "scenarios").is_dir():
        raise UsageError(
            verb, str(REPOSITORY), "is not a checkout of Handshake Lab", f"cd handshake-lab && ./handshake {verb}"
        )
    return REPOSITORY


def scenarios(root: Path) -> list[Scenario]:
    """All scenarios, in the catalogue's order."""
    folder = root / "tests" / "scenarios"
    lossy = {function.name for function in _tests(folder / _UNDER_LOSS)}
    files = [file for file in sorted(folder.glob("test_*.py")) if file.name != _UNDER_LOSS]
    found = [each for file in files for each in _read(file, root, lossy)]
    return sorted(found, key=lambda each: each.number or _LAST)


def _tests(file: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def _read(file: Path, root: Path, lossy: AbstractSet[str]) -> Iterator[Scenario]:
    for function in _tests(file):
        numbered = dict(_marks(function)).get("scenario")
        yield Scenario(
            number=ast.literal_eval(numbered[0]) if numbered else None,
            name=function.name.removeprefix("test_"),
            subject=file.stem.removeprefix("test_"),
            what=" ".join((ast.get_docstring(function) or "").split()),
            test=f"{file.relative_to(root)}::{function.name}",
            under_loss=(
                f"{file.with_name(_UNDER_LOSS).relative_to(root)}::{function.name}" if function.name in lossy else ""
            ),
        )


def _marks(function: ast.FunctionDef) -> Iterator[tuple[str, list[ast.expr]]]:
    """The names of a test's markers, with their arguments."""
    for decorator in function.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        name = call.func if call else decorator
        if isinstance(name, ast.Attribute):
            yield name.attr, call.args if call else []


def described(scenario: Scenario) -> ScenarioDocument:
    """The JSON form of a scenario."""
    return ScenarioDocument(**msgspec.structs.asdict(scenario))


def chosen(known: list[Scenario], names: Iterable[str]) -> list[Scenario]:
    """The scenarios of these names or numbers.

    Raises:
        UsageError: A name is unknown; the message has the nearest one.
    """
    by_name = {each.name: each for each in known} | {str(each.number): each for each in known if each.number}
    wanted = []
    for given in names:
        name = given.removeprefix("test_")
        if name not in by_name:
            near = nearest_name(name, [each.name for each in known], alike=0.3)
            hint = f"; the nearest is {near!r}" if near else ""
            example = f"handshake scenarios run {near or known[0].name}"
            raise UsageError("NAME", given, f"is not a scenario{hint}", example)
        wanted.append(by_name[name])
    return list(dict.fromkeys(wanted))
