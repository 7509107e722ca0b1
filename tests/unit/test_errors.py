"""Errors: one tree, and each crosses the boundary of a kernel whole."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import json
import pickle
import pkgutil
from pathlib import Path
from typing import Any

import handshake_lab
import pytest
from handshake_lab import errors
from handshake_lab.errors import HandshakeError, KernelFailed, UsageError, from_document, kinds

#: A value for each type that an error's constructor takes.
VALUES: dict[str, Any] = {
    "str": "line one\nΔ 'quoted'",
    "int": 111,
    "float": 1.5,
    "object": "50",
    "Iterable[str]": ["h2: CLOSE-WAIT", "h1: none"],
}
#: The programs of course units are what is tried there, not part of the package.
SOURCES = sorted(
    path for path in Path(handshake_lab.__file__).parent.rglob("*.py") if not path.match("courses/units/*/*.py")
)
#: Not this project's to replace: Python's own protocols, pytest's and click's.
FOREIGN = {
    "AssertionError": "a defect of this program, not an error that a user can act on",
    "AttributeError": "__getattr__ has to raise it",
    "KeyboardInterrupt": "Ctrl-C",
    "NotImplementedError": "what msgspec expects of a hook that does not know a type",
    "TimeoutError": "what a call on a Python socket raises",
    "pytest.fail.Exception": "what pytest.fail() raises, here without a traceback",
    "pytest.UsageError": "pytest prints it and exits with its own status",
    "IPythonUsageError": "IPython shows it without a traceback, and ends the notebook",
    "Interrupted": "SIGTERM: a SystemExit",
    "Refused": "why a hand-in is not read further: its grader catches it",
}
#: Files that run before anything could carry an error to the user: what they raise is printed on a console.
BEFORE_A_JOB = (
    "courses/confinement.py",
    "doctor/host_probe.py",
    "kernel/host/private_namespaces.py",
    "kernel/lab/*.py",
    "kernel/shared/*.py",
    "kernel/vm/virtual/template_guest.py",
)


def example_of(kind: type[HandshakeError]) -> HandshakeError:
    """An error of a class, with a value in each of its fields."""
    return kind(*(VALUES[str(each.annotation)] for each in inspect.signature(kind).parameters.values()))


@pytest.mark.parametrize("kind", kinds().values(), ids=kinds())
def test_an_error_comes_back_whole(kind: type[HandshakeError]) -> None:
    """Class, message, fields, notes and exit status are the same after JSON, pickle and copy."""
    error = example_of(kind)
    error.add_note("while the network was built")
    again = [
        from_document(json.loads(json.dumps(error.to_document()))),
        pickle.loads(pickle.dumps(error)),  # noqa: S301 -- its own
        copy.copy(error),
    ]

    assert [(type(each), str(each), vars(each), each.exit_code) for each in again] == [
        (kind, str(error), vars(error), error.exit_code)
    ] * 3


@pytest.mark.parametrize(
    "value", [("h1", 2), float("inf"), Path("/a"), b"\xff", {"a": 1}, object, None, True, 0.1, 2**70]
)
def test_any_invalid_value_comes_back(value: object) -> None:
    """What a user gave may be of any type: its text is kept."""
    error = UsageError("--loss", value, "is not a percentage", "--loss 1%")

    assert str(from_document(json.loads(json.dumps(error.to_document())))) == str(error)


def test_fields_are_there() -> None:
    """A caller finds the parts of an error, not its message alone."""
    found = from_document(KernelFailed("it hung", "last line").to_document())

    assert isinstance(found, KernelFailed)
    assert (found.what, found.console, str(found)) == ("it hung", "last line", "it hung\n  | last line")


def subclasses(kind: type) -> list[type]:
    """All classes below one."""
    found: list[type] = kind.__subclasses__()
    return [each for below in found for each in (below, *subclasses(below))]


def test_the_tree_is_in_one_place() -> None:
    """No module keeps an error class of its own: who reads `errors` has seen them all."""
    for module in pkgutil.walk_packages(handshake_lab.__path__, "handshake_lab."):
        if not module.name.startswith("handshake_lab.topologies"):
            importlib.import_module(module.name)
    elsewhere = [kind for kind in subclasses(HandshakeError) if kind.__module__ != errors.__name__]

    assert elsewhere == []


def test_the_tree_is_drawn() -> None:
    """The docstring names each class, with the exit status that it has."""
    lines = [line.strip("│├└─ ").split() for line in (errors.__doc__ or "").splitlines() if "──" in line]
    drawn = {words[0]: int(words[-1]) for words in lines if words[-2:-1] == ["exit"]}

    assert {words[0] for words in lines} == kinds().keys() - {"HandshakeError"}
    assert drawn == {name: kinds()[name].exit_code for name in drawn}
    assert all(kind.exit_code in (1, 2, 3) for kind in kinds().values())


def raised(source: Path) -> set[str]:
    """The exceptions that a file raises by name: those that it makes, and does not only pass on."""
    found = {
        ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
        for node in ast.walk(ast.parse(source.read_text("utf-8")))
        if isinstance(node, ast.Raise) and node.exc is not None
    }
    return {name for name in found if name.rpartition(".")[2][:1].isupper()}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parent)))
def test_what_is_raised_is_in_the_tree(source: Path) -> None:
    """Every error that is raised on purpose can be caught as a HandshakeError, and none is the bare base class."""
    name = source.relative_to(SOURCES[0].parent)
    allowed = {*(kinds().keys() - {"HandshakeError"}), *FOREIGN}
    if name.match("pytest_plugin/options/command_line.py"):
        allowed.add("ValueError")  # its functions are converters for argparse, which report invalid values in this way
    if any(name.match(pattern) for pattern in BEFORE_A_JOB):
        allowed |= {"OSError", "FileNotFoundError"}
    others = raised(source) - allowed

    assert others == set(), f"{source}: raise an error of handshake_lab.errors instead"


def test_what_is_foreign_is_known() -> None:
    """The exceptions that are allowed besides are still raised somewhere."""
    assert FOREIGN.keys() - set().union(*map(raised, SOURCES)) == set()
