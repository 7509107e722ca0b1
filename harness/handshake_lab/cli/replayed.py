"""The plan of a command that a record names, to run it again with a change: what serve needs of other verbs."""

from __future__ import annotations

import shlex
from importlib import import_module
from typing import TYPE_CHECKING

import click

from handshake_lab.errors import UsageError
from handshake_lab.plan.topology_file import split_file
from handshake_lab.serve.what_if import VERBS

if TYPE_CHECKING:
    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.plan.run_plan import RunPlan

_OUTPUT = frozenset({"out", "html", "check_repeat", "as_json", "plain", "lang"})


def replayed(command: str) -> tuple[RunPlan, Kernel]:
    """The plan of a command, and the kernel for it, which forks for each run.

    A record may come from anybody: what would be executed on this machine, rather than in a lab kernel, is refused.

    Raises:
        UsageError: It is not a run of `demo` or `record` on a lab kernel with a topology of this project.
        EnvironmentUnsupported: This machine cannot run the kernel.
    """
    example = "handshake demo --loss 20% --seed 7"
    try:
        words = shlex.split(command)
        program, verb, *options = words or ["", ""]
        if program != "handshake" or verb not in VERBS:
            raise UsageError("run", command, "cannot be run again here", example)
        module = import_module(f"handshake_lab.cli.commands.{verb}")
        with module.command.make_context(verb, options) as context:
            asked = {name: value for name, value in context.params.items() if name not in _OUTPUT}
            if split_file(asked["topology"]) is not None:
                raise UsageError("--topology", asked["topology"], "is a file, which is not executed here", example)
            if not asked["kernel_name"].startswith("lab"):
                raise UsageError("--kernel", asked["kernel_name"], "is not a lab kernel", example)
            found: tuple[RunPlan, Kernel] = module.planned(**asked, fresh_boot=False)
            return found
    except (click.ClickException, click.exceptions.Exit, ValueError) as error:
        raise UsageError("run", command, f"cannot be run again ({error})", example) from None
