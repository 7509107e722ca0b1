"""handshake doctor: what each kind of kernel needs, and whether this machine has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from handshake_lab.cli import options
from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.shared.kernel_name import USUAL

if TYPE_CHECKING:
    from handshake_lab.doctor.check import Findings
    from handshake_lab.report.export.machine_documents import DoctorDocument


@click.command()
@options.json("the tables")
@click.option(
    "--determinism",
    is_flag=True,
    help="Check instead that repeated runs are identical: record programs in several languages under several "
    "conditions of this machine (busy, stopped and continued, another path, user, locale, ...) "
    "and compare the runs. Takes minutes.",
)
@click.option("--short", is_flag=True, help="With --determinism: only the conditions that reveal the most differences.")
def command(*, as_json: bool, determinism: bool, short: bool) -> int:
    """Check which kernels this machine can run.

    The checks use temporary namespaces and change nothing on the machine. If something is missing, the command that
    installs it is printed. The exit status is 0 if the usual kernel can be used (lab, on arm64 machines vm), and 3
    otherwise.

    \b
    Examples:
      handshake doctor
      handshake doctor --json | jq .kernels.host.usable
      handshake doctor --determinism --short
    """
    if short and not determinism:
        raise UsageError("--short", "", "belongs to --determinism", "handshake doctor --determinism --short")
    if determinism:
        if as_json:
            raise UsageError("--json", "", "is not possible with --determinism", "handshake doctor --determinism")
        return _compare_runs(short=short)
    from handshake_lab.doctor import host_checks, lab_checks, vm_checks

    findings = [lab_checks.examine(), host_checks.examine(), vm_checks.examine()]
    if as_json:
        from handshake_lab.report.export.json_document import to_json

        click.echo(to_json(_document(findings)), nl=False)
    else:
        _show(findings)
    usual = next(each for each in findings if each.kind == USUAL)
    return 0 if usual.usable else EnvironmentUnsupported.exit_code


def _compare_runs(*, short: bool) -> int:
    """Print one line for each run that was compared. Returns 1 if one of them differs."""
    from handshake_lab.doctor.determinism import examine

    choose_kernel("lab", seed=1)  # built now, with its progress shown, not in the first run
    differ = same = 0
    for each in examine(short=short):
        name = f"{each.language}, {each.condition}" if each.condition else each.language
        if each.same is None:
            click.echo(f"- {name}: not tried: {each.detail}")
            continue
        same, differ = same + each.same, differ + (not each.same)
        click.echo(f"{'=' if each.same else '!'} {name}: {'the same' if each.same else each.detail}")
    click.echo(f"{same} runs are the same as the first of their program, {differ} differ")
    return int(differ > 0 or same == 0)


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
