"""handshake cache: the files that are kept on this machine between runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def command() -> None:
    """List and remove the files that are kept between runs.

    Kernels, downloads and compiled programs are kept in ~/.cache/handshake-lab (or under XDG_CACHE_HOME), and in no
    other place: "handshake cache clean --all" and "pip uninstall handshake-lab" remove everything.

    \b
    Examples:
      handshake cache list
      handshake cache clean
      handshake cache clean --all
    """


_system = click.option(
    "--system", is_flag=True, help="The cache that all users of this machine share, /var/cache/handshake-lab."
)


@command.command("list")
@_system
def list_(system: bool) -> None:
    """List the files that are kept, and the space that they take."""
    from rich.console import Console
    from rich.table import Table

    from handshake_lab.kernel.cache_contents import entries

    root = _root(system=system)
    found = entries(root)
    if not found:
        click.echo(f"{root} is empty.")
        return
    table = Table("size", "directory", "what", "needed", box=None)
    table.columns[0].justify = "right"
    for entry in found:
        path = str(entry.path.relative_to(root))
        table.add_row(_size(entry.size), path, entry.purpose, "yes" if entry.needed else "no")
    click.echo(f"{root}: {_size(sum(entry.size for entry in found))}")
    Console(highlight=False).print(table)


@command.command()
@click.option("--all", "everything", is_flag=True, help="Also remove what runs need: the next run builds a kernel.")
@_system
def clean(everything: bool, system: bool) -> None:
    """Remove files that no run needs: downloads, logs, kernels of other versions.

    \b
    Examples:
      handshake cache clean
      handshake cache clean --all
      sudo handshake cache clean --all --system
    """
    from handshake_lab.kernel.cache_contents import clean as remove

    removed = remove(_root(system=system), everything=everything)
    for entry in removed:
        click.echo(f"Removed {entry.path} ({_size(entry.size)}): {entry.purpose}")
    click.echo(f"{_size(sum(entry.size for entry in removed))} freed.")


def _root(*, system: bool) -> Path:
    from handshake_lab.kernel.shared.cache import cache_root
    from handshake_lab.kernel.shared.places import SYSTEM_CACHE

    return SYSTEM_CACHE if system else cache_root()


def _size(octets: int) -> str:
    """Megabytes, as ls --si counts them: "9.7 MB"."""
    return f"{octets / 1e6:.1f} MB"
