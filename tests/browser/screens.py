"""Screenshots of recorded runs' pages, to be looked at: python tests/browser/screens.py OUT RUN...

For each run, by the name of its directory: the first screen (1280 by 800), the whole page in English, and dark in
Korean; a phone's first screen; and the page on paper as PDF.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import read
from handshake_lab.report.html.page import page
from handshake_lab.verdict.judge import judge
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser


@dataclass(frozen=True)
class View:
    """A language, the size of the window, whether the whole page is shown, and other properties of the browser."""

    lang: str = "en"
    size: tuple[int, int] = (1280, 800)
    whole: bool = False
    options: dict[str, Any] = field(default_factory=dict)


VIEWS = {
    "first": View(),
    "whole": View(whole=True),
    "dark-ko": View("ko", whole=True, options={"color_scheme": "dark"}),
    "phone-ko": View("ko", (375, 700), options={"has_touch": True, "is_mobile": True, "device_scale_factor": 2}),
}


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's browser, headless."""
    executable = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def photograph(
    browser: Browser, run: Path, picture: Path, view: View, *, title: str, replay: str = "", pdf: Path | None = None
) -> None:
    """Write a screenshot of a run's page, and the page as PDF if that is requested."""
    observations = read(run).observations
    record = reconcile(observations)
    html = page(record, observations, title=title, verdict=judge(record), replay=replay, lang=view.lang)
    width, height = view.size
    context = browser.new_context(viewport={"width": width, "height": height}, **view.options)
    tab = context.new_page()
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as file:
        file.write(html)
        file.flush()
        tab.goto(Path(file.name).as_uri())
        tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        tab.screenshot(path=picture, full_page=view.whole)
        if pdf:
            tab.pdf(path=pdf, format="A4")
    context.close()


def main(out: Path, runs: list[Path]) -> None:
    """Write the screenshots of each run."""
    out.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for run in runs:
            for name, view in VIEWS.items():
                pdf = out / f"{run.name}.pdf" if name == "whole" else None
                photograph(browser, run, out / f"{run.name}-{name}.png", view, title=run.name, pdf=pdf)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2:]])
