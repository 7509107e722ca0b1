"""handshake scenarios: list the scenarios, run them, or prove that each can fail."""

from __future__ import annotations

import shutil
import tempfile
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from handshake_lab.checkout.pytest_run import one_boot, run_pytest
from handshake_lab.checkout.scenarios import catalogue
from handshake_lab.checkout.scenarios.outcomes import by_scenario, proofs, results_document
from handshake_lab.cli import options
from handshake_lab.errors import PytestFailed, UsageError
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.pytest_plugin.options.command_line import prefixed
from handshake_lab.pytest_plugin.results.kept_records import DEFAULT_ARTIFACTS
from handshake_lab.recording.observations import FORMAT_VERSION
from handshake_lab.report.export.json_document import to_json
from handshake_lab.report.export.pytest_document import PytestSession
from handshake_lab.report.export.scenario_documents import MutationsDocument, ScenariosDocument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handshake_lab.checkout.scenarios.catalogue import Scenario

_Function = TypeVar("_Function", bound="Callable[..., Any]")

#: The number of scenarios from which on several run at once by default.
_MANY = 4
#: Columns of the number and the name of a scenario in the list.
_LEFT = 35


@click.group()
def command() -> None:
    """List and run the scenarios, or prove that each can fail.

    A scenario consists of a network, the events in it, and the states and times that RFC 9293 or the documentation of a
    sysctl requires. The scenarios are in the checkout of this project, not in the installed package.

    \b
    Examples:
      handshake scenarios list
      handshake scenarios run syn_lost_1
      handshake scenarios run --all --json | jq .edges_covered
    """


@command.command("list")
@options.json("the list")
def list_them(*, as_json: bool) -> int:
    """List every scenario, with the behaviour that it requires.

    \b
    Examples:
      handshake scenarios list
      handshake scenarios list --json | jq -r '.scenarios[].name'
    """
    known = _known()
    if as_json:
        document = ScenariosDocument(FORMAT_VERSION, [catalogue.described(each) for each in known])
        click.echo(to_json(document), nl=False)
        return 0
    subject = ""
    width = shutil.get_terminal_size((120, 24)).columns
    subjects = list(dict.fromkeys(each.subject for each in known))
    for each in sorted(known, key=lambda each: subjects.index(each.subject)):
        if each.subject != subject:
            subject = each.subject
            click.echo(f"\n{subject.replace('_', ' ')}")
        what = textwrap.shorten(each.what, max(width - _LEFT, 20), placeholder="…")
        click.echo(f"  {each.number or '':>3}  {each.name:<28}  {what}")
    return 0


def _running(function: _Function) -> _Function:
    """The options of the verbs that run scenarios."""
    function = options.json("pytest's output")(function)
    function = click.option(
        "-n",
        "workers",
        metavar="N",
        help="Number of worker processes; 0: run in one process, one after the other.  [default: one per core]",
    )(function)
    function = options.seed(options.kernel(function))
    function = click.option("--all", "every", is_flag=True, help="Run all scenarios.")(function)
    return click.argument("names", nargs=-1, metavar="[NAME]...")(function)


@command.command()
@_running
@click.option(
    "--link",
    "links",
    multiple=True,
    metavar="TEXT",
    help='Impairment added to the links of every scenario: "delay=200ms". Repeatable.',
)
@click.option(
    "--seeds",
    metavar="FIRST-LAST",
    help="Also run, once per seed and with random loss, the scenarios whose requirements hold for any loss.",
)
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the record of every test in this directory.",
)
@click.option("--slow", is_flag=True, help="On host and vm kernels, also run tests that take more than 10 s.")
@click.option("--kernels", metavar="KIND,KIND", help="Run on several kernels and print one table: 6.1,newest,vm:stock.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help="Keep the records in this directory, which must not contain others; with --kernels: write the "
    "table to this file.",
)
@options.html
@options.plain
@options.language
@one_boot
def run(
    names: tuple[str, ...],
    kernel_name: str,
    seed: int,
    workers: str | None,
    links: tuple[str, ...],
    seeds: str | None,
    artifacts: Path | None,
    kernels: str | None,
    out: Path | None,
    html: Path | None,
    lang: str,
    *,
    every: bool,
    as_json: bool,
    slow: bool,
    boot_once: bool,
    plain: bool,
) -> int:
    """Run scenarios, selected by name or number, and print their ladders.

    Each run is compared with the requirements of the documents. The exit status is 0 if all scenarios passed, and 1 if
    any failed. With --all, no ladders are printed.

    \b
    Examples:
      handshake scenarios run three_way_handshake syn_lost_1
      handshake scenarios run syn_lost_1 --lang ko --html syn_lost_1.html
      handshake scenarios run syn_lost_1 --out my-run
      handshake scenarios run --all -n 2
      handshake scenarios run --all --kernel lab:6.1 --json
      handshake scenarios run 30 --link delay=200ms
      handshake scenarios run --all --seeds 1-50
      handshake scenarios run --all --kernels 6.1,newest,vm:stock --out docs/explanation/kernels.md
    """
    wanted = _wanted(names, every=every, verb="run")
    words = [word for link in links for word in ("--link", link)]
    words += ["--slow"] if slow else []
    if kernels:
        return _matrix(wanted, kernels, seed, workers, words, artifacts, out, as_json=as_json, boot_once=boot_once)
    words += _under_loss(wanted, seeds) if seeds else []
    if out and out.exists() and any(out.iterdir()):
        raise UsageError("--out", str(out), "is not empty: choose another directory, or remove it", f"--out {out}-2")
    with tempfile.TemporaryDirectory(prefix="handshake-scenarios-") as directory:
        shown = not every and not as_json
        kept = artifacts or out or (Path(directory) if shown or html else None)
        words += ["--artifacts", str(kept.resolve())] if kept else []
        writable = (kept or catalogue.checkout("scenarios") / DEFAULT_ARTIFACTS).resolve() if boot_once else None
        session, status = _pytest(wanted, kernel_name, seed, workers, words, quiet=as_json, writable=writable)
        if kept and (shown or html):
            _show(kept, html or None, ladders=shown, plain=plain, lang=lang, quiet=as_json)
        if out:
            click.echo(f"handshake: the records are in {out}: handshake report {out}", err=True)
    found = by_scenario(session, wanted)
    if as_json:
        click.echo(to_json(results_document(session, found)), nl=False)
    return status or int(any(each.outcome == "failed" for each in found))


def _show(kept: Path, html: Path | None, *, ladders: bool, plain: bool, lang: str, quiet: bool) -> None:
    """Print the ladders of the runs in a directory, and write the page of the only one to a file."""
    from handshake_lab.cli.run_and_show import write_page_to
    from handshake_lab.reconcile.stored_run import read
    from handshake_lab.report.html.run_pages import find
    from handshake_lab.report.terminal.ladder import show
    from handshake_lab.verdict.judge import judge

    directories = find(kept)
    if html and len(directories) != 1:
        reason = f"is one page, and there are {len(directories)} runs: keep them with --out, then use handshake report"
        raise UsageError("--html", str(html), reason, "--out my-runs")
    for directory in directories:
        run = read(directory)
        verdict = judge(run.record)
        if ladders:
            show(run.record, verdict=verdict, plain=plain, lang=lang)
        if html:
            write_page_to(html, run, verdict, option="--html", lang=lang, quiet=quiet)


def _matrix(
    wanted: Sequence[Scenario],
    kernels: str,
    seed: int,
    workers: str | None,
    words: Sequence[str],
    artifacts: Path | None,
    out: Path | None,
    *,
    as_json: bool,
    boot_once: bool,
) -> int:
    """Run the scenarios on several kernels, one after the other, and print the differences."""
    from handshake_lab.checkout.scenarios import kernel_matrix

    columns = []
    with tempfile.TemporaryDirectory(prefix="handshake-kernels-") as directory:
        for name in kernel_matrix.kernels(kernels):
            kernel = choose_kernel(name, seed)
            runs = (artifacts or Path(directory)).resolve() / name.replace(":", "-")
            kept = [*words, "--artifacts", str(runs)] if artifacts else words
            writable = runs if boot_once and name.startswith("vm") else None
            session, _ = _pytest(wanted, name, seed, workers, kept, quiet=True, may_fail=True, writable=writable)
            columns.append(kernel_matrix.column(kernel.info, session, wanted))
    if as_json:
        click.echo(to_json(kernel_matrix.document(columns)), nl=False)
    else:
        again = ["handshake scenarios run", "--all" if wanted == _known() else " ".join(each.name for each in wanted)]
        text = kernel_matrix.markdown(columns, wanted, " ".join([*again, *words, "--kernels", kernels]))
        if out is None:
            click.echo(text, nl=False)
        else:
            out.write_text(text, encoding="utf-8")
    return int(any(cell.outcome == "failed" for column in columns for cell in column.cells.values()))


@command.command()
@_running
def mutate(
    names: tuple[str, ...], kernel_name: str, seed: int, workers: str | None, *, every: bool, as_json: bool
) -> int:
    """Mutate scenarios, and report which of them still pass.

    Every scenario is run four times, each time altered in another way: without its faults, settings and socket options,
    or with a false record, in which the last transitions or some segments are missing, or all times are doubled. A
    scenario that still passes does not detect the change.
    The exit status is 0 if every scenario can fail, and 1 otherwise.

    \b
    Examples:
      handshake scenarios mutate syn_lost_1
      handshake scenarios mutate --all -n 2
    """
    wanted = _wanted(names, every=every, verb="mutate")
    session, status = _pytest(wanted, kernel_name, seed, workers, ["--mutate", "all"], quiet=True, may_fail=True)
    found = proofs(session, wanted)
    if as_json:
        document = MutationsDocument(FORMAT_VERSION, sum(each.can_fail for each in found), found)
        click.echo(to_json(document), nl=False)
    else:
        for each in found:
            mark = "✓" if each.can_fail else "✗"
            click.echo(f"{mark} {each.number or '':>3}  {each.name:<32}{each.reason}")
        click.echo(f"{sum(each.can_fail for each in found)} of {len(found)} can fail")
    return status or int(not all(each.can_fail for each in found))


def _known() -> list[Scenario]:
    return catalogue.scenarios(catalogue.checkout("scenarios"))


def _wanted(names: tuple[str, ...], *, every: bool, verb: str) -> list[Scenario]:
    known = _known()
    if every and names:
        raise UsageError(
            "--all", " ".join(names), "cannot be combined with names of scenarios", f"handshake scenarios {verb} --all"
        )
    if not every and not names:
        example = f"handshake scenarios {verb} {known[0].name}"
        raise UsageError("NAME", "", f"is missing: name scenarios, or use --all for all {len(known)}", example)
    return known if every else catalogue.chosen(known, names)


def _under_loss(wanted: Sequence[Scenario], seeds: str) -> list[str]:
    """The arguments with which pytest also runs scenarios under random loss."""
    found = [each.under_loss for each in wanted if each.under_loss]
    if len(found) < len(wanted):
        click.echo(
            f"handshake: {len(wanted) - len(found)} of {len(wanted)} scenarios run only without random loss: "
            "they require that certain segments are lost, or that none is",
            err=True,
        )
    return ["--seeds", seeds, *found]


def _pytest(
    wanted: Sequence[Scenario],
    kernel_name: str,
    seed: int,
    workers: str | None,
    words: Sequence[str],
    *,
    quiet: bool,
    may_fail: bool = False,
    writable: Path | None = None,
) -> tuple[PytestSession, int]:
    """Run the tests of scenarios; returns their results, and a status other than 0 if they could not run.

    With ``writable``, they run in one virtual machine, which can write to that directory.
    """
    choose_kernel(kernel_name, seed)  # built now, with its progress shown, not inside the first test
    root = catalogue.checkout("scenarios")
    with tempfile.TemporaryDirectory(prefix="handshake-session-") as directory:
        file = (writable or Path(directory)) / "session.json"
        command_line = [
            *(each.test for each in wanted),
            *("--handshake-seed", str(seed), "--handshake-json", str(file)),
            *_parallel(workers, len(wanted)),
            *(["-q", "--no-header"] if quiet else []),
            *map(prefixed, words),
        ]
        status = run_pytest(command_line, root, kernel_name, quiet=quiet, writable=writable)
        if not file.exists():
            raise PytestFailed("scenarios", status)
        return msgspec.json.decode(file.read_bytes(), type=PytestSession), 0 if may_fail else status


def _parallel(workers: str | None, count: int) -> list[str]:
    if workers is not None:
        if not (workers.isdecimal() or workers in ("auto", "logical")):
            raise UsageError("-n", workers, "is not a number of processes", "-n 2")
        return ["-n", workers] if workers != "0" else []
    return ["-n", "auto"] if count >= _MANY and find_spec("xdist") else []
