# ruff: noqa: INP001 - a script, not part of a package
"""Make the pictures of the documentation from real runs: ``python docs/pictures/make.py``.

It needs this project installed. It runs the scenarios below on the lab kernel, whose runs are the same
every time, and writes their ladders, and the state diagram with the paths they took, beside this file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import read
from handshake_lab.report.html.run_pages import find
from handshake_lab.report.svg.record_svg import diagram_picture, ladder_picture
from handshake_lab.report.text.translations import LANGUAGES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

#: Picture -> the scenario it shows.
PICTURES = {
    "handshake-and-close": "tests/scenarios/test_closing.py::test_normal_close_client_first",
    "lost-syn-ack": "tests/scenarios/test_opening.py::test_synack_lost_1",
    "simultaneous-close": "tests/scenarios/test_closing.py::test_simultaneous_close",
}


def main() -> int:
    """Run the scenarios and write the pictures; 0 where all were written."""
    with tempfile.TemporaryDirectory() as kept:
        tests = [sys.executable, "-m", "pytest", "-q", "--handshake-artifacts", kept, *PICTURES.values()]
        if subprocess.run(tests, cwd=ROOT, check=False).returncode:
            return 1
        for directory in find(Path(kept)):
            picture = next(name for name, test in PICTURES.items() if directory.name.endswith(test.partition("::")[2]))
            record = reconcile(read(directory).observations)
            for lang in LANGUAGES:
                end = "" if lang == "en" else f".{lang}"
                (HERE / f"{picture}{end}.svg").write_text(ladder_picture(record, lang=lang), "utf-8")
                (HERE / f"{picture}-states{end}.svg").write_text(diagram_picture(record, lang=lang), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
