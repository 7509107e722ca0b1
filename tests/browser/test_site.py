"""The site of the documentation, opened from a disk: its search answers questions, its languages lead to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from built_site import QUESTIONS, built

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

#: Of the pages that the search lists, the answer is one of this number.
LISTED = 5


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    return built(tmp_path_factory)


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """A tab that loads files only."""
    context = browser.new_context()
    page = context.new_page()
    elsewhere: list[str] = []
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else elsewhere.append(request.url)
    )
    yield page
    context.close()
    assert elsewhere == []


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["asked"])
def test_the_search_leads_to_the_answer(site: Path, tab: Page, question: dict[str, str]) -> None:
    """A reader types a few words, and the page with the answer is among the first results."""
    tab.goto((site / "index.html").as_uri())
    tab.fill("input.md-search__input", question["words"])
    results = tab.locator(".md-search-result__item > a.md-search-result__link")
    results.first.wait_for()
    found = [str(each.get_attribute("href")).partition("#")[0].partition("?")[0] for each in results.all()[:LISTED]]

    assert [address for address in found if address.endswith(question["section"].partition("#")[0])], found


def test_korean_words_are_found(site: Path, tab: Page) -> None:
    """In the pages of that language."""
    tab.goto((site / "ko" / "index.html").as_uri())
    tab.fill("input.md-search__input", "재전송")
    first = tab.locator(".md-search-result__item > a.md-search-result__link").first
    first.wait_for()

    assert "/ko/" in str(first.get_attribute("href"))


@pytest.mark.parametrize("page", ["index", "how-to/faults", "how-to/links"])
def test_languages_lead_to_each_other(site: Path, tab: Page, page: str) -> None:
    """The menu leads to the same page in the other language."""
    tab.goto((site / f"{page}.html").as_uri())
    tab.hover(".md-select")
    tab.click('.md-select__link[hreflang="ko"]')
    tab.wait_for_url(f"**/ko/{page}.html")

    assert tab.locator("html").get_attribute("lang") == "ko"


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(site: Path, browser: Browser, width: int) -> None:
    """Wide blocks and tables scroll by themselves."""
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri(), wait_until="commit")
        page.wait_for_selector("article")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()
