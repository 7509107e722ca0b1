"""handshake demo: one connection, from the first SYN to the end of TIME-WAIT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from handshake_lab.cli import options
from handshake_lab.cli.run_and_show import carry_out
from handshake_lab.errors import UsageError
from handshake_lab.kernel.choose import WALL_LIMIT, choose_kernel
from handshake_lab.kernel.lab.lab_machine import LabMachine

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.plan.link import Impairment
    from handshake_lab.plan.run_plan import RunPlan


@click.command()
@click.option("--delay", default="50ms", show_default=True, help="One-way delay; the round-trip time is twice that.")
@click.option("--loss", default="0%", show_default=True, help="Random loss in each direction, as a percentage.")
@options.network
@options.topology
@options.check_repeat
@options.cost("only waiting takes virtual time")
@options.seed
@options.kernel
@options.machine
@options.out
@options.html
@options.ladder
@options.language
@options.with_grammar
def command(
    out: Path | None, html: Path | None, *, check_repeat: bool, as_json: bool, plain: bool, lang: str, **asked: Any
) -> int:
    """Run one TCP connection and show every segment and state.

    By default, hosts h1 and h2 are connected by a switch. With --topology, the first and the last host are used. h1
    connects, sends a request, receives the response and closes first. Both sides are recorded until TIME-WAIT ends;
    then every transition is compared with RFC 9293.

    \b
    Examples:
      handshake demo
      handshake demo --delay 200ms
      handshake demo --loss 20% --seed 7
      handshake demo --fault "drop SYN-ACK nth=1"
      handshake demo --fault "drop #11" --sysctl h2:net.ipv4.tcp_syncookies=2
      handshake demo --at 0s "cut h1-s1 for 5s"
      handshake demo --topology routed
      handshake demo --json | jq .verdict.text
      handshake demo --html my-run.html
      handshake demo --out my-run && handshake show my-run
    """
    plan, kernel = planned(**asked)
    return carry_out(plan, kernel, out, as_json=as_json, plain=plain, lang=lang, html=html, check_repeat=check_repeat)


def planned(
    *,
    delay: str,
    loss: str,
    links: tuple[str, ...],
    faults: tuple[str, ...],
    timed: tuple[tuple[str, str], ...],
    sysctls: tuple[str, ...],
    topology: str,
    cost: str | None,
    seed: int,
    kernel_name: str,
    memory: int | None,
    clock_start: str | None,
    wall_limit: float = WALL_LIMIT,
    fresh_boot: bool = True,
) -> tuple[RunPlan, Kernel]:
    """The plan of the options, and the kernel for it, which is killed after some seconds of real time.

    Raises:
        UsageError: One is invalid.
        EnvironmentUnsupported: This machine cannot run the kernel.
    """
    from handshake_lab.plan.checks import check_requests, parse_faults, parse_links
    from handshake_lab.plan.cost import NO_COST, parse_cost
    from handshake_lab.plan.link import LinkSpec
    from handshake_lab.plan.run_plan import RunPlan

    impairment = _impairment({"delay": delay, "loss": loss})
    link_specs = (*((LinkSpec(impairment),) if impairment else ()), *parse_links(links))
    wanted = parse_faults(faults)
    network = check_requests(topology, link_specs, wanted)
    options.print_notes(network)
    if sum(node.kind == "host" for node in network.nodes.values()) < 2:
        raise UsageError("--topology", topology, "has fewer than two hosts", "--topology star,n=3")
    machine = LabMachine.of(memory, clock_start)
    kernel = choose_kernel(kernel_name, seed, wall_limit, machine=machine, fresh_boot=fresh_boot)
    plan = RunPlan(
        script="handshake_lab.experiment.workloads.request_response:script",
        topology=topology,
        links=link_specs,
        faults=wanted,
        timed=options.read_timed(timed, network),
        sysctls=options.read_sysctls(sysctls, network),
        kernel=kernel.info,
        replay=options.again(),
        cost=parse_cost(cost) or NO_COST,
        cost_optional=False,
    )
    return plan, kernel


def _impairment(wanted: dict[str, object]) -> Impairment:
    """The impairment that the options describe; the example of an error is written as options, too.

    Raises:
        UsageError: A value is invalid.
    """
    from handshake_lab.plan.link import Impairment

    try:
        return Impairment.of(wanted, spell="--{}")
    except UsageError as error:
        example = " ".join("--" + item.replace("=", " ") for item in error.example.split(","))
        raise UsageError(error.field, error.value, error.reason, example) from None
