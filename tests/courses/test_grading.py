"""A class: forty hand-ins, right, wrong, edited, of other versions, hostile and missing; each verdict is right."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hand_ins import COURSE, STRANGE, work_of
from handshake_lab.courses import handing_in
from handshake_lab.courses.folder import ANSWERS, PREDICTIONS, Folder
from handshake_lab.courses.grade_reports import as_csv, class_report, gradescope, junit, write_reports
from handshake_lab.courses.grading import grade
from handshake_lab.courses.handing_in import ENDING
from handshake_lab.courses.keys import key_of
from handshake_lab.courses.new_unit import new_unit
from handshake_lab.courses.numbers import seed_of
from handshake_lab.courses.proof import model_answer
from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.grading import Result
    from handshake_lab.courses.unit import Unit
    from handshake_lab.courses.work import Work

MISSING = [f"missing-{n}" for n in range(4)]


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Unit:
    """A small unit of one's own."""
    return new_unit(tmp_path_factory.mktemp("units") / "small")


@pytest.fixture(scope="module")
def graded(
    tmp_path_factory: pytest.TempPathFactory, unit: Unit, laboratory: Laboratory
) -> tuple[dict[str, Result], list[Result]]:
    """All results, also by the names of files."""
    folder = tmp_path_factory.mktemp("hand-ins")

    def hand_in(name: str, work: Work, **changes: object) -> None:
        handing_in.write(folder / f"{name}{ENDING}", msgspec.structs.replace(work, **changes))

    works = {f"right-{n}": work_of(unit, f"right-{n}", laboratory) for n in range(4)}
    works |= {f"wrong-{n}": work_of(unit, f"wrong-{n}", laboratory, right=False) for n in range(4)}
    for name, work in works.items():
        hand_in(name, work)
    one = works["right-0"]
    digests = dict.fromkeys(one.runs, "0" * 64)
    last = {**one.runs, "lost-syn": digests["lost-syn"]}
    hand_in("edited-run", work_of(unit, "e1", laboratory), runs=last)
    hand_in("edited-prediction", work_of(unit, "e2", laboratory), predictions={"how-long": "1.1 s"})
    hand_in("edited-lock", work_of(unit, "e3", laboratory), lock="")
    hand_in("no-run", work_of(unit, "e4", laboratory), runs={})
    hand_in("others-work", one, student="thief")
    hand_in("last-year", work_of(unit, "late", laboratory), course="net-2025", seed=seed_of("late", "net-2025"))
    hand_in("other-version", one, student="v", version=99)
    hand_in("other-kernel", one, student="k", seed=seed_of("k", COURSE), release="6.1.0")
    hand_in("unknown-unit", one, student="u", unit="no-such-unit")
    hand_in("nothing", one, student="n", seed=seed_of("n", COURSE), predictions=None, answers={}, lock="")
    hand_in("z-again", works["right-1"])
    blank = work_of(unit, "blank", laboratory)
    hand_in("blank", blank, answers={})
    for name, (_, make) in STRANGE.items():
        make(folder / f"{name}.zip")
    (folder / "in-a-folder").mkdir()
    handing_in.write(folder / "in-a-folder" / f"x{ENDING}", work_of(unit, "folder", laboratory))
    (folder / "in-a-folder" / "notes.txt").write_text("I did it!")
    (folder / ".DS_Store").write_bytes(b"x")

    roster = ["right-0", "RIGHT-1", *MISSING]
    results = list(grade(folder, "lab", course=COURSE, roster=roster, units=[unit.folder], workers=2))
    return {each.file.removesuffix(ENDING).removesuffix(".zip"): each for each in results if each.file}, results


def test_forty(graded: tuple[dict[str, Result], list[Result]]) -> None:
    """There are forty at least, and each has its status."""
    by_name, results = graded
    wanted = {name: status for name, (status, _) in STRANGE.items()}
    wanted |= dict.fromkeys(
        ("blank", "in-a-folder/x", *(f"{kind}-{n}" for kind in ("right", "wrong") for n in range(4))), "graded"
    )
    wanted |= dict.fromkeys(("edited-run", "edited-prediction", "edited-lock", "no-run"), "edited")
    wanted |= {"others-work": "seed", "last-year": "seed", "other-version": "version", "other-kernel": "kernel"}
    wanted |= {"unknown-unit": "unknown", "nothing": "empty", "z-again": "duplicate"}

    assert {name: each.status for name, each in by_name.items()} == wanted
    assert [each.student for each in results if each.status == "missing"] == MISSING
    assert len(results) >= 40


def test_points(graded: tuple[dict[str, Result], list[Result]]) -> None:
    """All for right answers, none for wrong ones, some for those that are there."""
    by_name, _ = graded
    points = {name: (each.score, each.points) for name, each in by_name.items() if each.status == "graded"}

    assert {points[f"right-{n}"] for n in range(4)} == {(2.0, 2.0)}
    assert {points[f"wrong-{n}"] for n in range(4)} == {(0.0, 2.0)}
    assert points["blank"] == (1.0, 2.0)


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_reports(graded: tuple[dict[str, Result], list[Result]], tmp_path: Path, lang: str) -> None:
    """Each has all of it, and is what its readers expect."""
    _, results = graded
    rows = list(csv.DictReader(io.StringIO(as_csv(results, lang))))
    report = class_report(results, lang)
    suites = ET.fromstring(junit(results, lang))  # noqa: S314 -- made here
    right = json.loads(gradescope(next(each for each in results if each.student == "right-0"), lang))
    write_reports(results, tmp_path / "out", lang)

    assert len(rows) == len(suites) == len(list((tmp_path / "out" / "gradescope").iterdir())) == len(results)
    assert all(row["detail"] for row in rows if row["status"] != "graded")
    assert "4/10" in report or "5/10" in report or "6/10" in report
    assert (right["score"], [test["score"] for test in right["tests"]]) == (2.0, [1.0, 1.0])
    assert sum(int(suite.get("errors", "0")) for suite in suites) == sum(each.status != "graded" for each in results)


def test_a_cell_is_no_formula(graded: tuple[dict[str, Result], list[Result]]) -> None:
    """Spreadsheets calculate what begins with =."""
    _, results = graded
    strange = msgspec.structs.replace(results[0], student="=HYPERLINK(1)")

    assert "'=HYPERLINK(1)" in as_csv([strange], "en")


def test_a_student_from_start_to_hand_in(tmp_path: Path, unit: Unit, laboratory: Laboratory) -> None:
    """The steps in their order, and no other."""
    folder = Folder.start(unit, "kim", COURSE, tmp_path / "kim", "ko", laboratory)
    seed = folder.work.seed
    right = {
        each.id: model_answer(unit, each, key_of(unit, each, seed, laboratory), seed) for each in unit.file.questions
    }
    with pytest.raises(UsageError, match="is not locked yet"):
        next(iter(folder.run(laboratory)))
    with pytest.raises(UsageError, match="has no prediction yet"):
        folder.lock(folder.read(PREDICTIONS))
    (folder.path / PREDICTIONS).write_text('how-long = "3 s"\n')
    folder.lock(folder.read(PREDICTIONS))
    with pytest.raises(UsageError, match="is locked"):
        folder.lock({"how-long": right["how-long"]})
    folder.work.release = "6.1.192"
    with pytest.raises(UsageError, match=r"started with Linux 6\.1\.192.*--kernel lab:6\.1"):
        next(iter(folder.run(laboratory)))
    folder.work.release = laboratory.release
    shown = [name for name, _ in folder.run(laboratory)]
    predicted = folder.judge(unit.question("how-long"), "3 s", laboratory)
    wrong = "a" if right["who-waits"] == "b" else "b"
    tried = folder.judge(unit.question("who-waits"), wrong, laboratory)
    (folder.path / ANSWERS).write_text(f'who-waits = "{right["who-waits"]}"\n')
    hint = folder.hint(unit.question("how-long"))
    handed_in = tmp_path / "hand-ins"
    handed_in.mkdir()
    missing = Folder.open(folder.path).hand_in(handed_in / f"kim{ENDING}")
    (result,) = grade(handed_in, "lab", course=COURSE, units=[unit.folder])

    assert shown == ["plain", "lost-syn"]
    assert (folder.path / "runs" / "lost-syn" / "index.html").exists()
    assert (predicted.right, tried.right, missing) == (False, False, [])
    assert "1초" in hint
    assert (result.status, result.score) == ("graded", 1.0)
    assert [(each.question, each.attempts, each.hint) for each in result.answers] == [
        ("how-long", 0, True),
        ("who-waits", 1, False),
    ]
