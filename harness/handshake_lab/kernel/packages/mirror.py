"""Finds and downloads kernel sources from the distribution's package mirror.

The machine's apt configuration is read, but not changed: apt runs as the calling user, with its
state in a temporary directory. It checks signatures as usual.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import KernelSourceMissing, UsageError
from handshake_lab.kernel.packages import archives
from handshake_lab.kernel.packages.kernel_source import Source, SourceKind
from handshake_lab.kernel.packages.releases import version_order
from handshake_lab.kernel.shared.cache import MIB, disk_errors, no_space
from handshake_lab.kernel.shared.processes import group, is_full, plain_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from handshake_lab.kernel.shared.progress import Progress

# "linux-source-6.1" in Debian, "linux-source-6.8.0" in Ubuntu.
_PACKAGE = re.compile(r"^linux-source-(\d+\.\d+)(?:\.0)?$")
_OFFER = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+)")
_STATUS = re.compile(r"^dlstatus:\d+:([\d.]+):")
_DOUBT = re.compile(r"NO_PUBKEY|Missing key|not signed|verification failed|is expired|is not valid yet")

_OTHER_WAY = "Provide a kernel's source: handshake kernel build --source linux-7.3.tar.xz"

# Bytes on disk while a package is downloaded: 170 MB for the package, 80 MB for package lists, and apt's index of them.
SPACE_NEEDED = 350 * MIB


@dataclass(frozen=True, slots=True)
class Offer:
    """A source package that the mirror has.

    Attributes:
        version: "7.3".
        package: "linux-source-7.3".
        file: The name of the package's file, which contains the full version.
        size: Bytes; 0 if unknown.
    """

    version: str
    package: str
    file: str
    size: int


def check_version(version: str) -> None:
    """Check that a text is a version of Linux.

    Raises:
        UsageError: It is not.
    """
    if not re.fullmatch(r"\d+\.\d+", version):
        reason = (
            "names a point release; the mirror has one for each version" if re.match(r"\d+\.\d+\.\d+", version) else ""
        )
        raise UsageError("--version", version, reason or "is not a version of Linux", "--version 6.1")


class Mirror:
    """The package mirror, used through apt with a separate state.

    Args:
        state: An empty directory for apt's lists.
        packages: The directory for downloaded packages.
        archives: The archives to search; by default those of the machine's apt, and later suites of them.
        progress: Receives the steps and their progress.
        architecture: The architecture of the packages, if it is not this machine's: "arm64".
    """

    def __init__(
        self,
        state: Path,
        packages: Path,
        progress: Progress,
        archives: Iterable[archives.Archive] | None = None,
        *,
        architecture: str = "",
    ) -> None:
        self._state = state
        self._packages = packages
        self._progress = progress
        self._architecture = architecture
        self._archives = list(machine_archives() if archives is None else archives)
        self._config = state / "apt.conf"

    def fetch(self, version: str | None) -> Source:
        """The source package of a version; it is downloaded unless it has been before.

        Args:
            version: "6.1"; None takes the newest.

        Raises:
            KernelSourceMissing: The mirror does not have it, or cannot be reached and no package was downloaded before.
            EnvironmentUnsupported: The disk is full.
        """
        trouble = self._update()
        offers = self._offers()
        if not offers:
            return self._kept(version, trouble)
        chosen = choose(offers, version)
        place = self._packages / chosen.file
        if not (place.exists() and place.stat().st_size == chosen.size):
            self._download(chosen, place)
        return _package(place)

    def _update(self) -> str:
        """Fetch the package lists; returns the errors and warnings of apt."""
        if not self._archives:
            return "this machine has no Debian or Ubuntu package sources"
        self._progress.stage("Asking the package mirror for kernels", 100, "%")
        with disk_errors("reading the mirror's package lists"):
            self._write_configuration()
        output: list[str] = []
        # A suite that a mirror lacks makes apt fail, although all others are available.
        self._apt(["update"], output)
        complaints = [line for line in output if line.startswith(("W:", "E:", "Err:"))]
        if any(is_full(line) for line in complaints):
            raise no_space("reading the mirror's package lists")
        for line in complaints:
            if _DOUBT.search(line):
                self._progress.note(f"A suite of the mirror is ignored, because apt does not trust it. {line}")
        return "\n".join(complaints)

    def _write_configuration(self) -> None:
        for directory in ("sources", "preferences", "lists/partial", "cache/archives/partial"):
            (self._state / directory).mkdir(parents=True)
        (self._state / "sources/mirror.sources").write_text(archives.to_deb822(self._archives), encoding="utf-8")
        settings = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": f"{self._state}/sources",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": f"{self._state}/preferences",
            "Dir::State::lists": f"{self._state}/lists",
            "Dir::Cache": f"{self._state}/cache",
            "Dir::Cache::archives": f"{self._state}/cache/archives",
            # Container images disable these, and then every query takes two seconds.
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
            "APT::Default-Release": "",
            # As root, apt would change to a user who may not read root's cache.
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::PDiffs": "false",
            "Acquire::GzipIndexes": "true",
            "Acquire::http::Timeout": "20",
            "Acquire::https::Timeout": "20",
        }
        if self._architecture:
            # No package of it is installed here, so that all that a package depends on is wanted, too.
            (self._state / "status").touch()
            settings |= {"APT::Architecture": self._architecture, "Dir::State::status": f"{self._state}/status"}
        # The machine's hooks after an update apply to its own lists.
        hooks = ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")
        lines = [f'{name} "{value}";' for name, value in settings.items()]
        lines += [f"#clear APT::Update::{hook};" for hook in hooks]
        if self._architecture:
            lines += ["#clear APT::Architectures;", f'APT::Architectures {{ "{self._architecture}"; }};']
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _apt(self, arguments: list[str], output: list[str], at: Callable[[float], None] | None = None) -> int:
        """Run apt-get; returns its status."""
        command = ["apt-get", "-c", str(self._config), "-o", "APT::Status-Fd=1", *arguments]
        report = at or (lambda percent: self._progress.at(int(percent)))
        with group(command, cwd=self._state, environment=plain_environment()) as child:
            for line in child.stdout or ():
                if found := _STATUS.match(line):
                    report(float(found[1]))
                else:
                    output.append(line.rstrip())
            return child.wait()

    def _ask(self, *command: str) -> str:
        done = subprocess.run(
            [command[0], "-c", str(self._config), *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            env=plain_environment(),
        )
        return done.stdout if done.returncode == 0 else ""

    def _offers(self) -> list[Offer]:
        """What the mirror has: apt's candidate of each version."""
        if not self._config.exists():
            return []
        names = [name for name in self._ask("apt-cache", "pkgnames", "linux-source-").split() if _PACKAGE.match(name)]
        offers = []
        for line in self._ask("apt-get", "download", "--print-uris", *names).splitlines() if names else ():
            if found := _OFFER.match(line):
                file = found["file"].replace("%3a", ":")
                package = file.partition("_")[0]
                offers.append(Offer(_PACKAGE.sub(r"\1", package), package, file, int(found["size"])))
        return offers

    def _download(self, offer: Offer, place: Path) -> None:
        self._progress.stage(f"Downloading {offer.file}", offer.size, "bytes")
        output: list[str] = []
        status = self._apt(
            ["download", offer.package], output, lambda percent: self._progress.at(int(offer.size * percent / 100))
        )
        fetched = list(self._state.glob(f"{offer.package}_*.deb"))
        if status != 0 or not fetched:
            complaint = "\n".join(line for line in output if line.startswith(("W:", "E:", "Err:")))
            if is_full(complaint):
                raise no_space(f"downloading {offer.file}")
            raise KernelSourceMissing(
                f"{offer.file} could not be downloaded: {complaint or 'apt-get reported no reason'}", _OTHER_WAY
            )
        with disk_errors(f"storing {offer.file}"):
            self._packages.mkdir(exist_ok=True)
            if fetched[0].is_symlink():  # a mirror on this machine's own disk
                place.with_suffix(".part").write_bytes(fetched[0].read_bytes())
                place.with_suffix(".part").replace(place)
            else:
                fetched[0].replace(place)

    def _kept(self, version: str | None, trouble: str) -> Source:
        """A package that was downloaded before, if no mirror answers."""
        kept = [
            Offer(found[1], "", file.name, 0)
            for file in sorted(self._packages.glob("linux-source-*.deb"))
            if (found := re.match(r"linux-source-(\d+\.\d+)", file.name))
        ]
        if not kept:
            raise KernelSourceMissing(
                f"No kernel source could be found: {trouble or 'the mirror offers none'}", _OTHER_WAY
            )
        chosen = choose(kept, version)
        self._progress.note(f"The package mirror does not answer; using {chosen.file}, which was downloaded before.")
        return _package(self._packages / chosen.file)


def choose(offers: list[Offer], version: str | None) -> Offer:
    """The offer of a version, or the newest.

    Raises:
        KernelSourceMissing: There is no such version.
    """
    fitting = [offer for offer in offers if version in {None, offer.version}]
    if not fitting:
        have = ", ".join(sorted({offer.version for offer in offers}, key=version_order))
        raise KernelSourceMissing(
            f"--version: {version!r} is not among the kernel sources of this machine's package mirror ({have})",
            f"Use one of these, for example --version {have.rpartition(' ')[2]}, or: --source linux-{version}.tar.xz",
        )
    return max(fitting, key=lambda offer: version_order(offer.version))


def machine_archives() -> list[archives.Archive]:
    """The archives of this machine's apt, and the later suites of the same mirror."""
    try:
        os_release = Path("/etc/os-release").read_text(encoding="utf-8")
        directories = subprocess.run(
            ["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"],
            capture_output=True,
            text=True,
            check=True,
            env=plain_environment(),
        ).stdout
    except FileNotFoundError:
        return []  # there is no apt
    found = dict(re.findall(r"^(LIST|PARTS)='(.*)'$", directories, re.MULTILINE))
    own: list[archives.Archive] = []
    files = [Path(found.get("LIST", "")), *sorted(Path(found.get("PARTS", "")).glob("*"))]
    for file in files:
        if file.suffix == ".list" and file.is_file():
            own += archives.parse_list(file.read_text(encoding="utf-8", errors="replace"))
        elif file.suffix == ".sources" and file.is_file():
            own += archives.parse_deb822(file.read_text(encoding="utf-8", errors="replace"))
    return archives.wanted(own, archives.distribution(os_release))


def _package(path: Path) -> Source:
    return Source(SourceKind.PACKAGE, path, path.stem)
