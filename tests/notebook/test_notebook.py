"""The notebook view: the page about it, executed as a notebook in Jupyter's kernel; its pictures; its errors."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from page_blocks import blocks

pytest.importorskip("IPython", reason="ipython is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "notebooks.md"
WRONG = "%handshake course check server-states --folder 01-three-way-handshake"
MISSING = "%handshake show no-such-run"
_PICTURE = re.compile(r'<img alt="[^"]+" src="data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)" />')


@dataclass
class Executed:
    """A notebook that was executed: by the beginnings of cells, their outputs, and whether they succeeded."""

    outputs: dict[str, list[Any]] = field(default_factory=dict)
    succeeded: dict[str, bool] = field(default_factory=dict)

    def of(self, beginning: str) -> list[Any]:
        """The outputs of the first cell that begins with a text."""
        return next(found for source, found in self.outputs.items() if source.startswith(beginning))


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """The page's cells, and some more."""
    cells = [block.text for block in blocks(PAGE.read_text("utf-8")) if block.language == "ipython"]
    cells += [WRONG, MISSING]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
    found = Executed()

    def done(cell: Any, cell_index: int, execute_reply: Any) -> None:
        del cell_index
        found.outputs[cell.source] = cell.outputs
        found.succeeded[cell.source] = execute_reply["content"]["status"] == "ok"

    place = {"metadata": {"path": tmp_path_factory.mktemp("notebook")}}
    nbclient.NotebookClient(notebook, timeout=100, allow_errors=True, resources=place, on_cell_executed=done).execute()
    return found


def pictures(found: list[Any]) -> Iterator[str]:
    """The ladders of a cell, as SVG that is well formed."""
    for output in found:
        for encoded in _PICTURE.findall(output.get("data", {}).get("text/html", "")):
            picture = base64.b64decode(encoded).decode()
            assert ET.fromstring(picture).tag.endswith("svg")  # noqa: S314 -- made here
            yield picture


def printed(found: list[Any]) -> str:
    """What a cell printed."""
    return "".join(output.get("text", "") for output in found)


def test_the_page(executed: Executed) -> None:
    """Each cell of it succeeds; a run that is missing ends the notebook."""
    assert [source for source, ok in executed.succeeded.items() if not ok] == [MISSING]
    assert "no-such-run" in printed(executed.of(MISSING))


def test_ladders_are_pictures(executed: Executed) -> None:
    """Of a command, of a run from Python, and of each experiment of a unit."""
    (demo,) = pictures(executed.of('%handshake demo --fault "drop SYN-ACK'))
    recorded = executed.of("import handshake_lab")
    (run,) = pictures(recorded)

    assert all("SYN-ACK" in picture and "TIME-WAIT" in picture for picture in (demo, run))
    assert "SYN-RECEIVED" in recorded[-1]["data"]["text/plain"]
    assert len(list(pictures(executed.of("%handshake course predict")))) == 3


def test_plain_is_text(executed: Executed) -> None:
    """A ladder as in a file."""
    found = executed.of("%handshake show my-run --plain")

    assert list(pictures(found)) == []
    assert "TIME-WAIT" in printed(found)


def test_a_finding_does_not_end_the_notebook(executed: Executed) -> None:
    """Such as an answer that is wrong: it is printed, and the next cell follows."""
    assert executed.succeeded[WRONG]
    assert printed(executed.of(WRONG)) == "x server-states: not answered\n"
