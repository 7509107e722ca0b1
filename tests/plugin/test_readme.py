"""The examples in the README work as they are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plugin.conftest import Project

ROOT = Path(__file__).resolve().parents[2]


def examples(name: str) -> list[str]:
    """The Python code of a README, in order."""
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_test_passes(project: Project, name: str) -> None:
    """The first example is a test for pytest."""
    (project.path / "test_readme.py").write_text(examples(name)[0], "utf-8")

    project.run_apart().assert_outcomes(passed=1)


def test_the_script_runs(tmp_path: Path) -> None:
    """The second example is a script; it draws the ladder and reads the kept run."""
    script = examples("README.md")[1]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )

    assert done.returncode == 0, done.stderr
    assert "SYN-ACK" in done.stdout
    assert (tmp_path / "my-run" / "events.jsonl").exists()
