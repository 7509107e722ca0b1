"""Write the golden ladders anew: ``python tests/golden/write.py``. Read the difference before committing it."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from report_records import ALL  # noqa: E402 - the path is set above

from harness.report.ladder import text  # noqa: E402
from harness.timeline.verdict import judge  # noqa: E402

if __name__ == "__main__":
    for name, story in ALL.items():
        for lang in ("en", "ko"):
            drawn = text(story(), width=80, lang=lang, judgement=judge(story()))
            (HERE / f"{name}.{lang}.txt").write_text(drawn, "utf-8")
