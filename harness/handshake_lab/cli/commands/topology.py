"""handshake topology: list the networks, and measure one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click
import msgspec

from handshake_lab.cli import options
from handshake_lab.cli.waiting import waiting
from handshake_lab.kernel.choose import choose_kernel

if TYPE_CHECKING:
    from handshake_lab.report.export.machine_documents import MeasurementDocument


@click.group()
def command() -> None:
    """List topologies, and measure one with real packets.

    \b
    Examples:
      handshake topology list
      handshake topology check pair --link delay=50ms,loss=1%
    """


@command.command("list")
@options.json("the list")
def list_(*, as_json: bool) -> None:
    """List the topologies, with their parameters.

    Where a command expects the name of a topology, the path of a Python file with a Mininet Topo class works, too.

    \b
    Examples:
      handshake topology list
      handshake topology list --json | jq -r '.topologies[].name'
    """
    import inspect

    from handshake_lab.plan.load_topology import MODULES, load_topology
    from handshake_lab.recording.observations import FORMAT_VERSION
    from handshake_lab.report.export.json_document import to_json
    from handshake_lab.report.export.machine_documents import TopologiesDocument, TopologyDocument

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
            TopologyDocument(
                name=name,
                summary=(inspect.getdoc(type(topo)) or "").partition("\n")[0],
                drawing=_drawing(inspect.getdoc(module) or ""),
                parameters=parameters,
            )
        )
    if as_json:
        click.echo(to_json(TopologiesDocument(FORMAT_VERSION, found)), nl=False)
        return
    for one in found:
        click.echo(click.style(one.name, bold=True) + f"  {one.summary}")
        click.echo("\n".join("    " + line for line in one.drawing))
        click.echo(f"    parameters: {', '.join([*one.parameters, 'every property of a link'])}\n")


def _drawing(text: str) -> list[str]:
    """The drawing in a module's docstring: its indented lines."""
    return [line[4:] for line in text.splitlines() if line.startswith("    ")]


@command.command()
@click.argument("topology", default="pair")
@options.links
@click.option(
    "--probes", type=click.IntRange(100, 1_000_000), default=4000, show_default=True, help="Packets sent per path."
)
@click.option(
    "--hosts", type=click.IntRange(2), default=8, show_default=True, help="Number of hosts to measure between."
)
@options.seed
@options.kernel
@options.json("the table")
def check(
    topology: str, links: tuple[str, ...], probes: int, hosts: int, seed: int, kernel_name: str, *, as_json: bool
) -> int:
    """Measure a network and compare it with the requested impairments.

    Round-trip time, delay, loss and rate are measured with real packets. TOPOLOGY is a name (pair), a name with
    parameters (star,n=5), or the path of a Python file with a Mininet Topo class (docs/how-to/topologies.md). The exit
    status is 1 if a measured value differs from the requested one.

    \b
    Examples:
      handshake topology check
      handshake topology check star,n=5 --link delay=20ms --link "h1>s1:rate=10mbit"
      handshake topology check ./course.py
    """
    from handshake_lab.errors import KernelFailed
    from handshake_lab.experiment.execute import raise_stored_error
    from handshake_lab.experiment.topology_in_kernel import shown_topology
    from handshake_lab.kernel.shared.job import Job
    from handshake_lab.network.measure import FINDINGS
    from handshake_lab.plan.checks import check_requests, parse_links
    from handshake_lab.recording.observations import FORMAT_VERSION
    from handshake_lab.report.export.json_document import to_json
    from handshake_lab.report.export.machine_documents import MeasurementDocument, TopologyCheckDocument

    link_specs = parse_links(links)
    options.print_notes(check_requests(topology, link_specs, ()))
    kernel = choose_kernel(kernel_name, seed)
    with contextlib.ExitStack() as stack:
        found, directories = stack.enter_context(shown_topology(topology))
        argument = {"topology": found, "links": msgspec.to_builtins(link_specs), "probes": probes, "hosts": hosts}
        job = Job(call="handshake_lab.network.measure:job", argument=argument, readable=directories)
        with waiting(f"Measuring on Linux {kernel.info.release} ({kernel.info.kind})"):
            outcome = stack.enter_context(kernel.run(job))
        raise_stored_error(outcome.results)
        file = outcome.results / FINDINGS
        if outcome.status != 0 or not file.exists():
            raise KernelFailed("the check failed in the kernel", outcome.console)
        measured = msgspec.json.decode(file.read_bytes(), type=list[MeasurementDocument])
    if as_json:
        click.echo(to_json(TopologyCheckDocument(FORMAT_VERSION, topology, list(links), measured)), nl=False)
    else:
        _table(measured)
    return 0 if all(each.right for each in measured) else 1


def _table(measured: list[MeasurementDocument]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("path", "", "asked for", "measured", "")
    for each in measured:
        sign = "[green]✓[/]" if each.right else "[red]✗[/]"
        table.add_row(each.path, each.what, each.asked, each.measured, sign)
    Console().print(table)
