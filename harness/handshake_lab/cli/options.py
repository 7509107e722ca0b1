"""Options that several verbs share."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from handshake_lab.errors import UsageError
from handshake_lab.report.text.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.plan.network_plan import NetworkPlan

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
    """``--seed``: all random numbers of a run on the lab kernel are derived from it."""
    return click.option(
        "--seed",
        type=Seed(),
        default=1,
        show_default=True,
        help="Seed of all random numbers on the lab kernel: the same seed gives the same run, to the byte.",
    )(function)


def kernel(function: _Function) -> _Function:
    """``--kernel``: the kernel of the run."""
    return click.option(
        "--kernel",
        "kernel_name",
        default="lab",
        show_default=True,
        metavar="KIND",
        help="The kernel that runs it: lab or lab:6.1 (User-Mode Linux), host (this machine's own), "
        "vm or vm:6.12 (a stock kernel under QEMU).",
    )(function)


def network(function: _Function) -> _Function:
    """``--link`` and ``--fault``: impairments, and faults on chosen segments."""
    function = click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="TEXT",
        help='Drop, delay, duplicate, reorder, corrupt, hold or inject segments: "drop SYN nth=1 from h1". '
        "Flags as in a ladder: SYN-ACK, FIN-PSH-ACK. Repeatable.",
    )(function)
    return links(function)


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
        help="Write the record (events.jsonl) and its capture (capture.pcapng) to this directory.",
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
        "--json", "as_json", is_flag=True, help=f"Print one JSON document (docs/json.md) instead of {instead_of}."
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
_SHOWN = frozenset({"out", "watch", "as_json", "plain", "lang"})


def again() -> str:
    """The command that repeats this run: the verb with the options that differ from their defaults."""
    context = click.get_current_context()
    words = ["handshake", context.info_name or ""]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in _SHOWN or value == parameter.get_default(context):
            continue
        values = value if isinstance(value, tuple) else (value,)
        for each in values:
            words += [str(each)] if isinstance(parameter, click.Argument) else [parameter.opts[0], str(each)]
    return shlex.join(words)
