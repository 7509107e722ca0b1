"""Pages that a reader follows from top to bottom: each is run in one empty directory, and prints what it shows.

A block with a title is a file; the lines of a block of bash are commands that have to succeed; a console block is
commands with what they print, where "…" stands for anything.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import shell
from fresh_ladders import kernel
from page_blocks import blocks, is_session

if TYPE_CHECKING:
    import subprocess

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [
    page for page in sorted(DOCS.rglob("*.md")) if ".ko" not in page.suffixes and is_session(page.read_text("utf-8"))
]
#: Not run: they build or remove kernels, or change the machine.
NOT_HERE = re.compile(r"^(sudo|pip|handshake kernel (build|export|import|wheel|remove))\b|--kernel ")


#: Sessions of pytest leave nothing beside the tests, and keep their order.
_PYTEST = {"PYTEST_ADDOPTS": "-p no:cacheprovider -p no:randomly"}

_printed: dict[str, subprocess.CompletedProcess[str]] = {}


def run(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command, unless it is one that depends on nothing, leaves nothing, and was run before."""
    if not re.match("handshake demo", command) or re.search("--(out|html)|>", command):
        return shell(command, cwd, _PYTEST)
    if command not in _printed:
        _printed[command] = shell(command, cwd, _PYTEST)
    return _printed[command]


def commands(text: str) -> list[str]:
    """The commands of a block of bash."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def dialogue(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that it prints."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2].splitlines()) for part in parts]


def missing(shown: list[str], printed: str) -> list[str]:
    """The shown lines that were not printed, in this order."""
    lines = iter(printed.splitlines())
    patterns = [".*".join(map(re.escape, line.rstrip().split("…"))) for line in shown if line.strip(" …")]
    return [pattern for pattern in patterns if not any(re.fullmatch(pattern, line.rstrip()) for line in lines)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    """Each command in the directory that the earlier ones have left."""
    cwd = tmp_path / "work"
    cwd.mkdir()
    release = kernel().info.release
    for language, title, text in blocks(page.read_text("utf-8")):
        if title:
            (cwd / title).write_text(text, "utf-8")
        elif language == "bash":
            for command in commands(text):
                if NOT_HERE.search(command) or (command.startswith("jq ") and shutil.which("jq") is None):
                    continue
                done = run(command, cwd)
                assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr)
        elif language == "console":
            for command, shown in dialogue(text):
                if NOT_HERE.search(command):
                    continue
                done = run(command, cwd)
                assert "Traceback" not in done.stderr, done.stderr
                if not (shows := re.search(r"Linux ([\d.]+) \(lab\)", text)) or shows[1] == release:
                    assert missing(shown, done.stdout) == [], (command, done.stdout, done.stderr)


def test_there_are_sessions() -> None:
    """The collection finds them."""
    assert {"start", "tutorial", "look-inside"} <= {page.stem for page in PAGES}
    assert missing(["a", "…", "c d … f"], "a\nb\nc d e f\n") == []
    assert missing(["b", "a"], "a\nb\n") == ["a"]
