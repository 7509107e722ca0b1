"""Downloads a distribution's kernel package and unpacks the files that a run needs; installs nothing.

In Debian 12 one package contains a whole kernel; in later releases and in Ubuntu the modules have separate packages.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.packages.archives import of_architecture
from handshake_lab.kernel.packages.mirror import Mirror, Offer, machine_archives
from handshake_lab.kernel.packages.releases import stock_order
from handshake_lab.kernel.shared import cache
from handshake_lab.kernel.shared.processes import plain_environment
from handshake_lab.kernel.vm.architecture import of_this_machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from handshake_lab.kernel.packages.archives import Archive
    from handshake_lab.kernel.shared.progress import Progress
    from handshake_lab.kernel.vm.architecture import Architecture

#: The packages that make up one kernel; not every distribution has all of them.
_PARTS = ("linux-image-", "linux-base-", "linux-binary-", "linux-modules-", "linux-modules-extra-")

#: The modules to unpack: whole directories, and single files.
_MODULES = (
    *("modules.*", "kernel/net", "kernel/lib", "kernel/crypto", "kernel/arch/*/crypto"),
    *("kernel/fs/9p", "kernel/fs/netfs", "kernel/fs/fscache", "kernel/drivers/virtio", "kernel/drivers/net/*.ko*"),
)


def fetch(version: str, workshop: Path, progress: Progress, architecture: Architecture) -> Path:
    """Download a kernel and unpack it.

    Args:
        version: "stock": the kernel that the distribution installs by default; "newest": the
            newest in its later suites; "6.12": the newest of that version.
        workshop: An empty directory.
        progress: Receives the steps and their progress.
        architecture: That of the kernel.

    Returns:
        A directory in ``workshop`` whose name is the release.

    Raises:
        EnvironmentUnsupported: It cannot be downloaded.
    """
    archives = machine_archives()
    if version == "stock":
        archives = [archive for archive in archives if not archive.added]
    (workshop / "apt").mkdir()
    mirror = KernelPackages(workshop / "apt", progress, archives, architecture)
    release = mirror.choose(version)
    packages = mirror.fetch_parts(release)
    progress.stage(f"Unpacking Linux {release}")
    made = workshop / release
    with cache.disk_errors(f"unpacking Linux {release}"):
        for package in packages:
            unpack(package, made)
            package.unlink()
        return finish(made, release, version)


class KernelPackages(Mirror):
    """The package mirror's kernels.

    Args:
        state: An empty directory for apt's lists and downloads.
        progress: Receives the steps and their progress.
        archives: The archives to search.
        architecture: The architecture of the kernels.
    """

    def __init__(
        self, state: Path, progress: Progress, archives: Iterable[Archive], architecture: Architecture
    ) -> None:
        other = "" if architecture == of_this_machine() else architecture.debian
        super().__init__(state, state / "downloads", progress, of_architecture(archives, other), architecture=other)
        self._flavours = architecture.flavours
        self._trouble = self._update()

    def choose(self, version: str) -> str:
        """The release that a version refers to.

        Raises:
            EnvironmentUnsupported: The mirror does not have it.
        """
        if version == "stock" and (release := self._default()):
            return release
        releases = sorted(
            releases_in(self._ask("apt-cache", "pkgnames", _PARTS[0]).split(), self._flavours), key=stock_order
        )
        fitting = [
            release
            for release in releases
            if version in {"stock", "newest"} or re.match(re.escape(version) + r"(?![0-9])", release)
        ]
        if fitting:
            return fitting[-1]
        if not releases:
            raise EnvironmentUnsupported(
                f"No stock kernel could be downloaded: {self._trouble or 'the package mirror offers none'}",
                "Install one (it need not be booted): linux-image-amd64 in Debian, linux-image-generic in Ubuntu",
            )
        have = ", ".join(dict.fromkeys(".".join(map(str, stock_order(release)[:2])) for release in releases))
        raise EnvironmentUnsupported(
            f"vm:{version} is not among the kernels of this machine's package mirror ({have})",
            "Take one of these, or --kernel vm:newest",
        )

    def _default(self) -> str:
        """The release that the distribution's meta package depends on; "" if there is none."""
        for flavour in self._flavours:
            output = self._ask("apt-cache", "depends", f"linux-image-{flavour}")
            for name in re.findall(r"Depends: (linux-image-\S+)", output):
                for release in releases_in([name], self._flavours):
                    return release
        return ""

    def fetch_parts(self, release: str) -> list[Path]:
        """Download a release's packages."""
        known = set(self._ask("apt-cache", "pkgnames", "linux-").split())
        names = [f"{part}{release}" for part in _PARTS if f"{part}{release}" in known]
        fetched = []
        for line in self._ask("apt-get", "download", "--print-uris", *names).splitlines():
            uri, file, size = line.split()[:3]
            offer = Offer(release, file.partition("_")[0], file.replace("%3a", ":"), int(size))
            if not uri:
                continue
            place = self._packages / offer.file
            self._download(offer, place)
            fetched.append(place)
        return fetched


def releases_in(names: Iterable[str], flavours: Sequence[str]) -> list[str]:
    """The releases in the names of packages with kernels to boot: no meta packages, no other flavours."""
    flavour = "|".join(flavours)
    pattern = re.compile(rf"linux-image-(\d+\.\d+\.\d+(?:-\d+)?(?:\+[a-z0-9.]+)?-(?:{flavour}))$")
    return [found[1] for name in names if (found := pattern.match(name))]


def unpack(package: Path, into: Path) -> None:
    """Unpack the kernel, its configuration and the modules that a run may need."""
    into.mkdir(exist_ok=True)
    wanted = ["./boot/vmlinuz-*", "./boot/config-*"]
    # Newer packages have /usr/lib.
    wanted += [f"./{usr}lib/modules/*/{path}" for usr in ("", "usr/") for path in (*_MODULES, "vmlinuz", "config")]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE, env=plain_environment()
    ) as tar:
        # tar receives patterns, and exits with status 2 if one of them matches nothing.
        done = subprocess.run(
            ["tar", "-x", "-C", str(into), "--no-same-owner", "--wildcards", "--no-wildcards-match-slash", *wanted],
            stdin=tar.stdout,
            capture_output=True,
            text=True,
            check=False,
            env=plain_environment(),
        )
    complaints = [
        line
        for line in done.stderr.splitlines()
        if "Not found in archive" not in line and "Exiting with failure" not in line
    ]
    if tar.returncode != 0 or complaints:
        raise EnvironmentUnsupported(
            f"{package.name} could not be unpacked: {' '.join(complaints) or 'dpkg-deb failed'}", "Start again."
        )


def finish(made: Path, release: str, asked: str) -> Path:
    """Move an unpacked kernel to the paths of the cache, and index its modules.

    Raises:
        EnvironmentUnsupported: A file is missing.
    """
    moved = made / "usr/lib/modules"
    if moved.is_dir():
        shutil.copytree(moved, made / "lib/modules", dirs_exist_ok=True, symlinks=True)
        shutil.rmtree(made / "usr")
    for name in ("vmlinuz", "config"):
        found = [*made.glob(f"boot/{name}-*"), *made.glob(f"lib/modules/*/{name}")]
        if not found:
            raise EnvironmentUnsupported(
                f"the packages of Linux {release} have no {name}", "Name another release: --kernel vm:6.12"
            )
        found[0].replace(made / name)
    shutil.rmtree(made / "boot", ignore_errors=True)
    subprocess.run(["depmod", "-b", str(made), release], check=True, env=plain_environment())
    (made / "kernel.json").write_text(json.dumps({"release": release, "asked": asked}))
    return made
