"""``handshake doctor``: what this machine has and lacks for each kernel kind."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from handshake_lab.doctor.check import Findings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(as_json: bool) -> None:
    r"""Try out what this machine can do, for each kernel kind.

    Everything is tried in throwaway namespaces; nothing is changed, nothing is left
    behind. Each lack comes with the command that mends it. The exit status is 0 if the
    lab kernel can be used, else 3.

    \b
    Examples:
      handshake doctor
      handshake doctor --json | jq .kernels.host.usable
    """
    from handshake_lab.doctor import host_checks, lab_checks, vm_checks

    findings = [lab_checks.examine(), host_checks.examine(), vm_checks.examine()]
    if as_json:
        import json

        click.echo(json.dumps({"kernels": {each.kind: each.described() for each in findings}}, indent=2))
    else:
        _show(findings)
    sys.exit(0 if findings[0].usable else 3)


def _show(findings: list[Findings]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for number, each in enumerate(findings):
        if number:
            console.print()
        verdict = Text("usable", style="bold green") if each.usable else Text("not usable yet", style="bold red")
        console.print(Text.assemble((f"--kernel {each.kind}", "bold"), f"  {each.purpose}: ", verdict))
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        for check in each.checks:
            if check.ok:
                mark = Text("✓", style="green")
            elif check.needed:
                mark = Text("✗", style="bold red")
            else:
                mark = Text("-", style="yellow")
            # Of a long complaint, a console's last words for instance, the table shows the beginning.
            table.add_row(mark, check.name, Text(check.detail.partition("\n")[0]))
        console.print(table)
        lacks = [check for check in each.checks if not check.ok and check.remedy]
        if lacks:
            console.print("  To mend it:" if not each.usable else "  To have all of it:")
        for check in lacks:
            console.print(Text(f"    {check.name}: {check.remedy}"), soft_wrap=True)
