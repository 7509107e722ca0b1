"""The plan of a command that a record names, to run it again with a change: what serve needs of other verbs."""

from __future__ import annotations

import shlex
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from handshake_lab.errors import UsageError
from handshake_lab.kernel.lab.lab_images import LabImages
from handshake_lab.kernel.shared.kernel_name import check_lab
from handshake_lab.plan.topology_file import split_file
from handshake_lab.plan.units import duration
from handshake_lab.serve.what_if import VERBS

if TYPE_CHECKING:
    from handshake_lab.kernel.shared.protocol import Kernel
    from handshake_lab.plan.run_plan import RunPlan

#: The most that a repeated run may take: seconds of real time, MiB of memory.
MOST_WALL, MOST_MEMORY = 60, 1024
_OUTPUT = frozenset({"out", "html", "check_repeat", "as_json", "plain", "lang"})


def replayed(command: str) -> tuple[RunPlan, Kernel]:
    """The plan of a command, and the kernel for it, which forks for each run.

    A record may come from anybody: what would be executed on this machine, rather than in a lab kernel, is refused.

    Raises:
        UsageError: It is not a run of `demo` or `record` on an installed lab kernel with a topology of this project.
        EnvironmentUnsupported: This machine cannot run the kernel.
    """
    example = "handshake demo --loss 20% --seed 7"
    try:
        words = shlex.split(command)
        if len(words) < 2 or words[0] != "handshake" or words[1] not in VERBS:
            raise UsageError("run", command, "cannot be run again here", example)
        _, verb, *options = words
        module = import_module(f"handshake_lab.cli.commands.{verb}")
        with module.command.make_context(verb, options) as context:
            asked = {name: value for name, value in context.params.items() if name not in _OUTPUT}
            if split_file(asked["topology"]) is not None:
                raise UsageError("--topology", asked["topology"], "is a file, which is not executed here", example)
            _check_installed(asked["kernel_name"])
            _limit(asked)
            found: tuple[RunPlan, Kernel] = module.planned(**asked, fresh_boot=False)
            return found
    except (click.ClickException, click.exceptions.Exit, ValueError) as error:
        raise UsageError("run", command, f"cannot be run again ({error})", example) from None


def _check_installed(name: str) -> None:
    """A record does not have a kernel built.

    Raises:
        UsageError: It is not a lab kernel, or is not installed.
    """
    version = check_lab(name, "is not a lab kernel").version
    if LabImages().find(version or None) is None:
        build = f"handshake kernel build --version {version}" if version else "handshake kernel build"
        raise UsageError("--kernel", name, "is not installed", build)


def _limit(asked: dict[str, Any]) -> None:
    """Limit the real time to `MOST_WALL`.

    Raises:
        UsageError: The memory is more than `MOST_MEMORY`, or the limit is invalid.
    """
    if (asked["memory"] or 0) > MOST_MEMORY:
        reason = f"is more than the {MOST_MEMORY} MiB with which a run is repeated"
        raise UsageError("--memory", asked["memory"], reason, "--memory 1024")
    if "wall_limit" not in asked:
        asked["wall_limit"] = MOST_WALL  # demo has no option for it
    elif duration("--wall-limit", asked["wall_limit"]) > MOST_WALL * 1e9:
        asked["wall_limit"] = f"{MOST_WALL}s"
