"""handshake docs: the site of the documentation."""

from __future__ import annotations

from pathlib import Path

import click

from handshake_lab.checkout.root import REPOSITORY
from handshake_lab.checkout.site import build_site, serve_site


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the site to this directory, in place of an earlier one.  [default: site]",
)
@click.option(
    "--serve",
    metavar="ADDRESS:PORT",
    help="Serve the site instead, and build it again when a page changes: --serve localhost:8000",
)
def command(out: Path | None, serve: str | None) -> int:
    """Build the documentation of this checkout as a site.

    It is in English and Korean. A warning, such as a link that leads nowhere, is an error. The site can be read from
    its directory, without a server.

    \b
    Examples:
      handshake docs
      handshake docs --out /var/www/handshake
      handshake docs --serve localhost:8000
    """
    if serve is not None:
        return serve_site(serve)
    site = (out or REPOSITORY / "site").resolve()
    status = build_site(site)
    if status == 0:
        click.echo(f"The documentation is in {site / 'index.html'}")
    return status
