"""handshake topology: what networks there are, and whether one does what it says."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import click

from handshake_lab.cli import options
from handshake_lab.cli.waiting import waiting


@click.group()
def command() -> None:
    """List topologies, and check one with real packets.

    \b
    Examples:
      handshake topology list
      handshake topology check pair --link delay=50ms,loss=1%
      handshake topology check my_topo.py --link "h1>h2:rate=10mbit"
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(*, as_json: bool) -> None:
    """The topologies of this project; a path of a file with a Mininet Topo works as well."""
    import inspect

    from handshake_lab.plan.load_topology import MODULES, load_topology

    found = []
    for name in MODULES:
        topo = load_topology(name)
        module = inspect.getmodule(type(topo))
        parameters = [
            f"{parameter.name}={parameter.default}"
            for parameter in inspect.signature(topo.build).parameters.values()  # type: ignore[attr-defined]
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        found.append(
            {
                "name": name,
                "summary": (inspect.getdoc(type(topo)) or "").partition("\n")[0],
                "drawing": _drawing(inspect.getdoc(module) or ""),
                "parameters": parameters,
            }
        )
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for one in found:
        click.echo(click.style(str(one["name"]), bold=True) + f"  {one['summary']}")
        click.echo("\n".join("    " + line for line in one["drawing"]))
        click.echo(f"    parameters: {', '.join([*one['parameters'], 'every property of a link'])}\n")


def _drawing(text: str) -> list[str]:
    """The drawing in a module's docstring: its indented lines."""
    return [line[4:] for line in text.splitlines() if line.startswith("    ")]


@command.command()
@click.argument("topology", default="pair")
@click.option("--link", "links", multiple=True, metavar="TEXT", help='As for demo: "delay=50ms,loss=1%". Repeatable.')
@click.option(
    "--probes", type=click.IntRange(100, 1_000_000), default=4000, show_default=True, help="Packets per path."
)
@click.option(
    "--hosts", type=click.IntRange(2), default=8, show_default=True, help="Check paths between so many hosts."
)
@options.seed
@options.kernel
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(
    topology: str, links: tuple[str, ...], probes: int, hosts: int, seed: int, kernel_name: str, *, as_json: bool
) -> int:
    """Build a network and measure it: round-trip time, delay, loss and rate against what was asked for.

    TOPOLOGY is a name (pair), a name with parameters (star,n=5), or a path of a file.
    The exit status is 1 where a measured value is not the one asked for.
    """
    from handshake_lab.errors import KernelFailed
    from handshake_lab.kernel.shared.job import Job
    from handshake_lab.network.measure import FINDINGS
    from handshake_lab.plan.checks import check_requests

    check_requests(topology, links, ())
    kernel = options.choose_kernel(kernel_name, seed)
    argument = {"topology": topology, "links": list(links), "probes": probes, "hosts": hosts}
    with contextlib.ExitStack() as stack:
        with waiting(f"Measuring on Linux {kernel.info.release} ({kernel.info.kind})"):
            outcome = stack.enter_context(kernel.run(Job(call="handshake_lab.network.measure:job", argument=argument)))
        file = outcome.results / FINDINGS
        if outcome.status != 0 or not file.exists():
            raise KernelFailed("the check failed inside the kernel", outcome.console)
        findings: list[dict[str, Any]] = json.loads(file.read_text())
    if as_json:
        click.echo(json.dumps({"topology": topology, "links": list(links), "findings": findings}, indent=2))
    else:
        _table(findings)
    return 0 if all(finding["right"] for finding in findings) else 1


def _table(findings: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("path", "", "asked for", "measured", "")
    for finding in findings:
        sign = "[green]✓[/]" if finding["right"] else "[red]✗[/]"
        table.add_row(finding["path"], finding["what"], finding["asked"], finding["measured"], sign)
    Console().print(table)
