"""What every verb does that runs something once: carry out a plan, show its run, say how it went."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handshake_lab.cli.waiting import waiting
from handshake_lab.kernel.shared.job import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.experiment.execute import Run
    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.plan.run_plan import RunPlan


def carry_out(
    plan: RunPlan,
    kernel: Kernel,
    out: Path | None,
    *,
    as_json: bool,
    plain: bool,
    lang: str,
    watch: bool = False,
    after: Callable[[Run], None] | None = None,
) -> int:
    """Carry out a plan on a kernel, and show its run.

    Args:
        plan: What is to be done.
        kernel: Where.
        out: The directory that keeps the run's files; None: none does.
        as_json: One document instead of the ladder.
        plain: Without colours and box characters.
        lang: The language of what is shown.
        watch: Show its sockets meanwhile.
        after: What else is to be told below the ladder.

    Returns:
        The command's exit status.

    Raises:
        HandshakeError: As `handshake_lab.experiment.execute.conducted` does.
    """
    from handshake_lab.experiment.execute import conducted, prepare_directory
    from handshake_lab.verdict.judge import judge

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
        verdict = judge(run.record)
        if as_json:
            from handshake_lab.report.export.json_document import document, to_json

            click.echo(to_json(document(run.record, verdict=verdict)), nl=False)
        else:
            from handshake_lab.report.terminal.ladder import show

            show(run.record, judgement=verdict, plain=plain, lang=lang)
            if after:
                after(run)
        if run.interrupted:
            click.echo("handshake: interrupted; this is what was recorded up to then", err=True)
            return INTERRUPTED
    return verdict.exit_code
