"""The pictures for slides: every experiment that students see has them, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import Mock
from xml.etree import ElementTree as ET

import pytest
from handshake_lab.courses import pictures
from handshake_lab.courses.new_unit import new_unit
from handshake_lab.courses.pictures import write_pictures
from handshake_lab.courses.unit import load_unit
from handshake_lab.errors import UsageError
from handshake_lab.report.text.translations import LANGUAGES

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.courses.experiments import Laboratory

#: A further experiment with two connections and much data, one without TCP, and one that is not shown.
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

[experiments.silent]
links = []
steps = "h2 udp 9000"

[experiments.secret]
shown = false
steps = "h2 listen 80"

[[questions]]"""


def test_pictures(tmp_path: Path, laboratory: Laboratory) -> None:
    """A ladder of each connection, the diagram, and curves of much data; each is a well-formed SVG file."""
    folder = new_unit(tmp_path / "unit").folder
    text = (folder / "unit.toml").read_text("utf-8")
    (folder / "unit.toml").write_text(text.replace("\n[[questions]]", MORE, 1), "utf-8")
    unit = load_unit(folder)
    printed: list[str] = []
    files = {
        lang: list(write_pictures(unit, 1, lang, laboratory, tmp_path / lang, printed.append)) for lang in LANGUAGES
    }
    laboratory.forget()

    assert printed == ["silent: no pictures: there is no TCP connection", "silent: TCP 연결이 없어 그림이 없음"]

    for lang, word in {"en": "client", "ko": "클라이언트"}.items():
        assert [str(file.relative_to(tmp_path / lang)) for file in files[lang]] == [
            *("unit/plain.svg", "unit/plain-states.svg", "unit/lost-syn.svg", "unit/lost-syn-states.svg"),
            *("unit/much-1.svg", "unit/much-2.svg", "unit/much-states.svg"),
            *("unit/much-sequence.svg", "unit/much-cwnd.svg"),
        ]
        texts = [file.read_text("utf-8") for file in files[lang]]
        assert all(ET.fromstring(text).tag.endswith("svg") for text in texts)  # noqa: S314 -- made here
        assert word in texts[0]


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, laboratory: Laboratory
) -> None:
    """The message names it; an error of a run is not one of the folder."""
    unit = new_unit(tmp_path / "unit")
    (tmp_path / "afile").touch()

    with pytest.raises(UsageError, match="cannot be written"):
        list(write_pictures(unit, 1, "en", laboratory, tmp_path / "afile"))
    monkeypatch.setattr(laboratory, "run", Mock(side_effect=OSError("no memory")))
    with pytest.raises(OSError, match="no memory"):
        list(write_pictures(unit, 1, "en", laboratory, tmp_path / "out"))


def test_connections_that_are_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted."""
    monkeypatch.setattr(pictures, "connections", lambda _: [Mock(segments=[1])] * 8)

    assert pictures._omitted(Mock(), "en") == "ladders of the first 6 of 8 connections"
