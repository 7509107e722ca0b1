"""The pictures for slides: every experiment that students see has them, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from handshake_lab.courses.new_unit import new_unit
from handshake_lab.courses.pictures import write_pictures
from handshake_lab.courses.unit import load_unit

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.courses.experiments import Laboratory

#: A further experiment with two connections and much data, and one that is not shown.
MORE = """
[experiments.much]
links = []
steps = '''
h2 listen 80
h1 connect h2:80
h2 accept
h1.second connect h2:80
h2.second accept
h1 send 30000
h2 read 30000
'''

[experiments.secret]
shown = false
steps = "h2 listen 80"

[[questions]]"""


@pytest.mark.parametrize(("lang", "word"), [("en", "close()"), ("ko", "클라이언트")])
def test_pictures(tmp_path: Path, laboratory: Laboratory, lang: str, word: str) -> None:
    """A ladder of each connection, the diagram, and curves of much data; each is a well-formed SVG file."""
    folder = new_unit(tmp_path / "unit").folder
    text = (folder / "unit.toml").read_text("utf-8")
    (folder / "unit.toml").write_text(text.replace("\n[[questions]]", MORE, 1), "utf-8")
    files = list(write_pictures(load_unit(folder), 1, lang, laboratory, tmp_path / "slides"))
    laboratory.forget()

    assert [file.name for file in files] == [
        *("plain.svg", "plain-states.svg", "lost-syn.svg", "lost-syn-states.svg"),
        *("much-1.svg", "much-2.svg", "much-states.svg", "much-sequence.svg", "much-cwnd.svg"),
    ]
    assert {file.parent for file in files} == {tmp_path / "slides" / "unit"}
    assert all(ET.fromstring(file.read_text("utf-8")).tag.endswith("svg") for file in files)  # noqa: S314 -- made here
    assert word in files[0].read_text("utf-8")
