"""A browser for these tests, which are collected only if they are requested by name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.recording.observations import Failure
from handshake_lab.report.html.comparison import comparison
from handshake_lab.report.html.index import index, run
from handshake_lab.report.html.page import page
from handshake_lab.tcp.states import State
from handshake_lab.verdict.expected_states import Claim, Covered
from handshake_lab.verdict.judge import Verdict, judge
from msgspec.structs import replace
from report_records import ALL, CLEVER, clever, observed, orphan, transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

HERE = Path(__file__).parent

#: No network access of its own, and no data of the user.
_ARGUMENTS = [
    "--no-sandbox",  # root in a container has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker that every test here has."""
    config.addinivalue_line("markers", "browser: opens pages in a real browser; see tests/browser/README.md")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:  # noqa: ARG001
    """Leave this folder alone unless it, or something in it, was named."""
    asked = any("browser" in Path(str(argument).partition("::")[0]).parts for argument in config.args)
    return None if asked else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium with an empty profile."""
    wanted = os.environ.get("CHROMIUM", "chromium")
    executable = shutil.which(wanted)
    if executable is None:
        pytest.fail(f"no browser: {wanted} is not there. Set up with tests/browser/setup", pytrace=False)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page of every story in both languages, some with everything on them, and an index."""
    out = tmp_path_factory.mktemp("pages")
    claims = [
        Claim("C1", "No data moves before three segments", "holds"),
        Claim("C9", "ISNs are random", "nuance", "x"),
    ]
    coverage = [Covered("1", State.CLOSED, State.LISTEN, 3, "3.10.1"), Covered("5", State.LISTEN, State.SYN_SENT, 0)]
    runs = []
    for name, story in ALL.items():
        record = story()
        for lang in ("en", "ko"):
            html = page(
                record,
                observed(record),
                title=f"test_{name}",
                verdict=judge(record),
                replay=f"handshake test -k {name} --seed 1",
                claims=claims,
                coverage=coverage,
                back="index.html",
                lang=lang,
            )
            (out / f"{name}-{lang}.html").write_text(html, "utf-8")
        runs.append(run(f"test_{name}", "passed", record, href=f"{name}-en.html"))
    long = transfer(2_000)
    for lang in ("en", "ko"):
        html = page(long, observed(orphan())[:1], title="transfer", verdict=judge(long), lang=lang)
        (out / f"transfer-{lang}.html").write_text(html, "utf-8")
    (out / "difference-en.html").write_text(comparison(ALL["normal"](), ALL["lost_syn_ack"](), title="two"), "utf-8")
    failing = orphan()
    expected = (*failing.endpoints[0].states[:-1], State.TIME_WAIT, State.CLOSED)
    verdict = Verdict(ok=False, summary="not as documented", expected={0: expected})
    reported = [
        *observed(failing),
        Failure(0, "h1", "AssertionError: TIME-WAIT never came\n\ntest_it.py:7: assert ..."),
    ]
    (out / "failing-en.html").write_text(page(failing, reported, title="failing", verdict=verdict), "utf-8")
    runs.append(run("test_failing", "failed", failing, href="failing-en.html", summary="not as documented"))
    for number, nasty in enumerate(CLEVER):
        (out / f"clever{number}-en.html").write_text(page(clever(nasty), title=nasty, replay=nasty), "utf-8")
    runs += [replace(runs[0], name=f"test_{number}") for number in range(90)]
    (out / "index.html").write_text(index(runs, title="session", claims=claims, coverage=coverage), "utf-8")
    return out


@pytest.fixture
def visit(browser: Browser, pages: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page by its name. Any message on the console, any error, and any request elsewhere fails the test."""
    contexts = []
    wrong: list[str] = []

    def opened(name: str, *, width: int = 1280, height: int = 900, dark: bool = False, **options: Any) -> Page:
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: wrong.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        tab.on(
            "request", lambda request: None if request.url.startswith(("file:", "data:")) else wrong.append(request.url)
        )
        tab.goto((pages / f"{name}.html").as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
