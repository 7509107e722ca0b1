"""Providing a lab kernel: one of this machine's, or one that is built from the distribution's source."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from handshake_lab.kernel.lab.build import configuration, toolchain
from handshake_lab.kernel.lab.build.compile import SPACE_NEEDED as BUILD_SPACE
from handshake_lab.kernel.lab.build.compile import Builder
from handshake_lab.kernel.lab.lab_images import LabImages
from handshake_lab.kernel.packages.mirror import SPACE_NEEDED as FETCH_SPACE
from handshake_lab.kernel.packages.mirror import Mirror, check_version
from handshake_lab.kernel.shared import cache, helper_programs
from handshake_lab.kernel.shared.processes import tidy_on_signals
from handshake_lab.kernel.shared.progress import Silent

if TYPE_CHECKING:
    from handshake_lab.kernel.lab.lab_images import LabKernelImage
    from handshake_lab.kernel.packages.kernel_source import Source
    from handshake_lab.kernel.shared.progress import Progress


class _Unless(Enum):
    """When a build is unnecessary."""

    ANY = "there is a kernel of that version"
    SAME_SOURCE = "there is a kernel built from the same package"
    NOTHING = "never"


def ensure(version: str | None = None, progress: Progress | None = None) -> LabKernelImage:
    """A kernel that is ready to run; built if there is none.

    Args:
        version: "6.1"; None takes the newest kernel, and builds the newest
            that the distribution offers if there is no kernel.
        progress: Receives the progress of a build.

    Raises:
        UsageError: ``version`` is invalid.
        KernelSourceMissing: Its source was not found.
        EnvironmentUnsupported: This machine cannot build it.
        KernelFailed: The build failed.
    """
    return LabImages().find(version) or _make(version, None, progress, _Unless.ANY)


def build(
    version: str | None = None,
    source: Source | None = None,
    progress: Progress | None = None,
    *,
    force: bool = False,
) -> LabKernelImage:
    """Build the newest point release of a version; it replaces a kernel of the same release.

    Nothing is built if there is already a kernel built from the same package. If the
    caller names a ``source``, a kernel is always built, because the source may have changed.

    Args:
        version: "6.1"; None takes the newest that the distribution offers.
        source: Build from this instead.
        progress: Receives the progress of the build.
        force: Build in any case.

    Raises:
        HandshakeError: As for `ensure`.
    """
    unless = _Unless.NOTHING if force or source is not None else _Unless.SAME_SOURCE
    return _make(version, source, progress, unless)


def _make(version: str | None, source: Source | None, progress: Progress | None, unless: _Unless) -> LabKernelImage:
    if version is not None:
        check_version(version)
    progress = progress or Silent()
    images = LabImages()

    def waiting() -> None:
        progress.note("Another handshake is building a lab kernel; waiting for it.")

    with tidy_on_signals(), cache.exclusive(waiting), cache.workshop() as workshop:
        helper_programs.provide(workshop)
        if unless is _Unless.ANY and (image := images.newest(version)):
            progress.note(f"Linux {image.release} is available now.")
            return image
        toolchain.demand()
        cache.demand_space(
            BUILD_SPACE + (FETCH_SPACE if source is None else 0), "Downloading and building the lab kernel"
        )
        if source is None:
            (workshop / "apt").mkdir()
            source = Mirror(workshop / "apt", images.root / "packages", progress).fetch(version)
        if unless is _Unless.SAME_SOURCE and (image := _built_from(images, source)):
            progress.note(f"Linux {image.release} has already been built from {source.origin}.")
            return image
        learned = {image.version: image.compiled_files for image in reversed(images.images())}
        built = Builder(workshop, images.root / "logs", progress, learned).build(source)
        place = images.root / "kernels" / f"{built.release.name}-{configuration.key()}"
        with cache.disk_errors("installing the kernel"):
            cache.install(built.directory, place)
    image = images.find(built.release.name)
    if image is None:
        raise AssertionError(f"{place} was just installed")
    return image


def _built_from(images: LabImages, source: Source) -> LabKernelImage | None:
    return next((image for image in images.images() if image.current and image.origin == source.origin), None)
