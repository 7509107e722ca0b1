"""Options that several verbs share, each declared once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.kernel.shared.protocol import Kernel

_Function = TypeVar("_Function", bound="Callable[..., Any]")

#: Seconds of wall time after which a lab kernel is taken to spin.
WALL_LIMIT = 120.0


class Seed(click.ParamType[int]):
    """A seed: a whole number from 0 to 2**64-1."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002
        """The number, or a usage error that says what is wrong."""
        if isinstance(value, int):
            return value
        if not (isinstance(value, str) and value.isascii() and value.isdigit()):
            raise UsageError("--seed", value, "is not a whole number", "--seed 7")
        if int(value) >= 1 << 64:
            raise UsageError("--seed", value, "does not fit into 64 bits", "--seed 7")
        return int(value)


def seed(function: _Function) -> _Function:
    """``--seed``: everything random in a run on the lab kernel is a function of it."""
    return click.option(
        "--seed",
        type=Seed(),
        default=1,
        show_default=True,
        help="Makes a run on the lab kernel repeatable to the byte.",
    )(function)


def kernel(function: _Function) -> _Function:
    """``--kernel``: where the run happens."""
    return click.option(
        "--kernel",
        "kernel_name",
        default="lab",
        show_default=True,
        metavar="KIND",
        help="Where it runs: lab, lab:VERSION (as in lab:6.1), host, vm, vm:RELEASE (as in vm:6.12).",
    )(function)


def network(function: _Function) -> _Function:
    """``--link`` and ``--fault``: what the network does to segments."""
    function = click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="TEXT",
        help='Something done to chosen segments: "drop SYN nth=1 from h1". Repeatable.',
    )(function)
    return click.option(
        "--link",
        "links",
        multiple=True,
        metavar="TEXT",
        help='Impairment of all links or one: "delay=50ms,loss=1%", "h1>h2:loss=5%". Repeatable.',
    )(function)


def out(function: _Function) -> _Function:
    """``--out``: where the run's files are kept."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Keep the record (events.jsonl) and its capture (capture.pcapng) here.",
    )(function)


def ladder(function: _Function) -> _Function:
    """``--json`` and ``--plain``: how a run is shown."""
    function = click.option("--plain", is_flag=True, help="No colour and no box characters: stable for diffing.")(
        function
    )
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the ladder.")(
        function
    )


def language(function: _Function) -> _Function:
    """``--lang``: the language of reports; the locale's by default."""
    return click.option(
        "--lang",
        type=click.Choice(["en", "ko"]),
        default=_locale_language,
        show_default="by LC_ALL, LC_MESSAGES, LANG",
        help="Language of reports. JSON is always English.",
    )(function)


def _locale_language() -> str:
    from handshake_lab.report.text.language import locale_language

    return locale_language()


#: Parameters that change what is shown or kept, not what happens.
_SHOWN = frozenset({"out", "watch", "as_json", "plain", "lang"})


def again() -> str:
    """The command that gives the run of the present command again, with all that was set and nothing else."""
    context = click.get_current_context()
    words = ["handshake", context.info_name or ""]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in _SHOWN or value == parameter.get_default(context):
            continue
        values = value if isinstance(value, tuple) else (value,)
        for each in values:
            words += [parameter.opts[0], str(each)]
    return shlex.join(words)


def choose_kernel(name: str, seed: int, wall_limit: float = WALL_LIMIT) -> Kernel:
    """The kernel that ``--kernel`` names, ready to run; a lab kernel is built where there is none.

    Raises:
        UsageError: There is no such kind.
        EnvironmentUnsupported: This machine cannot do it.
    """
    kind, _, version = name.partition(":")
    if kind == "lab":
        from handshake_lab.kernel.lab.lab_images import LabImages
        from handshake_lab.kernel.lab.lab_kernel import LabKernel
        from handshake_lab.kernel.shared.progress import shown

        store = LabImages()
        image = store.find(version or None)
        if image is None:
            with shown() as progress:
                image = store.ensure(version or None, progress)
        return LabKernel(image, seed=seed, wall_limit=wall_limit)
    if kind == "host":
        from handshake_lab.kernel.host.host_kernel import HostKernel
        from handshake_lab.kernel.lab.lab_images import LabImages

        return HostKernel(LabImages().supervisor(), wall_limit=wall_limit)
    if kind == "vm":
        from handshake_lab.kernel.vm.vm_kernel import prepared

        return prepared(version, wall_limit=wall_limit)
    raise UsageError("--kernel", name, "is no kind of kernel", "--kernel lab")
