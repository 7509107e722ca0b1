"""handshake claims: the claims of course notes about TCP, measured on a kernel."""

from __future__ import annotations

from typing import Any

import click

from handshake_lab.checkout.claims.claim import CLAIMS
from handshake_lab.cli import options
from handshake_lab.errors import UsageError
from handshake_lab.kernel.choose import choose_kernel


class _Claim(click.ParamType[str]):
    """A claim's id, in either case."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Return the id, or raise a usage error that lists the known ones."""
        if str(value).upper() not in CLAIMS:
            raise UsageError(
                "ID", value, f"is not a claim; the claims are {CLAIMS[0]} to {CLAIMS[-1]}", "handshake claims C19"
            )
        return str(value).upper()


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...", type=_Claim())
@options.json("the table")
@click.option(
    "--markdown", "as_markdown", is_flag=True, help="Print a page with every claim and the questions of the notes."
)
@options.seed
@options.kernel
@options.language
def command(ids: tuple[str, ...], seed: int, kernel_name: str, lang: str, *, as_json: bool, as_markdown: bool) -> int:
    """Measure the claims of course notes about TCP, C1 to C27.

    The claims are from two sets of notes about opening and closing connections. A claim holds, holds with a nuance, or
    does not hold here; the evidence states what was measured. To see the explanations of nuances, select claims by ID.
    The exit status is 0 if every claim has the expected verdict, and 1 otherwise. The measurements are tests in the
    checkout of this project, not in the installed package.

    \b
    Examples:
      handshake claims
      handshake claims C19 C20
      handshake claims --kernel lab:6.1 --json | jq '.claims[] | {id, verdict: .verdict.code}'
      handshake claims --markdown --lang ko > claims.ko.md
    """
    from handshake_lab.checkout.claims import claims_report
    from handshake_lab.checkout.claims.measuring import measure

    if as_json and as_markdown:
        raise UsageError("--markdown", True, "and --json cannot both be printed", "handshake claims --json")
    kernel = choose_kernel(kernel_name, seed).info
    wanted = [each for each in CLAIMS if each in ids]
    outcomes = measure(kernel_name, seed, wanted)
    if as_json:
        from handshake_lab.report.export.json_document import to_json

        click.echo(to_json(claims_report.document(outcomes, kernel)), nl=False)
    elif as_markdown:
        click.echo(claims_report.markdown(outcomes, kernel, lang), nl=False)
    else:
        from rich.console import Console

        console = Console(highlight=False)
        console.print(claims_report.shown(outcomes, lang, explained=bool(ids)))
        console.print(claims_report.summary(outcomes, lang))
    return 0 if all(outcome.as_expected for outcome in outcomes) else 1
