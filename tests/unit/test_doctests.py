"""Examples in docstrings and in documents are run, or, where they are parts of something, compiled."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "harness" / "handshake_lab"
DOCUMENTS = [ROOT / "README.md", ROOT / "README.ko.md", *sorted((ROOT / "docs").rglob("*.md"))]


def modules_with_examples() -> list[str]:
    """The names of all modules with ``>>>`` in them."""
    files = (file for file in sorted(PACKAGE.rglob("*.py")) if ">>> " in file.read_text("utf-8"))
    return [
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__") for file in files
    ]


def python_blocks() -> list[tuple[str, str]]:
    """The blocks of Python in the documents: a name for each, and its text."""
    found = []
    for document in DOCUMENTS:
        blocks = re.findall(r"```python\n(.*?)```", document.read_text("utf-8"), re.DOTALL)
        stem, _, language = document.stem.partition(".")
        found += [(f"{stem}-{number}{language and f'-{language}'}", block) for number, block in enumerate(blocks, 1)]
    return found


def test_modules_have_examples() -> None:
    """Otherwise the next test would be about nothing."""
    assert "handshake_lab.plan.fault" in modules_with_examples()


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_in_docstrings(name: str) -> None:
    """What they print is what they say; those that need a kernel are marked with +SKIP."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("block", [pytest.param(text, id=name) for name, text in python_blocks()])
def test_blocks_of_python_compile(block: str) -> None:
    """A part of a file may refer to what is not in it."""
    compile(block, "a document", "exec")


def test_whole_test_files_in_documents_pass(tmp_path: Path) -> None:
    """A block with tests and imports is a test file, as a reader would copy it; tests/plugin runs those of the READMEs.

    Pages in Korean have the same blocks (test_pages.py), pages with titled files are run as a whole (test_sessions.py).
    """
    files = [
        (name, block)
        for name, block in python_blocks()
        if "def test_" in block and re.search("^(import|from) ", block, re.MULTILINE)
        if "README" not in name and not name.endswith("-ko")
    ]
    for name, block in files:
        (tmp_path / f"test_{name.replace('-', '_')}.py").write_text(block)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert len(files) >= 9
    assert done.returncode == 0, done.stdout
