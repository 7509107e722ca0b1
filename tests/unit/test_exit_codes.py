"""Exit codes: every verb exits with those that docs/reference/exit-codes.md lists, and with no others."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from handshake_lab.checkout import pytest_run
from handshake_lab.cli import main
from handshake_lab.errors import (
    EnvironmentUnsupported,
    FaultNeverFired,
    HandshakeError,
    KernelFailed,
    RecordUnreadable,
    UsageError,
    kinds,
)

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "exit-codes.md").read_text("utf-8")
DOCUMENTED = {int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}


def leaves() -> dict[str, click.Command]:
    """Every verb that does something, by how it is called: ``kernel build``."""
    found = {}
    for verb in main.VERBS:
        command = import_module(f"handshake_lab.cli.commands.{verb}").command
        if isinstance(command, click.Group):
            found.update({f"{verb} {name}": inner for name, inner in command.commands.items()})
        else:
            found[verb] = command
    return found


LEAVES = leaves()
#: What each needs besides its name, so that it comes to be called.
ARGUMENTS = {
    "show": ["a-run"],
    "diff": ["a-run", "another"],
    "report": ["a-folder"],
    "completion": ["bash"],
    "explore": ["tests"],
    "course start": ["1", "--id", "kim"],
    "course grade": ["."],
    "course new": ["my-unit"],
    "course bundle": ["class.tar"],
    "bundle": ["."],
    "kernel export": ["a-file"],
    "kernel import": ["a-file"],
    "kernel remove": ["6.1"],
    "run": ["script.py"],
}


def status_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Call the command line; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["handshake", *words])
    with pytest.raises(SystemExit) as stop:
        main.main()
    return int(stop.value.code or 0)


def test_every_verb_is_listed() -> None:
    """The page has a row for each verb, and for nothing else."""
    rows = re.findall(r"^\| `([a-z -]+)` \|", PAGE, re.MULTILINE)

    assert sorted(rows) == sorted(LEAVES)


def test_errors_have_listed_codes() -> None:
    """No class of errors has a code that the page does not explain."""
    assert {kind.exit_code for kind in kinds().values()} <= DOCUMENTED


@pytest.mark.parametrize("verb", LEAVES)
@pytest.mark.parametrize(
    ("end", "status"),
    [
        (UsageError("--loss", "x", "is not a percentage", "--loss 1%"), 2),
        (RecordUnreadable("it is cut"), 2),
        (EnvironmentUnsupported("There is no nft", "apt-get install nftables"), 3),
        (KernelFailed("it hung"), 3),
        (FaultNeverFired("the fault never fired"), 1),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (BrokenPipeError(), 141),
        (ZeroDivisionError(), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_how_a_verb_ends(monkeypatch: pytest.MonkeyPatch, verb: str, end: BaseException, status: int) -> None:
    """Whatever ends a verb, its status is the same for all verbs."""

    def fail(**_: Any) -> None:
        raise end

    monkeypatch.setattr(LEAVES[verb], "callback", fail)
    monkeypatch.setattr(sys.stderr, "close", lambda: None)

    assert status_of(monkeypatch, *verb.split(), *ARGUMENTS.get(verb, [])) == status


@pytest.mark.parametrize("verb", [verb for verb in LEAVES if verb != "test"])
def test_an_unknown_option(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """Wrong usage, before anything is run. (The other arguments of ``test`` are pytest's.)"""
    assert status_of(monkeypatch, *verb.split(), "--no-such-option") == 2


@pytest.mark.parametrize("verb", main.VERBS)
def test_help(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """Asking for help is no error."""
    assert status_of(monkeypatch, verb, "--help") == 0


@pytest.mark.parametrize("words", [(), ("no-such-verb",), ("kernel",), ("kernel", "no-such-verb")])
def test_no_verb(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    """Wrong usage, too."""
    assert status_of(monkeypatch, *words) == 2


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--no-such-option",), 2),
        (("no/such/file.py",), 2),
        (("test_it.py::test_none",), 2),
        (("-k", "nothing_is_called_so"), 2),
        (("-k", "right"), 0),
        (("-k", "wrong"), 1),
        (("-k", "ctrl_c"), 130),
        (("-p", "breaks"), 3),
    ],
)
def test_what_pytest_says(tmp_path: Path, words: tuple[str, ...], status: int) -> None:
    """Pytest's exit codes become ours: 2 is an interrupt there, 3 an error of its own, 4 and 5 wrong usage."""
    (tmp_path / "test_it.py").write_text(
        "def test_right(): pass\ndef test_wrong(): assert False\ndef test_ctrl_c(): raise KeyboardInterrupt\n"
    )
    (tmp_path / "breaks.py").write_text("def pytest_collection_modifyitems():\n    raise RuntimeError\n")
    command = ["-q", *words] if words[0] != "-p" else ["-q", *words, "-o", "pythonpath=."]

    assert how_it_ends(command, tmp_path) == status


def how_it_ends(words: list[str], root: Path) -> int:
    """The exit status of a verb that runs pytest."""
    try:
        return pytest_run.run_pytest(words, root, "lab", quiet=True)
    except HandshakeError as error:
        return error.exit_code
    except KeyboardInterrupt:
        return 130
