"""Exploring programs without a test: a run fails if it lacks a property that every run must have."""

from __future__ import annotations

import contextlib
import json
import shlex
from typing import TYPE_CHECKING

from handshake_lab.experiment.execute import job_of
from handshake_lab.explore.outcome import Failed
from handshake_lab.explore.target import Target, kernel_maker
from handshake_lab.plan.checks import parse_links
from handshake_lab.plan.program_run import check_programs, parse_programs, plan_of
from handshake_lab.recording.run_files import ERROR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handshake_lab.explore.finding import Finding
    from handshake_lab.kernel.shared.job import JobResult

#: Seconds of the kernel's time that clients may take, and that their connections may take to end after them.
_LIMIT, _AFTER = 600.0, 200.0


@contextlib.contextmanager
def programs_target(
    servers: Sequence[str],
    clients: Sequence[str],
    topology: str,
    links: Sequence[str],
    kernel_name: str,
    seed: int,
    wall_limit: float,
    properties: tuple[str, ...],
) -> Iterator[Target]:
    """Programs as a target, within the block; the arguments are those of ``handshake record``.

    Raises:
        UsageError: A value is invalid.
    """
    programs, link_specs = parse_programs(servers, clients, _LIMIT, _AFTER), parse_links(links)
    check_programs(programs, topology, link_specs, ())
    make_kernel = kernel_maker(kernel_name, seed, wall_limit)
    plan = plan_of(programs, topology, link_specs, (), make_kernel().info)
    with job_of(plan) as job:
        yield Target("programs", job, make_kernel, _judge, properties)


def _judge(result: JobResult) -> Failed | None:
    """A run fails if it could not be recorded; the properties are checked later."""
    file = result.results / ERROR
    if not file.exists():
        return None
    document = json.loads(file.read_text())
    return Failed(document["error"], "; ".join(f"{name}: {value}" for name, value in document["fields"].items()))


def record_command(
    servers: Sequence[str], clients: Sequence[str], topology: str, links: Sequence[str], seed: int, finding: Finding
) -> str:
    """The command that records a finding of programs."""
    words = ["handshake", "record", "--topology", topology, "--seed", str(seed)]
    for option, values in (("--server", servers), ("--client", clients), ("--link", links)):
        for value in values:
            words += [option, value]
    for fault in finding.faults:
        words += ["--fault", str(fault)]
    return shlex.join(words)
