"""The lab kernels of this machine, and building one if there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.lab.build import configuration
from handshake_lab.kernel.packages.releases import version_order
from handshake_lab.kernel.shared import cache, helper_programs, places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handshake_lab.kernel.packages.kernel_source import Source
    from handshake_lab.kernel.shared.progress import Progress


class _Unless(Enum):
    """When a build is unnecessary."""

    ANY = "there is a kernel of that version"
    SAME_SOURCE = "there is a kernel built from the same package"
    NOTHING = "never"


@dataclass(frozen=True, slots=True)
class LabKernelImage:
    """A built lab kernel.

    Attributes:
        version: Which Linux: "7.3".
        release: The complete release, "7.3.4", as in ``uname -r``.
        directory: Its directory.
        place: Where that is: "user", "wheel" or "system" (`handshake_lab.kernel.shared.places`).
        helpers: The directory of the programs that are compiled beside it.
        key: The key of the configuration it was built with.
        hz: Its timer ticks per second (CONFIG_HZ).
        built: When it was built.
        origin: The source it was built from: a package and its version, or a path.
        compiled_files: How many files the build compiled.
        forks: Whether it can be parked and forked (docs/machine_fork.md).
    """

    version: str
    release: str
    directory: Path
    place: str
    helpers: Path
    key: str
    hz: int
    built: datetime
    origin: str
    compiled_files: int
    forks: bool

    @property
    def linux(self) -> Path:
        """The kernel: an ordinary program."""
        return self.directory / "linux"

    @property
    def shim(self) -> Path:
        """The library to preload into it, which answers getrandom() from HANDSHAKE_SEED."""
        return self.helper("seed")

    @property
    def supervisor(self) -> Path:
        """The program that starts the kernel and ends it."""
        return self.helper("supervisor")

    @property
    def current(self) -> bool:
        """Whether it was built with the present configuration."""
        return self.key == configuration.key()

    def helper(self, name: str) -> Path:
        """The file that ``<name>.c`` was compiled to."""
        return self.helpers / helper_programs.product(name)


class LabImages:
    """The kernels that this machine has (`handshake_lab.kernel.shared.places`); new ones go to the user's cache."""

    @property
    def root(self) -> Path:
        """The user's cache."""
        return cache.cache_root()

    def images(self) -> list[LabKernelImage]:
        """All kernels, including those of other configurations; the newest first."""
        return sorted(self._read(), key=_order, reverse=True)

    def _read(self) -> Iterator[LabKernelImage]:
        for place in places.places():
            for description in sorted(place.root.glob("kernels/*/kernel.json")):
                yield self._image(place, description)

    @staticmethod
    def _image(place: places.Place, description: Path) -> LabKernelImage:
        directory = description.parent
        try:
            about = json.loads(description.read_bytes())
            image = LabKernelImage(
                version=about["version"],
                release=about["release"],
                directory=directory,
                place=place.name,
                helpers=helper_programs.directory(),
                key=about["key"],
                hz=about["hz"],
                built=datetime.fromisoformat(about["built"]),
                origin=about["origin"],
                compiled_files=about["compiled_files"],
                forks=about.get("forks", False),
            )
            whole = image.linux.stat().st_size == about["size"]
        except (OSError, ValueError, KeyError) as error:
            raise _damaged(directory) from error
        if not whole:
            raise _damaged(directory)
        return image

    def find(self, version: str | None = None) -> LabKernelImage | None:
        """The newest kernel of the present configuration that is ready to run.

        Args:
            version: "6.1" or "6.1.192"; None takes any.
        """
        if not helper_programs.directory().is_dir():
            return None
        return self._find_kernel(version)

    def _find_kernel(self, version: str | None) -> LabKernelImage | None:
        present = configuration.key()
        fitting = [
            image for image in self._read() if image.key == present and version in {None, image.version, image.release}
        ]
        return max(fitting, key=_order, default=None)

    def ensure(self, version: str | None = None, progress: Progress | None = None) -> LabKernelImage:
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
        return self.find(version) or self._make(version, None, progress, _Unless.ANY)

    def build(
        self,
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
            HandshakeError: As for :meth:`ensure`.
        """
        unless = _Unless.NOTHING if force or source is not None else _Unless.SAME_SOURCE
        return self._make(version, source, progress, unless)

    def _make(
        self, version: str | None, source: Source | None, progress: Progress | None, unless: _Unless
    ) -> LabKernelImage:
        # Imported here, because only a build needs these, and every start looks up a kernel.
        from handshake_lab.kernel.lab.build import toolchain  # noqa: PLC0415
        from handshake_lab.kernel.lab.build.compile import SPACE_NEEDED as BUILD_SPACE  # noqa: PLC0415
        from handshake_lab.kernel.lab.build.compile import Builder  # noqa: PLC0415
        from handshake_lab.kernel.packages.mirror import SPACE_NEEDED as FETCH_SPACE  # noqa: PLC0415
        from handshake_lab.kernel.packages.mirror import Mirror, check_version  # noqa: PLC0415
        from handshake_lab.kernel.shared.processes import tidy_on_signals  # noqa: PLC0415
        from handshake_lab.kernel.shared.progress import Silent  # noqa: PLC0415

        if version is not None:
            check_version(version)
        progress = progress or Silent()

        def waiting() -> None:
            progress.note("Another handshake is building a lab kernel; waiting for it.")

        with tidy_on_signals(), cache.exclusive(waiting), cache.workshop() as workshop:
            helper_programs.provide(workshop)
            if unless is _Unless.ANY and (image := self._find_kernel(version)):
                progress.note(f"Linux {image.release} is available now.")
                return image
            toolchain.demand()
            cache.demand_space(
                BUILD_SPACE + (FETCH_SPACE if source is None else 0), "Downloading and building the lab kernel"
            )
            if source is None:
                (workshop / "apt").mkdir()
                source = Mirror(workshop / "apt", self.root / "packages", progress).fetch(version)
            if unless is _Unless.SAME_SOURCE and (image := self._built_from(source)):
                progress.note(f"Linux {image.release} has already been built from {source.origin}.")
                return image
            learned = {image.version: image.compiled_files for image in reversed(self.images())}
            built = Builder(workshop, self.root / "logs", progress, learned).build(source)
            place = self.root / "kernels" / f"{built.release.name}-{configuration.key()}"
            with cache.disk_errors("installing the kernel"):
                cache.install(built.directory, place)
        image = self.find(built.release.name)
        if image is None:
            raise AssertionError(f"{place} was just installed")
        return image

    def _built_from(self, source: Source) -> LabKernelImage | None:
        return next((image for image in self.images() if image.current and image.origin == source.origin), None)

    def remove(self, version: str) -> list[LabKernelImage]:
        """Remove the kernels of a version or a release; returns them.

        Raises:
            UsageError: There is none.
        """
        chosen = [image for image in self.images() if version in {image.version, image.release}]
        if not chosen:
            have = ", ".join(image.release for image in self.images()) or "none"
            raise UsageError(
                "VERSION", version, f"is not among the installed lab kernels ({have})", "handshake kernel list"
            )
        for image in chosen:
            if image.place == "wheel":
                raise UsageError(
                    "VERSION", version, "is installed by pip", "pip uninstall handshake-lab-kernel, to remove it"
                )
            with cache.disk_errors("removing a kernel"):
                cache.discard(image.directory)
        return chosen


def _order(image: LabKernelImage) -> tuple[tuple[int, ...], datetime]:
    return version_order(image.release), image.built


def _damaged(directory: Path) -> EnvironmentUnsupported:
    # Builds only install complete directories, so something else has changed it.
    return EnvironmentUnsupported(f"The lab kernel in {directory} is damaged", f"Remove it: rm -r '{directory}'")
