"""The scenarios as the command line knows them: complete, in order, and found by name or number."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from handshake_lab.checkout.scenarios import catalogue
from handshake_lab.cli.commands.scenarios import command
from handshake_lab.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def test_complete() -> None:
    """The catalogue has its 66 rows; every scenario has a unique name and a sentence with its requirement."""
    known = catalogue.scenarios(ROOT)

    assert sorted({each.number for each in known if each.number}) == list(range(1, 67))
    assert len({each.name for each in known}) == len(known)
    assert all(each.what.endswith(".") for each in known)


def test_under_loss() -> None:
    """Every test under random loss is that of a scenario, by its name."""
    folder = ROOT / "tests" / "scenarios"
    names = re.findall(r"^def test_(\w+)", (folder / "test_under_loss.py").read_text("utf-8"), re.MULTILINE)
    named = [each.name for each in catalogue.scenarios(ROOT) if each.under_loss]

    assert sorted(names) == sorted(named)
    assert len(named) >= 10


def test_list() -> None:
    """The list for programs has what the list for people has."""
    shown = CliRunner().invoke(command, ["list"])
    listed = json.loads(CliRunner().invoke(command, ["list", "--json"]).output)["scenarios"]

    assert shown.exit_code == 0
    assert len(listed) == len(catalogue.scenarios(ROOT))
    assert all(each["name"] in shown.output for each in listed)


def test_chosen() -> None:
    """Names and numbers, with or without test_, in the order given, each once."""
    known = catalogue.scenarios(ROOT)
    chosen = catalogue.chosen(known, ["5", "three_way_handshake", "test_syn_lost_1", "1"])

    assert [each.number for each in chosen] == [5, 1, 3]


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["run", "syn_lots_1"], "the nearest is 'syn_lost_1'"),
        (["run", "67"], "is not a scenario"),
        (["run"], "is missing: name scenarios, or use --all"),
        (["run", "--all", "syn_lost_1"], "cannot be combined with names of scenarios"),
        (["mutate", "three_way_handshak"], "the nearest is 'three_way_handshake'"),
        (["run", "1", "-n", "many"], "is not a number of processes"),
    ],
)
def test_wrong_use(words: list[str], reported: str) -> None:
    """An invalid request is refused with the value, the reason, and a correct example."""
    result = CliRunner().invoke(command, words)

    assert isinstance(result.exception, UsageError)
    assert reported in str(result.exception)
    assert "handshake scenarios" in str(result.exception) or "-n 2" in str(result.exception)
