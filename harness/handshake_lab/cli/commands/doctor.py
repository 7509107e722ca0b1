"""handshake doctor: what each kind of kernel needs, and whether this machine has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from handshake_lab.cli import options
from handshake_lab.errors import EnvironmentUnsupported

if TYPE_CHECKING:
    from handshake_lab.doctor.check import Findings
    from handshake_lab.report.export.machine_documents import DoctorDocument


@click.command()
@options.json("the tables")
def command(as_json: bool) -> int:
    """Check which kernels this machine can run.

    The checks use temporary namespaces and change nothing on the machine. If something is missing, the command that
    installs it is printed. The exit status is 0 if the lab kernel can be used, and 3 otherwise.

    \b
    Examples:
      handshake doctor
      handshake doctor --json | jq .kernels.host.usable
    """
    from handshake_lab.doctor import host_checks, lab_checks, vm_checks

    findings = [lab_checks.examine(), host_checks.examine(), vm_checks.examine()]
    if as_json:
        from handshake_lab.report.export.json_document import to_json

        click.echo(to_json(_document(findings)), nl=False)
    else:
        _show(findings)
    return 0 if findings[0].usable else EnvironmentUnsupported.exit_code


def _document(findings: list[Findings]) -> DoctorDocument:
    from handshake_lab.recording.observations import FORMAT_VERSION
    from handshake_lab.report.export.machine_documents import CheckDocument, DoctorDocument, KernelKindDocument

    return DoctorDocument(
        FORMAT_VERSION,
        {
            each.kind: KernelKindDocument(
                each.usable,
                [CheckDocument(one.name, one.ok, one.needed, one.detail, one.remedy) for one in each.checks],
            )
            for each in findings
        },
    )


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
            # A detail may be the end of a console log: the table shows its first line.
            table.add_row(mark, check.name, Text(check.detail.partition("\n")[0]))
        console.print(table)
        lacks = [check for check in each.checks if not check.ok and check.remedy]
        if lacks:
            console.print("  To use it:" if not each.usable else "  To use all of it:")
        for check in lacks:
            console.print(Text(f"    {check.name}: {check.remedy}"), soft_wrap=True)
