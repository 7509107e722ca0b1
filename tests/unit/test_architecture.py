"""docs/explanation/architecture.md lists the parts of the package, and strings that name code name code that exists."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path

import handshake_lab
import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = Path(handshake_lab.__file__).parent
PAGE = (REPOSITORY / "docs" / "explanation" / "architecture.md").read_text("utf-8")
CONTRACTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
PARTS = re.findall(r"^\| `([\w.]+)/?` \|", PAGE, re.MULTILINE)
#: Words in backticks that look like paths.
PATHS = sorted(set(re.findall(r"`([\w./]+(?:/|\.(?:py|toml)))`", PAGE)))
#: "handshake_lab.module:function", as plans, jobs and the face write it.
NAMES = sorted(
    {
        name
        for file in PACKAGE.rglob("*.py")
        for name in re.findall(r"\"(handshake_lab(?:\.\w+)+:\w+)\"", file.read_text("utf-8"))
    }
)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_exists(path: str) -> None:
    """In the package, or in the repository."""
    assert (PACKAGE / path).exists() or (REPOSITORY / path).exists()


def test_layers_are_those_of_the_contract() -> None:
    """The same lines in the same order."""
    assert "```text\n" + "\n".join(CONTRACTS[0]["layers"]) + "\n```" in PAGE


def test_every_part_has_a_row() -> None:
    """The folders and modules of the package, except the topologies, which are a link."""
    found = {file.name for file in PACKAGE.iterdir() if file.is_dir() or file.suffix == ".py"}

    assert {*PARTS, "topologies", "__init__.py", "__pycache__"} == {*found, "__pycache__"}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_a_string_resolves(name: str) -> None:
    """Otherwise a renamed function would only be found missing when a kernel calls it."""
    module, _, attribute = name.partition(":")

    assert hasattr(import_module(module), attribute)
