"""The lab kernels of this machine; `handshake_lab.kernel.lab.provide_lab` builds one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.lab.build import configuration
from handshake_lab.kernel.packages.releases import version_order
from handshake_lab.kernel.shared import cache, helper_programs, places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
        forks: Whether it can be parked and forked (docs/explanation/fork.md).
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
    def random_device(self) -> Path:
        """The library to preload into programs, so that std::random_device draws from the kernel."""
        return self.helper("random_device")

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
        helpers = helper_programs.directory()
        for place in places.places():
            for description in sorted(place.root.glob("kernels/*/kernel.json")):
                yield self._image(place, description, helpers)

    @staticmethod
    def _image(place: places.Place, description: Path, helpers: Path) -> LabKernelImage:
        directory = description.parent
        try:
            about = json.loads(description.read_bytes())
            image = LabKernelImage(
                version=about["version"],
                release=about["release"],
                directory=directory,
                place=place.name,
                helpers=helpers,
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
        if not helper_programs.exist():
            return None
        return self.newest(version)

    def newest(self, version: str | None = None) -> LabKernelImage | None:
        """The newest kernel of the present configuration, whether or not the helper programs are there."""
        present = configuration.key()
        fitting = [
            image for image in self._read() if image.key == present and version in {None, image.version, image.release}
        ]
        return max(fitting, key=_order, default=None)

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
