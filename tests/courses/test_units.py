"""Every unit of the package: each key is computed from a run, judged right, and a wrong answer is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.courses.new_unit import new_unit
from handshake_lab.courses.proof import prove
from handshake_lab.courses.unit import SHIPPED, load_unit

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.courses.experiments import Laboratory


@pytest.mark.parametrize("name", sorted(path.name for path in SHIPPED.iterdir()))
def test_unit(name: str, laboratory: Laboratory) -> None:
    """For one student; `handshake course test --seeds 20` does it for more."""
    assert list(prove(load_unit(SHIPPED / name), range(1, 2), laboratory)) == []


def test_a_new_unit(tmp_path: Path, laboratory: Laboratory) -> None:
    """It is right as it is made."""
    assert list(prove(new_unit(tmp_path / "unit"), range(1, 2), laboratory)) == []


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
