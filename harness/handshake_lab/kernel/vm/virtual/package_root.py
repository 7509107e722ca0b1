"""The root of a machine with another architecture than this one: packages of the distribution, unpacked.

The packages are those of this machine's distribution, with all that they depend on, from its mirror. None of their
scripts is run: it would have to run there. Python's packages come from this machine, as far as they are Python; the
compiled part of msgspec comes from the package index.

~/.cache/handshake-lab/roots/aarch64-<key>/      the root; wheels/ has the compiled parts
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.packages.archives import distribution, of_architecture
from handshake_lab.kernel.packages.mirror import Mirror, machine_archives
from handshake_lab.kernel.shared import cache
from handshake_lab.kernel.shared.job import PACKAGES
from handshake_lab.kernel.shared.processes import plain_environment
from handshake_lab.kernel.vm.virtual.guest_files import GuestFiles, add_modules, package_directories, walk

if TYPE_CHECKING:
    from handshake_lab.kernel.shared.progress import Progress
    from handshake_lab.kernel.vm.architecture import Architecture
    from handshake_lab.kernel.vm.stock_kernels import StockKernel

#: What a run needs, and what is often run.
_WANTED = (
    *("base-files", "base-passwd", "bash", "coreutils", "dash", "findutils", "grep", "gzip", "hostname", "libc-bin"),
    *("mawk", "mount", "netbase", "procps", "sed", "tar", "util-linux", "kmod", "python3", "iproute2", "nftables"),
    *("ethtool", "iputils-ping", "netcat-openbsd", "curl", "psmisc"),
)
#: Bytes on disk while packages are downloaded and unpacked.
_SPACE_NEEDED = 600 * cache.MIB
_UNUSED = re.compile(
    r"^/usr/(share/(doc|man|locale|info|lintian|bash-completion|zoneinfo|perl5?)|lib/python3[^/]*/(test|idlelib))/"
)
#: The compiled packages that this project needs.
_COMPILED = ("msgspec",)


def python_of(root: Path) -> str:
    """The version of Python in a root: "3.11"."""
    return re.sub(r"^python", "", os.readlink(root / "usr/bin/python3"))  # noqa: PTH115


def place_of(architecture: Architecture) -> Path:
    """Where the root of an architecture is: another place for another release or mirror, or other packages."""
    archives = [archive for archive in machine_archives() if not archive.added]
    about = [f"{archive.uri} {archive.suite}" for archive in archives]
    about += [_codename(), *_WANTED, *_compiled()]
    key = hashlib.sha256("\n".join(about).encode()).hexdigest()[:12]
    return cache.cache_root() / "roots" / f"{architecture.name}-{key}"


def _codename() -> str:
    try:
        return distribution(Path("/etc/os-release").read_text(encoding="utf-8")).codename
    except OSError:
        return ""


def _compiled() -> list[str]:
    return [f"{name}=={version(name)}" for name in _COMPILED]


def provide(architecture: Architecture, progress: Progress, workshop: Path) -> Path:
    """The root of an architecture; the caller holds the cache's lock.

    Raises:
        EnvironmentUnsupported: The packages cannot be downloaded.
    """
    place = place_of(architecture)
    if place.exists():
        return place
    cache.demand_space(_SPACE_NEEDED, f"Preparing the programs of an {architecture.debian} machine")
    state, made = workshop / "apt-root", workshop / "root"
    state.mkdir()
    for directory in ("usr/bin", "usr/sbin", "usr/lib", "wheels"):
        (made / directory).mkdir(parents=True)
    for directory in ("bin", "sbin", "lib"):  # as in all releases since 2023
        (made / directory).symlink_to(f"usr/{directory}")
    with cache.disk_errors("preparing the programs of a machine"):
        for package in _Packages(state, progress, architecture).fetched():
            _unpack(package, made)
        _complete(made)
        progress.stage("Downloading the compiled part of Python's packages")
        _fetch_compiled(made, architecture)
        cache.install(made, place)
    return place


class _Packages(Mirror):
    def __init__(self, state: Path, progress: Progress, architecture: Architecture) -> None:
        archives = [archive for archive in machine_archives() if not archive.added]
        debian = architecture.debian
        super().__init__(state, state / "packages", progress, of_architecture(archives, debian), architecture=debian)
        self._trouble = self._update()

    def fetched(self) -> list[Path]:
        """The packages and all that they depend on, downloaded.

        Raises:
            EnvironmentUnsupported: The mirror does not have them.
        """
        self._progress.stage(f"Downloading the programs of an {self._architecture} machine", 100, "%")
        output: list[str] = []
        words = ["install", "--download-only", "--no-install-recommends", "-y", "-o", "Debug::NoLocking=1"]
        status = self._apt([*words, *_WANTED], output)
        found = sorted((self._state / "cache/archives").glob("*.deb"))
        if status != 0 or not found:
            complaints = [line for line in output if line.startswith(("W:", "E:", "Err:"))]
            reason = "\n".join(complaints) or self._trouble or "this machine has no Debian or Ubuntu package sources"
            raise EnvironmentUnsupported(
                f"The programs of an {self._architecture} machine could not be downloaded: {reason}",
                "Start again where the package mirror can be reached.",
            )
        return found


def _unpack(package: Path, root: Path) -> None:
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE, env=plain_environment()
    ) as tar:
        words = [
            "tar",
            "-x",
            "-C",
            str(root),
            "--no-same-owner",
            "--keep-directory-symlink",
            "--exclude=./usr/share/doc",
        ]
        done = subprocess.run(
            [*words, "--exclude=./usr/share/man", "--exclude=./usr/share/locale"],
            stdin=tar.stdout,
            capture_output=True,
            text=True,
            check=False,
            env=plain_environment(),
        )
    if tar.returncode != 0 or done.returncode != 0:
        raise EnvironmentUnsupported(f"{package.name} could not be unpacked: {done.stderr.strip()}", "Start again.")


def _complete(root: Path) -> None:
    """Do what the scripts of the packages would have done."""
    for name in ("passwd", "group"):
        shutil.copyfile(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    for link, target in (("usr/bin/awk", "mawk"), ("usr/bin/sh", "dash"), ("usr/bin/nc", "nc.openbsd")):
        if not os.path.lexists(root / link):
            (root / link).symlink_to(target)


def _fetch_compiled(root: Path, architecture: Architecture) -> None:
    python = python_of(root)
    tag = f"cp{python.replace('.', '')}"
    wanted = _compiled()
    words = [
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--implementation",
        "cp",
        "--abi",
        tag,
        "--python-version",
        python,
    ]
    platforms = [
        word for each in ("2014", "_2_17", "_2_28") for word in ("--platform", f"manylinux{each}_{architecture.name}")
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, *platforms, "-q", "--dest", str(root / "wheels"), *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise EnvironmentUnsupported(
            f"pip could not download {', '.join(wanted)} for {architecture.name}: {done.stderr.strip()}",
            f"Install pip, or reach the package index: {sys.executable} -m pip download {wanted[0]}",
        )
    for wheel in (root / "wheels").glob("*.whl"):
        shutil.unpack_archive(wheel, root / "wheels", "zip")
        wheel.unlink()


def files(kernel: StockKernel, root: Path) -> GuestFiles:
    """The files of a guest: the root, and this machine's modules in Python."""
    found = GuestFiles()
    for parent, directories, names in os.walk(root):
        inside = parent.removeprefix(str(root))
        if inside == "/wheels":
            directories.clear()
            continue
        for name in sorted([*directories, *names]):
            path = f"{inside}/{name}"
            if not _UNUSED.match(f"{path}/"):
                found.put(path, Path(parent, name))
    packages = package_directories()
    for directory in (*packages, *PACKAGES):
        for module in walk(directory):
            if ".so" not in module.suffixes:
                found.add(module)
    for source in sorted((root / "wheels").rglob("*.so")):
        found.add(packages[0] / source.relative_to(root / "wheels"), source)
    add_modules(found, kernel)
    return found
