"""Every unit of the package: each key is computed from a run, judged right, and a wrong answer is not.

The transcripts of the documentation are what the commands print.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from handshake_lab.cli.commands.course import command
from handshake_lab.courses.new_unit import new_unit
from handshake_lab.courses.proof import prove
from handshake_lab.courses.unit import SHIPPED, load_unit
from handshake_lab.report.text.translations import LANGUAGES

if TYPE_CHECKING:
    from handshake_lab.courses.experiments import Laboratory


WRITTEN = Path(__file__).with_name("written")
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def transcripts() -> dict[str, Any]:
    """What docs/make_transcripts.py defines."""
    return runpy.run_path(str(DOCS / "make_transcripts.py"))


@pytest.mark.parametrize("name", sorted(path.name for path in SHIPPED.iterdir()))
def test_unit(name: str, transcripts: dict[str, Any]) -> None:
    """For the student of the transcripts, whose runs are used for both; `handshake course test` does it for more."""
    unit, laboratory = load_unit(SHIPPED / name), transcripts["SharedLaboratory"]("lab")

    assert list(prove(unit, [transcripts["SEED"]], laboratory)) == []
    for lang in LANGUAGES:
        written = transcripts["page"](unit, lang).read_text("utf-8")
        assert transcripts["transcript"](unit, lang, laboratory) == written, f"run docs/make_transcripts.py {name}"


def test_a_new_unit(tmp_path: Path, laboratory: Laboratory) -> None:
    """It is right as it is made."""
    assert list(prove(new_unit(tmp_path / "unit"), range(1, 2), laboratory)) == []


@pytest.mark.parametrize("name", ["half-close", "own-net"])
def test_a_unit_written_by_the_page(name: str, laboratory: Laboratory) -> None:
    """By docs/courses.md alone: every kind of question, and a topology, programs and settings of one's own."""
    assert list(prove(load_unit(WRITTEN / name), [1], laboratory, ("en",))) == []


def test_a_key_that_does_not_fit_is_found(tmp_path: Path, laboratory: Laboratory) -> None:
    """Two options that are true of the run; a key that measures what the run does not have."""
    made = new_unit(tmp_path / "unit")
    text = (made.folder / "unit.toml").read_text()
    (made.folder / "unit.toml").write_text(text.replace("was_in('h2', 'TIME-WAIT')", "was_in('h2', 'LAST-ACK')"))
    two = [defect.what for defect in prove(load_unit(made.folder), range(1, 2), laboratory)]
    (made.folder / "unit.toml").write_text(text.replace("seconds_in('h1', 'SYN-SENT')", "sent('RST from h2')"))
    none = [defect.what for defect in prove(load_unit(made.folder), range(1, 2), laboratory)]

    assert "must be exactly one option" in two[0]
    assert "the run has no RST from h2" in none[0]


def test_the_command(tmp_path: Path) -> None:
    """In two processes: what is right, and which seeds a defect is of."""
    made = new_unit(tmp_path / "unit")
    right = CliRunner().invoke(command, ["test", str(made.folder), "--seeds", "2", "-n", "2"], standalone_mode=False)
    text = (made.folder / "unit.toml").read_text()
    (made.folder / "unit.toml").write_text(text.replace("delay={{ delay }}ms", "delay={{ dela }}ms"))
    wrong = CliRunner().invoke(
        command, ["test", str(made.folder), "--seeds", "2", "--langs", "en,fr", "-n", "2"], standalone_mode=False
    )

    assert (right.return_value, right.output.partition(", Linux")[0]) == (0, "+ unit: 2 questions, 2 seeds")
    assert wrong.return_value == 1
    assert [line[:16] for line in wrong.output.splitlines()] == [
        "x unit: seed 0: ",
        "x unit: seed 1: ",
        "x unit: seed 2: ",
    ]
