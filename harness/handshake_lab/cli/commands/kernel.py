"""handshake kernel: build, list and remove lab kernels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from handshake_lab.cli import options
from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from handshake_lab.kernel.lab.lab_images import LabKernelImage
    from handshake_lab.report.export.machine_documents import LabKernelDocument


@click.group()
def command() -> None:
    """Build, list, copy and remove lab kernels.

    A lab kernel is Linux built as an ordinary program (User-Mode Linux) with virtual time. The first command that
    needs one builds it. Use these commands to install several versions, which --kernel lab:VERSION selects.

    \b
    Examples:
      handshake kernel list
      handshake kernel build --version 6.1
      handshake kernel export kernel.tar.xz
    """


@command.command()
@click.option("--version", metavar="X.Y", help="Version of Linux, if the package mirror has it.  [default: the newest]")
@click.option("--source", metavar="PATH", help="Build from this tarball, linux-source package or source tree instead.")
@click.option("--force", is_flag=True, help="Build again, even if this source package has been built.")
def build(version: str | None, source: str | None, force: bool) -> None:
    """Build a lab kernel. It takes about four minutes on two processors.

    The default source is the newest linux-source package on the distribution's mirror, newer suites included. Kernels
    are kept in ~/.cache/handshake-lab (or under XDG_CACHE_HOME), by release and configuration.

    \b
    Examples:
      handshake kernel build
      handshake kernel build --version 6.1
      handshake kernel build --source linux-7.3.tar.xz
    """
    # Imported here, because only a build needs these.
    from handshake_lab.kernel.lab import provide_lab
    from handshake_lab.kernel.lab.build import source as sources
    from handshake_lab.kernel.packages.mirror import check_version
    from handshake_lab.kernel.shared import progress

    if version is not None and source is not None:
        raise UsageError(
            "--version", version, "cannot be combined with --source", "handshake kernel build --version 6.1"
        )
    if version is not None:
        check_version(version)
    given = sources.given(source) if source is not None else None
    with progress.shown() as shown:
        image = provide_lab.build(version, given, shown, force=force)
    click.echo(f"Linux {image.release} is ready: {image.directory}")


@command.command("list")
@options.json("the table")
def list_(as_json: bool) -> None:
    """List the lab kernels that were built.

    Kernels are in three places: "user", the user's cache; "wheel", the installed package handshake-lab-kernel;
    "system", the cache that all users of this machine share (/var/cache/handshake-lab).

    "current" kernels have the build configuration of this version of handshake; only they are used. Kernels with
    "forks" boot once and then fork for every run; the others boot for every run.
    """
    from handshake_lab.kernel.lab.lab_images import LabImages

    store = LabImages()
    images = store.images()
    if as_json:
        from handshake_lab.recording.observations import FORMAT_VERSION
        from handshake_lab.report.export.json_document import to_json
        from handshake_lab.report.export.machine_documents import KernelsDocument

        document = KernelsDocument(FORMAT_VERSION, str(store.root), [_described(image) for image in images])
        click.echo(to_json(document), nl=False)
        return
    if not images:
        click.echo("There is no lab kernel. Build one: handshake kernel build")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("release", "HZ", "built", "from", "place", "current", "forks", box=None)
    for image in images:
        built = image.built.astimezone().strftime("%Y-%m-%d %H:%M")
        answers = ("yes" if answer else "no" for answer in (image.current, image.forks))
        table.add_row(image.release, str(image.hz), built, image.origin, image.place, *answers)
    Console(highlight=False).print(table)


def _described(image: LabKernelImage) -> LabKernelDocument:
    from handshake_lab.report.export.machine_documents import LabKernelDocument

    return LabKernelDocument(
        version=image.version,
        release=image.release,
        hz=image.hz,
        built=image.built.isoformat(),
        origin=image.origin,
        directory=str(image.directory),
        place=image.place,
        key=image.key,
        current=image.current,
        forks=image.forks,
    )


def _chosen(version: str | None) -> LabKernelImage:
    """The installed kernel of a version, to export."""
    from handshake_lab.kernel.lab.lab_images import LabImages

    image = LabImages().find(version)
    if image is None:
        have = ", ".join(image.release for image in LabImages().images() if image.current) or "none"
        raise UsageError(
            "--version", version or "", f"is not among the current lab kernels ({have})", "handshake kernel build"
        )
    return image


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--version", metavar="X.Y", help="Version of the lab kernel.  [default: the newest]")
def export(file: Path, version: str | None) -> None:
    """Write a lab kernel to an archive, for other machines.

    The archive contains the kernel, its helper programs, and the files that the GPL requires. The last line of the
    output is the command that imports it.

    \b
    Examples:
      handshake kernel export kernel.tar.xz
      handshake kernel export kernel-6.1.tar.xz --version 6.1
    """
    from handshake_lab.kernel.lab.packaging.archive import export as write

    image = _chosen(version)
    digest = write(image, file)
    click.echo(f"Linux {image.release} is in {file} ({file.stat().st_size / 1e6:.1f} MB). To use it elsewhere:")
    click.echo(f"handshake kernel import {file.name} --sha256 {digest}")


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--sha256", metavar="DIGEST", help="The digest that export printed; required unless the kernel is a released one."
)
@click.option(
    "--system", is_flag=True, help="Install it for all users of this machine, in /var/cache/handshake-lab (as root)."
)
def import_(file: Path, sha256: str | None, system: bool) -> None:
    """Install the lab kernel of an archive; nothing is compiled.

    "handshake kernel export" writes such archives.

    \b
    Examples:
      handshake kernel import kernel.tar.xz --sha256 DIGEST
      sudo handshake kernel import kernel.tar.xz --sha256 DIGEST --system
    """
    from handshake_lab.kernel.lab.packaging import archive

    directory = archive.import_(file, sha256, system=system)
    click.echo(f"The lab kernel is ready: {directory}")


@command.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Directory for the wheel.  [default: .]",
)
@click.option("--version", metavar="X.Y", help="Version of the lab kernel.  [default: the newest]")
def wheel(out: Path, version: str | None) -> None:
    """Write a lab kernel as a wheel for pip.

    The package is handshake-lab-kernel. The wheel of a kernel is reproducible to the byte. Its file name contains the
    oldest version of glibc with which it runs.

    \b
    Examples:
      handshake kernel wheel --out wheels
      pip install --find-links wheels "handshake-lab[kernel]"
    """
    from handshake_lab.kernel.lab.packaging.wheel import write_wheel

    image = _chosen(version)
    file = write_wheel(image, out)
    click.echo(f"Linux {image.release} is in {file} ({file.stat().st_size / 1e6:.1f} MB).")


@command.command()
@click.argument("version")
def remove(version: str) -> None:
    """Remove the lab kernels of a version or a release.

    "handshake cache clean" removes those that this version of handshake does not use.

    \b
    Examples:
      handshake kernel remove 6.1
      handshake kernel remove 6.1.192
    """
    from handshake_lab.kernel.lab.lab_images import LabImages

    for image in LabImages().remove(version):
        click.echo(f"Removed Linux {image.release} ({image.directory}).")
