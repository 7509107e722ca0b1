"""The commands of `handshake shell` that act on the network, parsed (docs/how-to/shell.md).

    >>> ShellCommand.parse("step until ESTABLISHED on h2", ["h1", "h2"])
    ShellCommand(verb='step', until=Until(state='ESTABLISHED', host='h2'))

Pure; `handshake_lab.experiment.shell_session` executes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan import units
from handshake_lab.tcp.states import parse_state

if TYPE_CHECKING:
    from collections.abc import Sequence

Verb = Literal["program", "py", "pingall", "step", "run"]

#: What happens to the segment that waits in the middle, by the command, as in `handshake_lab.plan.schedule.FATES`.
FATES = {"drop": "drop", "delay": "delay", "duplicate": "duplicate", "corrupt": "corrupt", "rst": "reset"}
#: All words that such a command can begin with, besides the name of a host.
ACTING = ("step", "run", *FATES, "py", "pingall")
_MOST_STEPS = 1000


class Until(msgspec.Struct, frozen=True):
    """A state of any socket of a host; CLOSED: the host has no sockets except listeners."""

    state: str
    host: str


class ShellCommand(msgspec.Struct, frozen=True, omit_defaults=True, repr_omit_defaults=True):
    """One command.

    Attributes:
        verb: What is done.
        text: The program with its arguments, or the Python statement.
        host: The host that runs the program.
        background: Whether the program runs in the background (``&``).
        count: How many segments ``step`` delivers.
        fate: What happens to the waiting segment instead of its delivery, with its duration.
        span: How long ``run`` delivers segments, in nanoseconds; None: until the programs have ended.
        until: The state at which ``step`` or ``run`` ends.
    """

    verb: Verb
    text: str = ""
    host: str = ""
    background: bool = False
    count: int = 1
    fate: str = ""
    span: int | None = None
    until: Until | None = None

    @classmethod
    def parse(cls, line: str, hosts: Sequence[str]) -> Self:
        """The command in a line.

        Raises:
            UsageError: It is not one.
        """
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if word in hosts:
            return cls._program(word, rest)
        if word in FATES:
            return cls("step", fate=_fate(word, rest))
        if word == "pingall" and not rest:
            return cls("pingall")
        if word == "py" and rest:
            return cls("py", text=rest)
        if word == "step":
            return cls._advance("step", rest, hosts)
        if word == "run":
            return cls._advance("run", rest, hosts)
        raise UsageError("command", line.strip(), "is not known here; help lists all commands", "step")

    @classmethod
    def _advance(cls, word: Literal["step", "run"], rest: str, hosts: Sequence[str]) -> Self:
        if rest.startswith("until"):
            return cls(word, until=_until(word, rest, hosts))
        if word == "step":
            return cls("step", count=_count(rest))
        return cls("run", span=units.duration("run", rest) if rest else None)

    @classmethod
    def _program(cls, host: str, rest: str) -> Self:
        text = rest.removesuffix("&").rstrip()
        if not text:
            raise UsageError("command", f"{host} {rest}".rstrip(), "has no program", f"{host} ss -tan")
        background = rest.endswith("&") and not rest.endswith("&&")
        return cls("program", text=text if background else rest, host=host, background=background)


def _fate(word: str, rest: str) -> str:
    if word != "delay":
        if rest:
            raise UsageError(word, rest, "is not needed: it acts on the segment that waits", word)
        return FATES[word]
    units.duration("delay", rest or "nothing")
    return f"delay {rest}"


def _until(word: str, rest: str, hosts: Sequence[str]) -> Until:
    example = f"{word} until ESTABLISHED on h2"
    words = rest.split()
    if len(words) != 4 or words[2] != "on":
        raise UsageError(word, rest, "is not a state and a host", example)
    if words[3] not in hosts:
        raise UsageError(word, rest, f"names no host of this network (they are {', '.join(hosts)})", example)
    return Until(str(parse_state(words[1].upper())), words[3])


def _count(rest: str) -> int:
    if not rest:
        return 1
    if not (rest.isascii() and rest.isdigit() and 1 <= int(rest) <= _MOST_STEPS):
        raise UsageError("step", rest, f"is not a number from 1 to {_MOST_STEPS}", "step 3")
    return int(rest)
