"""Reads commands: from a terminal, with completion and history, or from a file."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TextIO

import click

from handshake_lab.errors import HandshakeError
from handshake_lab.report.text.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.shell.session import Session

PROMPT = "handshake> "


def ask(session: Session) -> None:
    """Read commands from the terminal until the session ends. An error is shown; the session goes on."""
    click.echo(
        "The clock stands between two commands. help lists them; Tab completes, the arrow keys go back in history."
    )
    with _completion(session):
        while not session.ended:
            try:
                line = input(PROMPT)
            except EOFError:
                click.echo()
                return
            except KeyboardInterrupt:
                click.echo()
                continue
            try:
                _show(session.execute(line))
            except HandshakeError as error:
                _show([str(error)])
            except KeyboardInterrupt:
                _show(["interrupted; nothing has changed"])


def follow(session: Session, commands: TextIO) -> None:
    """Execute the lines of a file, each shown after the prompt, as at a terminal.

    Raises:
        HandshakeError: A command failed; later ones are not executed.
    """
    for line in commands:
        if session.ended:
            return
        _show([f"{PROMPT}{line.rstrip()}"])
        _show(session.execute(line))


def _show(lines: list[str]) -> None:
    for line in lines:
        click.echo(visible(line))


@contextlib.contextmanager
def _completion(session: Session) -> Iterator[None]:
    """Completion of the first word with Tab, and the history of this session, if Python has readline."""
    try:
        import readline  # noqa: PLC0415 -- not every Python has it
    except ImportError:
        yield
        return

    def complete(text: str, number: int) -> str | None:
        first = not readline.get_line_buffer()[: readline.get_begidx()].strip()
        found = [word for word in (session.words if first else session.hosts) if word.startswith(text)]
        return f"{found[number]} " if number < len(found) else None

    before = readline.get_completer()
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(before)
