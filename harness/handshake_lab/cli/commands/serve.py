"""handshake serve: the pages of a folder in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from handshake_lab.cli import options
from handshake_lab.errors import EnvironmentUnsupported


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=".")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="PORT",
    help="Listen on this port of 127.0.0.1.  [default: any that is free]",
)
@options.language
def command(folder: Path, port: int, *, lang: str) -> int:
    """Show the runs of a folder in a browser, while they are made.

    DIR is searched for recorded runs; by default, it is the current directory. Its pages are at the printed address,
    which contains a secret: only who knows it can see them, and only on this machine. Ctrl-C ends the server.

    \b
    Examples:
      handshake serve
      handshake serve handshake-artifacts --port 8000
      handshake serve my-runs --lang ko
    """
    try:
        from handshake_lab.serve.server import Server
    except ModuleNotFoundError as error:
        raise EnvironmentUnsupported(
            f"handshake serve needs the Python package {error.name}, which is not installed",
            "Install it: pip install 'handshake-lab[serve]'",
        ) from None
    server = Server(folder, port, lang)
    click.echo(f"Serving {folder}; Ctrl-C ends it. Open in a browser:\n{server.address}")
    try:
        server.run()
    except KeyboardInterrupt:
        click.echo()
    return 0
