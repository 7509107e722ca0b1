"""The site of the documentation: it builds without a warning, its languages show the same, its tables are complete."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING

import handshake_lab
import pytest
from built_site import QUESTIONS, ROOT, built
from handshake_lab.checkout.site import build_site
from handshake_lab.cli import main
from handshake_lab.errors import UsageError
from handshake_lab.plan.link import EXAMPLES
from handshake_lab.pytest_plugin.options.command_line import OPTIONS
from handshake_lab.recording import observations
from page_blocks import blocks

if TYPE_CHECKING:
    from pathlib import Path

PAGES = sorted((ROOT / "docs").rglob("*.md"))
TRANSLATED = [page for page in PAGES if ".ko" in page.suffixes and page.stem != "claims.ko"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    return built(tmp_path_factory)


def test_every_page_is_built_in_both_languages(site: Path) -> None:
    """In English where there is no translation."""
    for page in PAGES:
        if ".ko" in page.suffixes:
            continue
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert (site / name).exists()
        assert '<html lang="ko"' in (site / "ko" / name).read_text("utf-8")


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """No fonts, scripts, styles or pictures of another server."""
    loaded = re.compile(r"<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)=\"?(?:https?:)?//[^\s\">]+")
    for page in site.rglob("*.html"):
        assert [each for each in loaded.findall(page.read_text("utf-8")) if "canonical" not in each] == [], page


def test_the_generated_pages_are_complete(site: Path) -> None:
    """Every verb, every public name, every type of observation."""
    commands, names, events = (
        (site / "reference" / f"{name}.html").read_text("utf-8") for name in ("commands", "docstrings", "events")
    )

    assert [verb for verb in main.VERBS if f'id="handshake-{verb}"' not in commands] == []
    assert [name for name in handshake_lab.__all__ if not re.search(rf"<h3[^>]*>[^§]*\b{name}\b", names)] == []
    tags = [kind.__struct_config__.tag for kind in vars(observations).values() if hasattr(kind, "__struct_config__")]
    assert [tag for tag in tags if str(tag).islower() and f"<code>{tag}</code>" not in events] == []
    assert "nanoseconds until that timer is due" in events


def test_the_search_has_every_page(site: Path) -> None:
    """Its index is one file, which the pages read without a server."""
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}

    assert {"tutorial.html", "how-to/faults.html", "reference/commands.html"} <= found


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["asked"])
def test_a_question_is_answered(site: Path, question: dict[str, str]) -> None:
    """The section is there, says it, and is in the index of the search."""
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))["docs"]
    page, _, section = question["section"].partition("#")
    text = "".join(
        entry["text"]
        for entry in index
        if entry["location"].partition("#")[0] == page
        and (section in entry["location"] or (entry["location"] == page and section == _first(site / page)))
    )

    assert question["answer"] in html.unescape(re.sub("<[^>]+>", "", text))
    assert f'id="{section}"' in (site / page).read_text("utf-8")


def _first(page: Path) -> str:
    found = re.search(r'<h1 id="([^"]+)"', page.read_text("utf-8"))
    return found[1] if found else ""


def test_an_unrelated_directory_is_not_emptied(tmp_path: Path) -> None:
    """MkDocs removes what is in the directory that it writes to."""
    (tmp_path / "thesis.tex").write_text("\\documentclass{book}")

    with pytest.raises(UsageError, match="contains something else"):
        build_site(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def comparable(page: Path) -> list[tuple[str, str, str]]:
    """The blocks of a page that are the same in every language: commands, programs, what they print."""
    without_texts = [
        (language, title, re.sub(r'""".*?"""|  # .*', "", text, flags=re.DOTALL if '"""' in text else 0))
        for language, title, text in blocks(page.read_text("utf-8"))
        if language in ("bash", "sh", "console", "python", "text", "yaml", "dockerfile")
    ]
    return [(language, title, re.sub(r" +# .*", "", text)) for language, title, text in without_texts]


def headings(page: Path) -> list[int]:
    """The levels of its headings, in order."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.stem)
def test_a_translation_shows_the_same(page: Path) -> None:
    """The same blocks, and the same sections."""
    english = page.with_name(page.name.replace(".ko.md", ".md"))

    assert comparable(page) == comparable(english)
    assert headings(page) == headings(english)


def test_every_property_of_a_link_has_a_row() -> None:
    """With the example that the messages show."""
    page = (ROOT / "docs" / "how-to" / "links.md").read_text("utf-8")

    for name, example in EXAMPLES.items():
        last = example.rpartition(",")[2]
        assert f"| `{last if last.startswith(name) else example}` |" in page


def test_every_option_of_the_plugin_on_a_page_exists() -> None:
    """As it is typed."""
    flags = {option.flag for option in OPTIONS}
    named = {
        (flag, page.name)
        for page in [ROOT / "README.md", ROOT / "README.ko.md", *PAGES]
        for flag in re.findall(r"--handshake-[a-z-]*[a-z]", page.read_text("utf-8"))
    }

    assert named
    assert [each for each in named if each[0] not in flags] == []
