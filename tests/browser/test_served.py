"""Sessions of the shell in the pages of handshake serve: by clicks, and by keyboard alone, in both languages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.cli.replayed import replayed
from handshake_lab.recording.run_files import EVENTS
from playwright.sync_api import expect
from recordings import RUNS
from served import Served, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

AXE = Path(__file__).parent / ".axe" / "package" / "axe.min.js"
_TABS = 80


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A folder with one run, served with a lab."""
    (tmp_path / "recorded").mkdir()
    shutil.copyfile(RUNS / "normal.jsonl", tmp_path / "recorded" / EVENTS)
    with serving(tmp_path, kernel="lab", replayed=replayed) as found:
        yield found


@contextmanager
def visited(browser: Browser, served: Served, lang: str, **options: Any) -> Iterator[Page]:
    """The index; a message on the console, an error, or a request elsewhere fails the test."""
    context = browser.new_context(viewport={"width": 1360, "height": 900}, **options)
    wrong: list[str] = []
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.on("console", lambda message: wrong.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    tab.on(
        "request",
        lambda request: None if request.url.startswith((served.origin, "data:")) else wrong.append(request.url),
    )
    tab.goto(f"{served.address}{lang}/")
    yield tab
    context.close()
    assert wrong == []


def by_click(tab: Page, wanted: str) -> None:
    """Use an element with the mouse."""
    tab.locator(wanted).first.click()


def by_key(tab: Page, wanted: str) -> None:
    """Use an element with the keyboard: Tab to it, then Enter."""
    key = "Tab"
    for _ in range(_TABS):
        if tab.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            tab.keyboard.press("Enter")
            return
        tab.keyboard.press(key)
    pytest.fail(f"{wanted} cannot be reached with Tab")


def segment_by_click(tab: Page, number: int) -> None:
    """Choose a segment in the ladder."""
    tab.locator(f"svg.wide .segment[data-ref=p{number}] .hit").first.click()


def segment_by_key(tab: Page, number: int) -> None:
    """Tab to the ladder, then the arrow keys."""
    for _ in range(_TABS):
        if tab.evaluate("document.activeElement.matches('svg [data-at]')"):
            break
        tab.keyboard.press("Tab")
    for _ in range(_TABS):
        if tab.evaluate("document.activeElement.dataset.ref") == f"p{number}":
            return
        tab.keyboard.press("ArrowDown")
    pytest.fail(f"#{number} cannot be reached with the arrow keys")


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize(("use", "choose"), [(by_click, segment_by_click), (by_key, segment_by_key)])
def test_a_lost_syn_ack_and_the_same_one_delivered(
    browser: Browser,
    served: Served,
    tmp_path: Path,
    lang: str,
    use: Callable[[Page, str], None],
    choose: Callable[[Page, int], None],
) -> None:
    """Open a connection step by step, drop the SYN-ACK, look, go back, deliver it, compare, save; the test passes."""
    with visited(browser, served, lang) as tab:
        standing = tab.locator(".standing")
        use(tab, "#start button")
        expect(standing).to_be_visible()
        use(tab, "form.ask fieldset button")
        expect(standing).to_contain_text("#1 SYN")
        use(tab, "[data-command=step]")
        expect(standing).to_contain_text("#2 SYN-ACK")
        expect(tab.locator("svg.wide .under-way")).to_have_count(1)
        use(tab, "[data-command=drop]")
        expect(tab.locator("svg.wide .lost")).to_have_count(1)
        use(tab, "[data-command=run]")
        expect(standing).to_contain_text("1.0")
        choose(tab, 2)
        expect(tab.locator("#panel h2")).to_contain_text("#2 SYN-ACK")
        use(tab, ".fates [data-fate=deliver]")
        expect(tab.locator(".futures section")).to_have_count(2)
        expect(tab.locator(".futures section:first-child svg.narrow .lost")).to_have_count(1)
        expect(tab.locator(".futures .second svg.narrow .lost")).to_have_count(0)
        expect(tab.locator("#first")).to_be_visible()
        assert tab.locator("table:has(td:text-is('ESTABLISHED'))").count()
        tab.screenshot(path=tmp_path / "futures.png", full_page=True)
        use(tab, "form[data-fill^=save] button")
        expect(tab.locator("#log")).to_contain_text("pytest test_session.py")
        use(tab, "[data-command=exit]")
        expect(tab.locator("#start")).to_be_visible()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_session.py"]
    passed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert passed.returncode == 0, passed.stdout


def test_a_page_changes_while_its_run_is_made(browser: Browser, served: Served, tmp_path: Path) -> None:
    """A run appears in the index, and its ladder grows, without a reload by the reader."""
    lines = (RUNS / "normal.jsonl").read_bytes().splitlines(keepends=True)
    with visited(browser, served, "en") as tab:
        tab.fill("#start [name=links]", "delay=77ms")
        (tmp_path / "grows").mkdir()
        file = tmp_path / "grows" / EVENTS
        file.write_bytes(b"".join(lines[: len(lines) // 2]))
        tab.get_by_role("link", name="grows").click()
        before = tab.locator("svg.wide .segment").count()
        with file.open("ab") as opened:
            opened.write(b"".join(lines[len(lines) // 2 :]))
        expect(tab.locator("svg.wide .segment")).not_to_have_count(before)
        tab.go_back()
        expect(tab.locator("#runs tbody tr")).to_have_count(2)


def test_what_is_typed_stays(browser: Browser, served: Served, tmp_path: Path) -> None:
    """In a form of the index, when a run appears."""
    with visited(browser, served, "ko") as tab:
        tab.fill("#start [name=links]", "delay=77ms")
        (tmp_path / "new").mkdir()
        shutil.copyfile(RUNS / "normal.jsonl", tmp_path / "new" / EVENTS)
        expect(tab.locator("#runs tbody tr")).to_have_count(2)
        assert tab.input_value("#start [name=links]") == "delay=77ms"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_barrier_in_a_session(browser: Browser, served: Served, scheme: Any) -> None:
    """Nor in the index."""
    if not AXE.exists():
        pytest.fail("axe-core is not there. Set up with tests/browser/setup", pytrace=False)
    with visited(browser, served, "ko", bypass_csp=True, color_scheme=scheme) as tab:
        for wanted in ("#start button", "form.ask fieldset button"):
            tab.evaluate(AXE.read_text("utf-8"))
            assert serious(tab) == []
            by_click(tab, wanted)
            expect(tab.locator("body:not(.busy) .standing")).to_be_visible()
        expect(tab.locator(".standing")).to_contain_text("#1 SYN")
        segment_by_click(tab, 1)
        assert serious(tab) == []


def serious(tab: Page) -> list[object]:
    """axe-core's serious and critical findings."""
    return [
        (finding["id"], finding["nodes"][0]["html"][:200], finding["nodes"][0]["failureSummary"])
        for finding in tab.evaluate("axe.run()")["violations"]
        if finding["impact"] in ("serious", "critical")
    ]
