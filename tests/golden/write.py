"""Renew the golden ladders: ``python tests/golden/write.py``. Read the difference before committing it.

With ``--fresh``, renew those of the installed lab kernel instead, with a run for each of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from fresh_ladders import FAULTS, fresh, kernel, ladder_of  # noqa: E402 - the path is set above
from handshake_lab.report.terminal.ladder import text  # noqa: E402
from handshake_lab.verdict.judge import judge  # noqa: E402
from report_records import ALL  # noqa: E402


def write_made_up() -> None:
    """The ladders of synthetic runs."""
    for name, story in ALL.items():
        for lang in ("en", "ko"):
            drawn = text(story(), width=80, lang=lang, verdict=judge(story()))
            (HERE / f"{name}.{lang}.txt").write_text(drawn, "utf-8")


def write_fresh() -> None:
    """The ladders of runs on the lab kernel."""
    lab = kernel()
    directory = HERE / f"lab-{lab.info.release}"
    directory.mkdir(exist_ok=True)
    for name in FAULTS:
        (directory / f"{name}.txt").write_text(ladder_of(fresh(name, lab)), "utf-8")


if __name__ == "__main__":
    if "--fresh" in sys.argv[1:]:
        write_fresh()
    else:
        write_made_up()
