"""Programs to run in hosts, and the ports on which a server must listen before clients start."""

from __future__ import annotations

import shlex
from typing import Literal, NamedTuple, Self

import msgspec

from handshake_lab.errors import UsageError


class ProgramSpec(msgspec.Struct, frozen=True):
    """A program to run in a host.

    ``name`` is unique in a run and names its output files; ``command`` is split into words as a shell
    splits them, but no shell runs it.
    """

    name: str
    node: str
    role: Literal["server", "client"]
    command: str

    @classmethod
    def parse(cls, text: str, role: Literal["server", "client"], node: str, number: int) -> Self:
        """A program as on the command line: ``"curl -s http://h2/"`` or ``"h3=curl -s http://h2/"``.

        Args:
            text: The command, preceded by ``HOST=`` unless it runs in the default host.
            role: Its role.
            node: The default host of that role.
            number: Its 1-based index within its role.

        Raises:
            UsageError: It is empty or its quotes do not match.
        """
        field, example = f"--{role}", f'--{role} "{node}=curl -s http://h2/"'
        before, equals, after = text.partition("=")
        if equals and before.isidentifier():
            node, text = before, after
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise UsageError(field, text, f"cannot be split into words ({error})", example) from None
        if not words:
            raise UsageError(field, text, "does not name a program", example)
        return cls(name=f"{node}-{role}-{number}", node=node, role=role, command=text)


class ProgramsSpec(msgspec.Struct, frozen=True):
    """Programs to run, and their time limits.

    ``limit``: the maximum time of the clients, in seconds of the kernel's time. ``after``: the
    maximum wait for connections to end after the clients have exited, in seconds.
    """

    programs: tuple[ProgramSpec, ...]
    limit: float
    after: float


class Listening(NamedTuple):
    """The port on which a server must listen: with a listening TCP socket, or a bound UDP socket.

    ``port``: 0 for any port.
    """

    protocols: frozenset[str]
    port: int = 0

    @classmethod
    def parse(cls, wanted: bool | int | str) -> Self:
        """``True`` (any port), ``80`` or ``"80"`` (TCP), ``"tcp:80"``, ``"udp:53"``, ``"udp"`` (any port).

        Raises:
            UsageError: It is none of these.
        """
        if wanted is True:
            return cls(frozenset({"tcp", "udp"}))
        protocol, colon, port = str(wanted).rpartition(":")
        if not colon and port in ("tcp", "udp"):
            return cls(frozenset({port}))
        if isinstance(wanted, bool) or protocol not in ("", "tcp", "udp") or not (port.isascii() and port.isdigit()):
            raise UsageError("listening", wanted, "is not a port", 'listening=80, or listening="udp:53"')
        if not 0 < int(port) < 1 << 16:
            raise UsageError("listening", wanted, "is not a port from 1 to 65535", "listening=80")
        return cls(frozenset({protocol or "tcp"}), int(port))

    def __str__(self) -> str:
        protocols = " or ".join(sorted(each.upper() for each in self.protocols))
        return f"{protocols} port {self.port}" if self.port else f"any {protocols} port"
