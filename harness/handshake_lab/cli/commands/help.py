"""handshake help: the help of the program, or of one verb."""

from __future__ import annotations

import click

from handshake_lab.errors import UsageError


@click.command()
@click.argument("verb", nargs=-1)
@click.pass_context
def command(context: click.Context, verb: tuple[str, ...]) -> None:
    """Print the help of a verb: the same as --help.

    \b
    Examples:
      handshake help
      handshake help demo
      handshake help topology check
    """
    at = context.parent or context
    for word in verb:
        group = at.command
        found = group.get_command(at, word) if isinstance(group, click.Group) else None
        if found is None:
            known = ", ".join(group.list_commands(at)) if isinstance(group, click.Group) else "none"
            raise UsageError("VERB", " ".join(verb), f"is not a verb (there are {known})", "handshake help demo")
        at = click.Context(found, info_name=word, parent=at, help_option_names=context.help_option_names)
    click.echo(at.get_help())
