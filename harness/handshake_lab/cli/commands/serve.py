"""handshake serve: the pages of a folder in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from handshake_lab.cli import options
from handshake_lab.cli.replayed import replayed
from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.shared.kernel_name import check_lab


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=".")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="PORT",
    help="Listen on this port of 127.0.0.1.  [default: any that is free]",
)
@options.forking_kernel("for sessions and other futures")
@click.option("--no-lab", is_flag=True, help="Only show recorded runs: no kernel is needed.")
@options.language
def command(folder: Path, port: int, kernel_name: str, *, no_lab: bool, lang: str) -> int:
    """Show the runs of a folder in a browser, and step through others.

    DIR is searched for recorded runs; by default, it is the current directory. A page changes while its run is made.
    A click on a segment asks what would have happened if it had been lost, delayed, doubled or followed by a reset:
    the run is repeated in a lab kernel up to there, and continued. A session is the shell (handshake shell) in a page.

    The pages are at the printed address, which contains a secret: only who knows it can see them, and only on this
    machine. Ctrl-C ends the server.

    \b
    Examples:
      handshake serve
      handshake serve handshake-artifacts --port 8000
      handshake serve my-runs --lang ko --no-lab
    """
    try:
        from handshake_lab.serve.server import Server
    except ModuleNotFoundError as error:
        raise EnvironmentUnsupported(
            f"handshake serve needs the Python package {error.name}, which is not installed",
            "Install it: pip install 'handshake-lab[serve]'",
        ) from None
    if not no_lab:
        check_lab(kernel_name, "runs in real time, which does not stand")
        choose_kernel(kernel_name, 1)  # a missing kernel is built now, with its progress shown
    server = Server(folder, port, lang, kernel="" if no_lab else kernel_name, replayed=replayed)
    click.echo(f"Serving {folder}; Ctrl-C ends it. Open in a browser:\n{server.address}")
    try:
        server.run()
    except KeyboardInterrupt:
        click.echo()
    return 0
