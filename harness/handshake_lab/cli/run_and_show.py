"""Run a plan on a kernel and print the result: the common part of demo and record."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handshake_lab.cli.waiting import waiting
from handshake_lab.errors import UsageError
from handshake_lab.kernel.shared.job import INTERRUPTED
from handshake_lab.report.text.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.plan.run_plan import RunPlan
    from handshake_lab.reconcile.stored_run import Run
    from handshake_lab.verdict.judge import Verdict

#: Of a line of a difference.
SHOWN_CHARACTERS = 400


def carry_out(
    plan: RunPlan,
    kernel: Kernel,
    out: Path | None,
    *,
    as_json: bool,
    plain: bool,
    lang: str,
    watch: bool = False,
    check_repeat: bool = False,
    after: Callable[[Run], None] | None = None,
    html: Path | None = None,
) -> int:
    """Run a plan on a kernel and print the ladder or the document of the run.

    Args:
        plan: The run.
        kernel: The kernel that it runs on.
        out: The directory that keeps the run's files; None: they are not kept.
        as_json: Print one document instead of the ladder.
        plain: Print the ladder without colours and box-drawing characters.
        lang: The language of the ladder.
        watch: Show the sockets while it runs.
        check_repeat: Carry it out a second time, and fail if it is not the same.
        after: Prints additional output after the ladder.
        html: The file for the page of the run; None: it has no page but that in ``out``.

    Returns:
        The command's exit status.

    Raises:
        HandshakeError: As raised by `handshake_lab.experiment.execute.conducted`.
    """
    from handshake_lab.experiment.execute import conducted, prepare_directory

    keep = out  # a directory that is only watched is not kept
    with contextlib.ExitStack() as stack:
        meanwhile: contextlib.AbstractContextManager[object]
        if watch:
            from handshake_lab.report.terminal.live import watching

            out = prepare_directory(out or Path(stack.enter_context(tempfile.TemporaryDirectory())))
            meanwhile = watching(out, real_time=kernel.info.real_time, plain=plain, lang=lang)
        else:
            meanwhile = waiting(f"Running on Linux {kernel.info.release} ({kernel.info.kind})")
        with meanwhile:
            run = stack.enter_context(conducted(plan, kernel, out))
        status = show_run(run, keep, as_json=as_json, plain=plain, lang=lang, after=after, html=html)
        return max(status, _repeat(plan, kernel, run)) if check_repeat and not run.interrupted else status


def _repeat(plan: RunPlan, kernel: Kernel, run: Run) -> int:
    """Carry a plan out again, and print whether that is the same run. Returns the exit status."""
    from handshake_lab.experiment.execute import conducted
    from handshake_lab.recording.repeats import count_events, first_difference

    if kernel.info.real_time:
        raise UsageError(
            "--check-repeat", "", "needs virtual time: no two runs in real time are the same", "--kernel lab"
        )
    if run.directory is None:
        raise AssertionError("a run that was just carried out has a directory")
    with waiting("Running again"), conducted(plan, kernel) as again:
        if again.directory is None:
            raise AssertionError("a run that was just carried out has a directory")
        difference = first_difference(run.directory, again.directory)
    if difference is None:
        click.echo(f"repeated: all {count_events(run.directory)} events and all output are the same", err=True)
        return 0
    for line in f"handshake: {difference}".splitlines():
        click.echo(visible(line, SHOWN_CHARACTERS), err=True)
    return 1


def show_run(
    run: Run,
    keep: Path | None,
    *,
    as_json: bool,
    plain: bool,
    lang: str,
    after: Callable[[Run], None] | None = None,
    html: Path | None = None,
) -> int:
    """Print the ladder or the document of a run, and write its capture and its page where its files are kept.

    Args:
        run: The run.
        keep: The directory that keeps its files; None: they are not kept.
        as_json: Print one document instead of the ladder.
        plain: Print the ladder without colours and box-drawing characters.
        lang: The language of the ladder.
        after: Prints what follows the ladder.
        html: Another file for the page.

    Returns:
        The command's exit status.
    """
    from handshake_lab.report.kept_run import write_capture
    from handshake_lab.verdict.judge import judge

    if keep:
        write_capture(keep, run.record, run.observations)
    verdict = judge(run.record)
    if as_json:
        from handshake_lab.report.export.json_document import to_json
        from handshake_lab.report.export.run_document import run_document

        click.echo(to_json(run_document(run.record, verdict)), nl=False)
    else:
        from handshake_lab.report.terminal.ladder import show

        show(run.record, verdict=verdict, plain=plain, lang=lang)
        if after:
            after(run)
    _write_pages(run, keep, html, verdict, lang=lang, quiet=as_json)
    if run.interrupted:
        click.echo("handshake: interrupted; the recording up to then is shown", err=True)
        return INTERRUPTED
    return verdict.exit_code


def _write_pages(run: Run, keep: Path | None, html: Path | None, verdict: Verdict, *, lang: str, quiet: bool) -> None:
    """Write the page of a run to a file and to the directory that keeps the run, and print where they are."""
    from handshake_lab.recording.run_files import PAGE

    for option, file in (("--html", html), ("--out", keep / PAGE if keep else None)):
        if file is not None:
            write_page_to(file, run, verdict, option=option, lang=lang, quiet=quiet)


def write_page_to(file: Path, run: Run, verdict: Verdict, *, option: str, lang: str, quiet: bool) -> None:
    """Write the page of a run to a file, and print where it is.

    Args:
        file: The file.
        run: The run.
        verdict: Its verdict.
        option: The option that named the file, for messages.
        lang: The language of the page.
        quiet: Print on standard error, because standard output is used for a document.

    Raises:
        UsageError: The file cannot be written.
    """
    from handshake_lab.errors import UsageError
    from handshake_lab.report.html.page import page
    from handshake_lab.report.text.translations import words

    title = file.resolve().parent.name if option == "--out" else file.stem
    try:
        file.write_text(page(run.record, run.observations, title=title, verdict=verdict, lang=lang), "utf-8")
    except OSError as error:
        raise UsageError(option, str(file), f"cannot be written ({error.strerror})", f"{option} my-run") from None
    click.echo(words(lang)("kept.page", path=visible(str(file))), err=quiet)
