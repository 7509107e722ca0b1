"""Screenshots of recorded runs' pages, to be looked at: python tests/browser/screens.py OUT RUN...

For each run, by the name of its directory: the first screen (1280 by 800), the whole page in English, and dark in
Korean; a phone's first screen; and the page on paper as PDF.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import read
from handshake_lab.report.html.page import page
from handshake_lab.verdict.judge import judge
from playwright.sync_api import sync_playwright

#: Name, language, size, whether the whole page, and what else the browser is.
_VIEWS: tuple[tuple[str, str, tuple[int, int], bool, dict[str, Any]], ...] = (
    ("first", "en", (1280, 800), False, {}),
    ("whole", "en", (1280, 800), True, {}),
    ("dark-ko", "ko", (1280, 800), True, {"color_scheme": "dark"}),
    ("phone-ko", "ko", (375, 700), False, {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}),
)


def main(out: Path, runs: list[Path]) -> None:
    """Write the screenshots of each run."""
    out.mkdir(parents=True, exist_ok=True)
    executable = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        for run in runs:
            observations = read(run).observations
            record = reconcile(observations)
            for name, lang, (width, height), whole, options in _VIEWS:
                file = out / f"{run.name}-{lang}.html"
                html = page(record, observations, title=run.name, verdict=judge(record), lang=lang)
                file.write_text(html, "utf-8")
                context = browser.new_context(viewport={"width": width, "height": height}, **options)
                tab = context.new_page()
                tab.goto(file.resolve().as_uri())
                tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
                tab.screenshot(path=out / f"{run.name}-{name}.png", full_page=whole)
                if name == "whole":
                    tab.pdf(path=out / f"{run.name}.pdf", format="A4")
                context.close()
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2:]])
