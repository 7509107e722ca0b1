"""How long the grading of a class takes, and whether each verdict is right.

    python benchmarks/grading.py                three students for each unit: right, wrong, edited
    python benchmarks/grading.py --units 4 7 11

Besides these there are hand-ins of other versions, kernels and courses, hostile and damaged files, and missing
students. Making the hand-ins is not measured. Required of all units: 40 hand-ins in under 2 minutes on two processors.
"""

# ruff: noqa: INP001, T201 -- a script, which prints
from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from handshake_lab.courses import handing_in
from handshake_lab.courses.experiments import Laboratory
from handshake_lab.courses.grading import grade
from handshake_lab.courses.handing_in import ENDING
from handshake_lab.courses.numbers import seed_of
from handshake_lab.courses.unit import find_unit, units

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from hand_ins import COURSE, STRANGE, work_of

if TYPE_CHECKING:
    from handshake_lab.courses.unit import Unit
    from handshake_lab.courses.work import Work

#: Of all units: seconds that are allowed, and hand-ins that there are at least.
LIMIT, LEAST = 120.0, 40
MISSING = ("absent-1", "absent-2", "absent-3")


def hand_ins(folder: Path, wanted: list[Unit]) -> dict[str, tuple[str, str]]:
    """Write the hand-ins of a class.

    Returns:
        For each file the status and the points that it must get: "all", "none", or "" where they are not judged.
    """
    laboratory = Laboratory("lab")
    expected: dict[str, tuple[str, str]] = {}

    def hand_in(name: str, work: Work, status: str, points: str = "") -> None:
        handing_in.write(folder / f"{name}{ENDING}", work)
        expected[f"{name}{ENDING}"] = (status, points)

    for unit in wanted:
        right = work_of(unit, f"right-{unit.name}", laboratory)
        hand_in(right.student, right, "graded", "all")
        wrong = work_of(unit, f"wrong-{unit.name}", laboratory, right=False)
        hand_in(wrong.student, wrong, "graded", "none")
        # The last run is the one that was edited: all of them have to be repeated to find it.
        last = list(unit.file.experiments)[-1]
        edited = work_of(unit, f"edited-{unit.name}", laboratory)
        hand_in(edited.student, msgspec.structs.replace(edited, runs={**edited.runs, last: "0" * 64}), "edited")
    changes = {
        "version": {"student": "version", "version": 99},
        "kernel": {"student": "kernel", "seed": seed_of("kernel", COURSE), "release": "6.1.0"},
        "seed": {"student": "thief"},
        "unknown": {"student": "unknown", "unit": "no-such-unit"},
    }
    for status, change in changes.items():
        hand_in(status, msgspec.structs.replace(right, **change), status)
    for name, (status, make) in STRANGE.items():
        make(folder / f"{name}.zip")
        expected[f"{name}.zip"] = (status, "")
    return expected


def main() -> int:
    """Make the hand-ins, grade them, and compare; 0 where all is right and quick enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", nargs="*", default=[], help="units; by default all of the package")
    parser.add_argument("--workers", type=int, default=2, help="processes that grade")
    arguments = parser.parse_args()
    wanted = [find_unit(name) for name in arguments.units] or units()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        expected = hand_ins(folder, wanted)
        began = time.perf_counter()
        results = list(grade(folder, "lab", course=COURSE, roster=MISSING, workers=arguments.workers))
        took = time.perf_counter() - began
    wrong = [f"{file}: not graded" for file in expected.keys() - {result.file for result in results}]
    for result in results:
        status, points = expected.get(result.file, ("missing", ""))
        right_points = {"all": result.points, "none": 0.0, "": 0.0}[points]
        if result.status != status or result.score != right_points:
            wrong.append(f"{result.file or result.student}: {result.status}, {result.score} of {result.points}")
    print(f"{len(results)} hand-ins of {len(wanted)} units in {took:.1f} s; wrong verdicts: {len(wrong)}")
    if not arguments.units:
        if took > LIMIT:
            wrong.append(f"more than {LIMIT:g} s")
        if len(results) < LEAST:
            wrong.append(f"fewer than {LEAST} hand-ins")
    for line in wrong:
        print(line)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
