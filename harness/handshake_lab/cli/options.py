"""Options that several verbs share."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from handshake_lab.errors import UsageError
from handshake_lab.kernel.shared.kernel_name import USUAL, in_real_time
from handshake_lab.report.text.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.plan.network_plan import NetworkPlan
    from handshake_lab.plan.timed_action import TimedAction

_Function = TypeVar("_Function", bound="Callable[..., Any]")


class Seed(click.ParamType[int]):
    """A seed: a whole number from 0 to 2**64-1."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002
        """Return the number, or raise a usage error."""
        if isinstance(value, int):
            return value
        if not (isinstance(value, str) and value.isascii() and value.isdigit()):
            raise UsageError("--seed", value, "is not a whole number", "--seed 7")
        if int(value) >= 1 << 64:
            raise UsageError("--seed", value, "does not fit into 64 bits", "--seed 7")
        return int(value)


def seed(function: _Function) -> _Function:
    """``--seed``: all random numbers of a run in virtual time are derived from it."""
    return click.option(
        "--seed",
        type=Seed(),
        default=1,
        show_default=True,
        help="Seed of all random numbers on lab and vm kernels: the same seed gives the same run, to the byte.",
    )(function)


def check_repeat(function: _Function) -> _Function:
    """``--check-repeat``: whether a run is a function of its seed."""
    return click.option(
        "--check-repeat",
        is_flag=True,
        help="Run twice. If the runs differ, print the first differing event and the program that it came from, "
        "and exit with status 1.",
    )(function)


def cost(default: str) -> Callable[[_Function], _Function]:
    """``--cost``: what programs' use of the machine costs in virtual time.

    Args:
        default: What is so without the option.
    """
    return click.option(
        "--cost",
        metavar="COSTS",
        help="Virtual time that each system call, clock reading and reading of the time-stamp counter takes on the lab "
        f'kernel: "syscall=1us,clock=1us,tsc=100ns", or none (docs/explanation/determinism.md). By default, {default}.',
    )


def forking_kernel(purpose: str = "") -> Callable[[_Function], _Function]:
    """``--kernel`` of a verb that keeps moments of a lab kernel.

    Args:
        purpose: What the kernel is for: "for sessions".
    """
    what = f"The lab kernel {purpose}".strip()
    return click.option(
        "--kernel",
        "kernel_name",
        default="lab",
        show_default=True,
        metavar="KIND",
        help=f"{what}: lab or lab:7.3. It has to be one that forks (handshake kernel list).",
    )


def machine(function: _Function) -> _Function:
    """``--memory``, ``--clock-start``: with what a lab kernel boots."""
    function = click.option(
        "--clock-start",
        metavar="TIME",
        help="The lab kernel's wall clock at boot, in ISO 8601, UTC unless it names a zone: "
        "$(date -I), for example, if a certificate was made today. Default: 2026-01-01.",
    )(function)
    return click.option("--memory", type=int, metavar="MIB", help="The lab kernel's memory in MiB. Default: 512.")(
        function
    )


def curves(function: _Function) -> _Function:
    """``--curves``: whether what `handshake show --plot` draws of the kernel is recorded."""
    return click.option(
        "--curves/--no-curves",
        default=True,
        show_default=True,
        help="Record the congestion window, slow-start threshold and smoothed round-trip time of each connection "
        "whenever a segment arrives, for handshake show --plot.",
    )(function)


def kernel(function: _Function) -> _Function:
    """``--kernel`` and ``--real-time``: the kernel of the run."""
    function = click.option(
        "--real-time",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_note_real_time,
        help="With --kernel vm: let time pass as on the wall clock, with all of this machine's files. Runs do not "
        "repeat then, and take as long as their timers.",
    )(function)
    return click.option(
        "--kernel",
        "kernel_name",
        default=USUAL,
        show_default=True,
        metavar="KIND",
        callback=_kernel_name,
        help="The kernel that runs it: lab or lab:6.1 (User-Mode Linux), host (this machine's own), "
        "vm or vm:6.12 (a stock kernel under QEMU, virtual time; docs/how-to/stock-kernels.md).",
    )(function)


_REAL_TIME = f"{__name__}.real_time"


def _note_real_time(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[_REAL_TIME] = value


def _kernel_name(context: click.Context, _: click.Parameter, value: str) -> str:
    """The kernel's name, with what ``--real-time`` adds to it."""
    return in_real_time(value) if context.meta[_REAL_TIME] else value


def sysctls(function: _Function) -> _Function:
    """``--sysctl``: settings of hosts."""
    return click.option(
        "--sysctl",
        "sysctls",
        multiple=True,
        metavar="[HOST:]NAME=VALUE",
        help="A setting of the kernel in all hosts, or in one: h2:net.ipv4.tcp_syncookies=2. Repeatable.",
    )(function)


def network(function: _Function) -> _Function:
    """``--link``, ``--fault``, ``--at``, ``--sysctl``: what the network does to segments, and settings of hosts."""
    function = sysctls(function)
    function = click.option(
        "--at",
        "timed",
        nargs=2,
        multiple=True,
        metavar="TIME ACTION",
        help='Perform an action at a given time of the run: --at 10s "cut h1-s1 for 30s", --at 2s "set h1>h2:loss=5%", '
        "or a fault. "
        "Syntax: see above. Repeatable.",
    )(function)
    function = click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="FAULT",
        help='Drop, delay, duplicate, reorder, corrupt, hold or inject segments: "drop SYN nth=1 from h1", or '
        '"drop #11" with the number in a ladder. Syntax: see above. Repeatable.',
    )(function)
    return links(function)


def with_grammar(function: _Function) -> _Function:
    """A verb whose help ends with the grammar of faults and of timed actions."""
    from handshake_lab.plan import fault_text, timed_action

    lines = [*fault_text.GRAMMAR.splitlines(), *timed_action.GRAMMAR.splitlines()]
    grammar = "\n".join(f"  {line}" for line in lines)
    function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n\b\nFaults (docs/how-to/faults.md):\n{grammar}\n"
    return function


def read_timed(pairs: tuple[tuple[str, str], ...], planned: NetworkPlan) -> tuple[TimedAction, ...]:
    """The values of ``--at``.

    Raises:
        UsageError: One is invalid, or the network does not have what it is about.
    """
    from handshake_lab.plan.timed_action import parse_timed

    found = parse_timed(pairs)
    for action in found:
        action.check(planned)
    return found


def read_sysctls(texts: tuple[str, ...], planned: NetworkPlan) -> dict[str, str]:
    """The values of ``--sysctl``, by their names.

    Raises:
        UsageError: One has no value, is not a setting of network namespaces, or is for a node that does not exist.
    """
    from handshake_lab.plan.sysctls import sysctl_settings

    wanted: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value.strip():
            raise UsageError("--sysctl", text, "has no value", "--sysctl h2:net.ipv4.tcp_syncookies=2")
        wanted[name.strip()] = value.strip()
    sysctl_settings(planned, wanted)
    return wanted


def topology(function: _Function) -> _Function:
    """``--topology``: the network."""
    return click.option(
        "--topology",
        default="pair",
        show_default=True,
        metavar="NAME",
        help="A name from `handshake topology list`, or a file with a Mininet Topo.",
    )(function)


def links(function: _Function) -> _Function:
    """``--link``: delay, loss and rate of links."""
    return click.option(
        "--link",
        "links",
        multiple=True,
        metavar="TEXT",
        help='Impairment of all links ("delay=50ms,loss=1%") or of one direction ("s1>h2:loss=5%"). Repeatable.',
    )(function)


def out(function: _Function) -> _Function:
    """``--out``: the directory that keeps the run's files."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Write the record (events.jsonl), its capture (capture.pcapng) and its page (index.html) to this "
        "directory, which must not contain another run.",
    )(function)


def html(function: _Function) -> _Function:
    """``--html``: the file for the page of a run."""
    return click.option(
        "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a self-contained HTML page, too."
    )(function)


def ladder(function: _Function) -> _Function:
    """``--json`` and ``--plain``: how a run is printed."""
    return json("the ladder")(plain(function))


def plain(function: _Function) -> _Function:
    """``--plain``: a ladder for files and diffs."""
    return click.option("--plain", is_flag=True, help="Print without colours and box-drawing characters.")(function)


def json(instead_of: str) -> Callable[[_Function], _Function]:
    """``--json``, with what it replaces."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help=f"Print one JSON document (docs/reference/json.md) instead of {instead_of}.",
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


def print_notes(planned: NetworkPlan) -> None:
    """Print what a topology asks for and this project does not apply, on standard error."""
    for note in planned.notes:
        click.echo(f"handshake: topology: {visible(note)}", err=True)


#: Parameters that change the output, not the run.
_SHOWN = frozenset({"check_repeat", "out", "html", "watch", "as_json", "plain", "lang"})


def again() -> str:
    """The command that repeats this run: the verb with the options that differ from their defaults."""
    context = click.get_current_context()
    given: list[str] = []
    arguments: list[str] = []  # behind the options: what follows a script is the script's own
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in _SHOWN or value is None or value == parameter.get_default(context):
            continue
        values = value if isinstance(value, tuple) else (value,)
        for each in values:
            if isinstance(parameter, click.Argument):
                arguments.append(str(each))
            else:
                given += [parameter.opts[0], *(map(str, each) if isinstance(each, tuple) else [str(each)])]
    return shlex.join(["handshake", context.info_name or "", *given, *arguments])
