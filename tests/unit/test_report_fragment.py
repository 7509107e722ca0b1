"""A run as a piece of HTML for notebooks: its pictures, its words, and no markup from recorded texts."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree as ET

import pytest
from handshake_lab.report.html.fragment import fragment
from handshake_lab.report.terminal.ladder import DRAWN
from handshake_lab.verdict.judge import judge
from report_records import clever, many, normal, refused

EVIL = '<script>alert(1)</script>"onerror="x'


def pictures(html: str) -> list[str]:
    """The pictures, each well formed."""
    found = [base64.b64decode(each).decode() for each in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)]
    assert all(ET.fromstring(each).tag.endswith("svg") for each in found)  # noqa: S314 -- made here
    return found


@pytest.mark.parametrize(("lang", "words"), [("en", ("client", "RFC 9293")), ("ko", ("클라이언트", "RFC와 일치"))])
def test_a_run(lang: str, words: tuple[str, str]) -> None:
    """Its ladder as a picture, and its verdict in words, in each language."""
    record = normal()
    html = fragment(record, verdict=judge(record), lang=lang)
    (picture,) = pictures(html)

    assert words[0] in picture
    assert words[1] in html
    assert ET.fromstring(html).tag == "div"  # noqa: S314 -- made here


def test_many_connections_are_counted() -> None:
    """As in a terminal, the first ones are drawn; one of them if it is chosen."""
    record = many(DRAWN + 3)

    assert len(pictures(fragment(record))) == DRAWN
    assert "3" in fragment(record).rpartition("</p>")[0].rpartition("<p>")[2]
    assert len(pictures(fragment(record, only=2))) == 1
    assert re.findall(r'alt="([^"]+)"', fragment(record, only=2)) == ["Connection 2"]


def test_failures_are_listed() -> None:
    """What a test reported, too."""
    assert "<p>✗ it is wrong</p>" in fragment(refused(), failures=["it is wrong"])


def test_recorded_text_stays_text() -> None:
    """Neither in the words nor in the pictures can it become markup."""
    html = fragment(clever(EVIL), failures=[EVIL])

    assert "<script" not in html
    assert all("<script" not in picture for picture in pictures(html))
