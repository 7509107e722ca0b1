"""The example project works as its README states, in any directory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin.conftest import Project

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ci-project"


def test_example(project: Project) -> None:
    """Its three tests pass; with the bug two of them fail, and one names the socket that was left in CLOSE-WAIT."""
    shutil.copytree(EXAMPLE, project.path, dirs_exist_ok=True)

    project.run_apart().assert_outcomes(passed=3)
    leaky = project.run_apart("--leaky")

    leaky.assert_outcomes(passed=1, failed=2)
    leaky.stdout.fnmatch_lines(
        [
            "E*TimeoutError: recv() timed out after *",
            "E       AssertionError: assert [[]'10.0.0.2:70*CLOSE-WAIT'[]] == [[]]",
            "*CLOSE-WAIT * until the end *",
            "*did not leave CLOSE-WAIT: its program did not close*",
        ]
    )
    assert (project.path / "handshake-artifacts").is_dir()


def test_example_with_seeds(project: Project) -> None:
    """Its test over a bad network holds for several losses."""
    shutil.copytree(EXAMPLE, project.path, dirs_exist_ok=True)

    project.run_apart("--handshake-seeds=1-3", "-k", "bad_network").assert_outcomes(passed=3, deselected=2)
