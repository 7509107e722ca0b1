"""handshake course: units to predict, run, explain and hand in, and their grading."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handshake_lab.cli import options
from handshake_lab.cli.waiting import waiting

if TYPE_CHECKING:
    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.folder import Folder

_OWN_UNITS = click.option(
    "--unit",
    "units",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder of a unit that is not of this package. Repeatable.",
)
_WORKERS = click.option(
    "-n", "--workers", type=click.IntRange(min=1), default=2, show_default=True, metavar="N", help="How many processes."
)
_FOLDER = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    help="The folder that course start has made; by default the current directory.",
)


@click.group()
def command() -> None:
    """Predict, run and explain what TCP does; hand it in; grade it.

    A unit has experiments and questions. Each student has other numbers, from the student's id. Predictions are locked
    before the run is shown. The grader runs each student's experiments again, and computes the right answers from them.
    See docs/courses.md.

    \b
    For a student:
      handshake course list
      handshake course start 1 --id 2026-12345
      handshake course predict
      handshake course run
      handshake course check
      handshake course hand-in

    \b
    For an instructor:
      handshake course grade hand-ins --out grades
      handshake course pictures 1 --out slides
      handshake course bundle class.tar
      handshake course new my-unit
      handshake course test my-unit
    """


@command.command("list")
@options.language
def list_(lang: str) -> None:
    """List the units.

    \b
    Examples:
      handshake course list
      handshake course list --lang ko
    """
    from handshake_lab.courses.phrases import phrase
    from handshake_lab.courses.unit import units

    for unit in units():
        number, _, _ = unit.name.partition("-")
        points = sum(question.points for question in unit.file.questions)
        counts = phrase(lang, "work.listed", questions=len(unit.file.questions), points=f"{points:g}")
        click.echo(f"{number.lstrip('0'):>3}  {unit.text(lang).title} ({counts})")


@command.command()
@click.argument("unit")
@click.option("--id", "student", required=True, metavar="ID", help="Your id; your numbers are derived from it.")
@click.option(
    "--course", "course_name", default="", metavar="NAME", help="The course, if your instructor has named one."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="The new folder; by default the unit's name."
)
@options.kernel
@options.language
def start(unit: str, student: str, course_name: str, out: Path | None, kernel_name: str, lang: str) -> None:
    """Make your folder for a unit.

    UNIT is a number or a name from the list, or the folder of a unit.

    \b
    Examples:
      handshake course start 1 --id 2026-12345
      handshake course start time-wait --id kim --course net-2026 --lang ko
    """
    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.folder import PAGE, Folder
    from handshake_lab.courses.phrases import phrase
    from handshake_lab.courses.unit import find_unit

    found = find_unit(unit)
    path = out or Path(found.name)
    with waiting("Preparing"):
        made = Folder.start(found, student, course_name, path, lang, Laboratory(kernel_name))
    click.echo(phrase(lang, "work.started", unit=found.name, path=path, seed=made.work.seed, page=PAGE))


@command.command()
@_FOLDER
def predict(folder: Path) -> None:
    """Lock your predictions; then the runs can be seen.

    They are read from predictions.toml. On a terminal, you are asked for those that are missing there.

    \b
    Examples:
      handshake course predict
      handshake course predict --folder 01-three-way-handshake
    """
    from handshake_lab.courses.folder import PREDICTIONS, Folder
    from handshake_lab.courses.phrases import phrase

    opened = Folder.open(folder)
    predictions = opened.read(PREDICTIONS)
    if sys.stdin.isatty() and opened.work.predictions is None:
        for question in opened.predicted():
            if not predictions.get(question.id, "").strip():
                predictions[question.id] = click.prompt(question.id)
    opened.lock(predictions)
    click.echo(phrase(opened.work.lang, "work.locked", count=len(opened.work.predictions or {})))


@command.command()
@_FOLDER
@options.kernel
@options.plain
def run(folder: Path, kernel_name: str, *, plain: bool) -> None:
    """Run the experiments, show their ladders, and say which predictions were right.

    \b
    Examples:
      handshake course run
      handshake course run --plain
    """
    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.folder import ANSWERS, RUNS, Folder
    from handshake_lab.courses.phrases import phrase
    from handshake_lab.report.terminal.ladder import show

    opened = Folder.open(folder)
    laboratory = Laboratory(kernel_name)
    for name, record in opened.run(laboratory):
        click.echo(f"\n{name}\n")
        show(record, plain=plain, lang=opened.work.lang)
    lang = opened.work.lang
    if opened.work.predictions:
        click.echo(f"\n{phrase(lang, 'work.predictions')}")
    for question in opened.predicted():
        _print_judged(opened, question.id, laboratory)
    click.echo(f"\n{phrase(lang, 'work.run_done', path=folder / RUNS, answers=ANSWERS)}")


def _print_judged(opened: Folder, name: str, laboratory: Laboratory) -> bool:
    """Print what is said about one answer. Returns whether it is not wrong."""
    from handshake_lab.courses.phrases import feedback, phrase
    from handshake_lab.report.text.escaping import visible

    question = opened.unit.question(name)
    predictions = opened.work.predictions or {}
    answer = predictions.get(name, "") if question.predict else opened.answers().get(name, "")
    found = opened.judge(question, answer, laboratory)
    mark = {True: "+", False: "x", None: " "}[found.right]
    values = {"mark": mark, "question": name, "feedback": visible(feedback(opened.work.lang, found), 1000)}
    if question.predict:
        click.echo(phrase(opened.work.lang, "work.prediction", answer=visible(answer), **values))
    else:
        click.echo(phrase(opened.work.lang, "work.checked", **values))
    return found.right is not False


@command.command()
@click.argument("questions", nargs=-1)
@click.option("--hint", is_flag=True, help="Show the hints of these questions; some hints cost points.")
@_FOLDER
@options.kernel
def check(questions: tuple[str, ...], folder: Path, kernel_name: str, *, hint: bool) -> int:
    """Say which answers are right, and which segment contradicts the others.

    QUESTIONS are their names; without any, all that have an answer are checked.

    \b
    Examples:
      handshake course check
      handshake course check half-open
      handshake course check half-open --hint
    """
    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.folder import Folder
    from handshake_lab.courses.phrases import phrase
    from handshake_lab.errors import UsageError

    opened = Folder.open(folder)
    lang = opened.work.lang
    wanted = [opened.unit.question(name) for name in questions]
    if hint:
        if not wanted:
            raise UsageError("--hint", "", "is for one or more questions", "handshake course check half-open --hint")
        for question in wanted:
            click.echo(phrase(lang, "work.hint", question=question.id, hint=opened.hint(question)))
            if question.hint_cost:
                click.echo(phrase(lang, "work.hint_cost", points=f"{question.hint_cost:g}"))
        return 0
    given = opened.answers()
    names = [question.id for question in wanted] or [
        each.id for each in opened.answered() if given.get(each.id, "").strip()
    ]
    laboratory = Laboratory(kernel_name)
    right = [_print_judged(opened, name, laboratory) for name in names]
    missing = [each.id for each in opened.answered() if not given.get(each.id, "").strip()]
    if missing and not wanted:
        click.echo(phrase(lang, "work.missing", questions=", ".join(missing)))
    return int(not all(right))


@command.command("hand-in")
@_FOLDER
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="The file to hand in.")
def hand_in(folder: Path, out: Path | None) -> None:
    """Write the file to hand in: predictions, answers, seed, versions, and the digests of the runs.

    \b
    Examples:
      handshake course hand-in
      handshake course hand-in --out kim.handin.zip
    """
    from handshake_lab.courses.folder import Folder
    from handshake_lab.courses.handing_in import ENDING
    from handshake_lab.courses.phrases import phrase

    opened = Folder.open(folder)
    file = out or folder / f"{opened.work.unit}-{opened.work.student}{ENDING}"
    missing = opened.hand_in(file)
    if missing:
        click.echo(phrase(opened.work.lang, "work.missing", questions=", ".join(missing)))
    click.echo(phrase(opened.work.lang, "work.handed_in", file=file))


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--course", "course_name", metavar="NAME", help="The course that the hand-ins must be for.")
@click.option(
    "--roster",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The ids of all students, one a line: those without a hand-in are reported.",
)
@_OWN_UNITS
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Write all reports here.")
@_WORKERS
@options.kernel
@options.language
def grade(
    folder: Path,
    course_name: str | None,
    roster: Path | None,
    units: tuple[Path, ...],
    out: Path | None,
    workers: int,
    kernel_name: str,
    lang: str,
) -> int:
    """Grade hand-ins: run each student's experiments again, and judge the answers.

    FOLDER contains the files of the students, or a folder for each of them. The grades are printed as CSV. With --out,
    these files are written: grades.csv, report.md (what most got wrong, free answers), junit.xml, and for each student
    a results.json for Gradescope. No hand-in can harm the grader: none is unpacked, and programs run in confinement.

    \b
    Examples:
      handshake course grade hand-ins
      handshake course grade hand-ins --course net-2026 --roster students.txt --out grades
    """
    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.grade_reports import as_csv, write_reports
    from handshake_lab.courses.grading import grade as graded
    from handshake_lab.errors import UsageError

    if not folder.is_dir():
        raise UsageError("FOLDER", str(folder), "is not a folder", "handshake course grade hand-ins")
    try:
        ids = roster.read_text("utf-8").split() if roster else []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("--roster", str(roster), f"cannot be read ({error})", "--roster students.txt") from None
    Laboratory(kernel_name)  # a missing kernel is built now, with its progress shown
    with waiting("Grading"):
        results = list(graded(folder, kernel_name, course=course_name, roster=ids, units=units, workers=workers))
    click.echo(as_csv(results, lang), nl=False)
    if out is not None:
        for file in write_reports(results, out, lang):
            click.echo(str(file), err=True)
    return int(any(result.status != "graded" for result in results))


@command.command()
@click.argument("names", nargs=-1, metavar="[UNITS]...")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("pictures"),
    show_default=True,
    metavar="DIR",
    help="The folder for the pictures; each unit has a folder in it.",
)
@options.seed
@options.kernel
@options.language
def pictures(names: tuple[str, ...], out: Path, seed: int, kernel_name: str, lang: str) -> None:
    """Make the pictures for slides: run the experiments of units, and write their ladders and states as SVG.

    UNITS are numbers, names or folders; without any, all of this package. --seed chooses the numbers; course start
    prints the seed of a student. Experiments that send much data also get curves. An experiment has up to 6 ladders;
    one without TCP has no pictures.

    \b
    Examples:
      handshake course pictures 4
      handshake course pictures 1 2 3 --out slides --lang ko
    """
    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.pictures import write_pictures
    from handshake_lab.courses.unit import find_unit, units

    wanted = [find_unit(name) for name in names] or units()
    laboratory = Laboratory(kernel_name)
    for unit in wanted:
        for file in write_pictures(unit, seed, lang, laboratory, out, partial(click.echo, err=True)):
            click.echo(str(file))
        laboratory.forget()


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_OWN_UNITS
@click.option("--version", metavar="X.Y", help="Version of the lab kernel.  [default: the newest]")
@click.option(
    "--python", "pythons", multiple=True, metavar="X.Y", help="A further version of Python in the room. Repeatable."
)
@click.option(
    "--with",
    "extras",
    multiple=True,
    type=click.Choice(["notebook", "serve"]),
    help="Include what notebooks, or handshake serve, need. Repeatable.",
)
def bundle(
    file: Path, units: tuple[Path, ...], version: str | None, pythons: tuple[str, ...], extras: tuple[str, ...]
) -> None:
    """Pack all that a room without internet needs into one archive.

    It contains the lab kernel, the Python packages, your own units, and install.sh, which installs them without a
    network. Packing needs pip and a package index.

    \b
    Examples:
      handshake course bundle class.tar
      handshake course bundle class.tar --with serve --with notebook
      handshake course bundle class.tar --unit my-unit --python 3.12 --python 3.13
    """
    from handshake_lab.courses.class_bundle import FOLDER, write_bundle
    from handshake_lab.courses.unit import load_unit
    from handshake_lab.kernel.lab import provide_lab
    from handshake_lab.kernel.shared import progress

    own = [load_unit(folder) for folder in units]
    with progress.shown() as shown:
        image = provide_lab.ensure(version, shown)
    with waiting("Collecting packages"):
        write_bundle(file, image, own, pythons, extras)
    click.echo(f"{file}: Linux {image.release}, {file.stat().st_size / 1e6:.1f} MB. In the room:")
    click.echo(f"tar -xf {file.name} && sh {FOLDER}/install.sh")


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Make a folder with a small unit to begin from: no Python is needed to write one.

    \b
    Examples:
      handshake course new my-unit
    """
    from handshake_lab.courses.new_unit import new_unit
    from handshake_lab.courses.unit import UNIT_FILE

    made = new_unit(folder)
    click.echo(f"{folder}: {UNIT_FILE}, {', '.join(f'{lang}.md' for lang in sorted(made.texts))}")
    click.echo(f"Try it: handshake course test {folder}")


@command.command()
@click.argument("names", nargs=-1, metavar="[UNITS]...")
@click.option("--seeds", default=3, show_default=True, metavar="N", help="For how many students' numbers.")
@click.option(
    "--langs",
    default="en,ko",
    show_default=True,
    metavar="LANGS",
    help="The languages in which each unit must have a text.",
)
@_WORKERS
@options.kernel
def test(names: tuple[str, ...], seeds: int, langs: str, workers: int, kernel_name: str) -> int:
    """Prove units: compute every key from a run, and judge it, and a wrong answer too.

    UNITS are numbers, names or folders; without any, all of this package.

    \b
    Examples:
      handshake course test
      handshake course test 4 --seeds 20 --kernel lab:7.3
      handshake course test my-unit --langs en
    """
    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.proof import prove_for_seeds
    from handshake_lab.courses.unit import find_unit, units

    wanted = [find_unit(name) for name in names] or units()
    release = Laboratory(kernel_name).release  # a missing kernel is built now, with its progress shown
    failed = False
    for unit in wanted:
        count = 0
        for defect in prove_for_seeds(unit, range(1, seeds + 1), kernel_name, tuple(langs.split(",")), workers):
            count += 1
            click.echo(f"x {unit.name}: seed {defect.seed}: {defect.where}: {defect.what}")
        failed |= count > 0
        if not count:
            click.echo(f"+ {unit.name}: {len(unit.file.questions)} questions, {seeds} seeds, Linux {release}")
    return int(failed)
