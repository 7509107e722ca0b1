"""handshake demo: one connection, from the first SYN to the end of TIME-WAIT."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.cli.patience import waiting
from harness.errors import UsageError
from harness.kernel.job import INTERRUPTED

if TYPE_CHECKING:
    from pathlib import Path

    from harness.network.link import Impairment


@click.command()
@click.option("--delay", default="50ms", show_default=True, help="One-way delay; the round-trip time is twice that.")
@click.option("--loss", default="0%", show_default=True, help="Random loss in each direction.")
@options.network
@options.seed
@options.kernel
@options.out
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the ladder.")
@click.option("--plain", is_flag=True, help="No colour and no box characters: stable for diffing.")
@click.option("--lang", type=click.Choice(["en", "ko"]), default="en", show_default=True, help="Language of the text.")
def command(
    delay: str,
    loss: str,
    links: tuple[str, ...],
    faults: tuple[str, ...],
    seed: int,
    kernel_name: str,
    out: Path | None,
    *,
    as_json: bool,
    plain: bool,
    lang: str,
) -> int:
    """Run one real TCP connection and show every segment and every state.

    Two hosts with a switch between them: h1 connects to h2, asks, is answered, and closes first.
    Both sides are recorded until TIME-WAIT ends; then every transition is held against RFC 9293.

    \b
    Examples:
      handshake demo
      handshake demo --delay 200ms
      handshake demo --loss 20% --seed 7
      handshake demo --fault "drop SYN-ACK nth=1"
      handshake demo --json | jq .verdict
      handshake demo --out my-run && handshake show my-run
    """
    from harness.experiment.conduct import conducted
    from harness.experiment.plan import Plan
    from harness.network.requests import check_requests
    from harness.timeline.verdict import judge

    impairment = _impairment({"delay": delay, "loss": loss})
    wanted = tuple(filter(None, (str(impairment), *links)))
    check_requests("pair", wanted, faults)
    kernel = options.choose_kernel(kernel_name, seed)
    plan = Plan(
        script="harness.experiment.demo:script",
        links=wanted,
        faults=faults,
        kernel=kernel.info,
        replay=options.again(),
    )
    with contextlib.ExitStack() as stack:
        with waiting(f"Running on Linux {kernel.info.release} ({kernel.info.kind})"):
            run = stack.enter_context(conducted(plan, kernel, out))
        verdict = judge(run.record)
        if as_json:
            from harness.report.document import document, to_json

            click.echo(to_json(document(run.record, verdict=verdict)), nl=False)
        else:
            from harness.report.ladder import show

            show(run.record, judgement=verdict, plain=plain, lang=lang)
        if run.interrupted:
            click.echo("handshake: interrupted; this is what was recorded up to then", err=True)
            return INTERRUPTED
    return verdict.exit_code


def _impairment(wanted: dict[str, object]) -> Impairment:
    """What the options ask for; an error's example is written as options, too.

    Raises:
        UsageError: One of them cannot be meant.
    """
    from harness.network.link import Impairment

    try:
        return Impairment.of(wanted, spell="--{}")
    except UsageError as error:
        example = " ".join("--" + item.replace("=", " ") for item in error.example.split(","))
        raise UsageError(error.field, error.value, error.reason, example) from None
