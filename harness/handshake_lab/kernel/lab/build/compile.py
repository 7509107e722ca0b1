"""Building a lab kernel from its source: configure, compile, link, and keep what is needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from handshake_lab.errors import KernelFailed
from handshake_lab.kernel.lab.build import configuration, patch_series
from handshake_lab.kernel.lab.build.source import unpack
from handshake_lab.kernel.packages.releases import release_of, version_order
from handshake_lab.kernel.shared.cache import MIB, disk_errors, no_space
from handshake_lab.kernel.shared.processes import group, is_full, plain_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from handshake_lab.kernel.packages.kernel_source import Source
    from handshake_lab.kernel.packages.releases import Release
    from handshake_lab.kernel.shared.progress import Progress

# Measured: 0.49 GB of unpacked source, 0.25 GB of objects; the rest is reserve.
SPACE_NEEDED = 900 * MIB

# How many files a build compiles, as counted in real builds with this
# configuration. Only the progress bar depends on it, which shows it as an
# estimate; builds on this machine replace it.
COMPILED_FILES = {"6.1": 890, "7.3": 947}

_COMPILING = re.compile(r"^\s+(?:CC|AS)\s")
_LINKING = re.compile(r"^\s+(?:LD\s+vmlinux|AR\s+vmlinux\.a|LINK\s+linux)")
_TAIL = 15


def expected_files(version: str, learned: Mapping[str, int]) -> int:
    """About how many files this version's build compiles.

    Args:
        version: "7.3".
        learned: The numbers of files that builds on this machine compiled, by version.
    """
    counts = {**COMPILED_FILES, **learned}
    if version in counts:
        return counts[version]
    wanted = version_order(version)
    below = [known for known in counts if version_order(known) <= wanted]
    return counts[max(below, key=version_order)] if below else counts[min(counts, key=version_order)]


@dataclass(frozen=True, slots=True)
class Built:
    """A finished kernel, still in the build directory.

    Attributes:
        release: Its release of Linux.
        directory: The directory with the kernel, its configuration and its description.
    """

    release: Release
    directory: Path


class Builder:
    """Builds one kernel in a separate directory.

    Args:
        workshop: An empty directory; everything happens in it.
        logs: Where the log of a failed build is kept.
        progress: Receives the progress of the build.
        learned: File counts of earlier builds, for the progress bar.
    """

    def __init__(self, workshop: Path, logs: Path, progress: Progress, learned: Mapping[str, int]) -> None:
        self._workshop = workshop
        self._logs = logs
        self._progress = progress
        self._learned = learned
        self._log = workshop / "log"
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._full = False

    def build(self, source: Source) -> Built:
        """Unpack, configure, compile, link.

        Raises:
            EnvironmentUnsupported: The disk is full, or this release lacks an option of the configuration.
            KernelSourceMissing: The source is damaged, or is not a kernel's source.
            KernelFailed: A program of the build failed; the log is kept and its last lines are shown.
        """
        began = time.monotonic()
        with disk_errors("building the lab kernel"):
            unpacked = self._workshop / "source"
            unpacked.mkdir()
            (self._workshop / "tmp").mkdir()
            tree = unpack(source, unpacked, self._progress)
            release = release_of(tree)
            options, files = self._make(tree, release)
            # Including the suffix from a localversion file in the tree.
            release = replace(
                release, name=(tree / "include/config/kernel.release").read_text(encoding="ascii").strip()
            )
            made = self._keep(tree, release)
            about = {
                "version": release.version,
                "release": release.name,
                "key": configuration.key(),
                "hz": int(options.get("CONFIG_HZ", "100")),
                "built": datetime.now(UTC).isoformat(timespec="seconds"),
                "origin": source.origin,
                "size": (made / "linux").stat().st_size,
                "compiled_files": files,
                "forks": patch_series.fits(options),
                "seconds": round(time.monotonic() - began, 1),
            }
            (made / "kernel.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
            _to_disk(made)
        return Built(release, made)

    def _make(self, tree: Path, release: Release) -> tuple[dict[str, str], int]:
        """Configure and compile; returns the options, and how many files were compiled."""
        for note in configuration.adjust(tree):
            self._progress.note(note)
        misfit = patch_series.apply(tree)
        if misfit:
            self._progress.note(misfit)
        options = self._configure(tree, release)
        try:
            return options, self._compile(tree, release)
        except KernelFailed:
            if misfit or not patch_series.fits(options):
                raise
        # The patches apply to this release, but the code that they use has changed.
        self._progress.note("This release does not compile with the patches for forking: it is built without them.")
        patch_series.revert(tree)
        return self._configure(tree, release), self._compile(tree, release)

    def _configure(self, tree: Path, release: Release) -> dict[str, str]:
        self._progress.stage(f"Configuring Linux {release.name}")
        if (tree / ".config").exists() or (tree / "include/config").exists():
            self._run(tree, release, "cleaning the tree", ["make", "mrproper"])
        self._run(
            tree,
            release,
            "configuring it",
            ["make", "allnoconfig"],
            {"KCONFIG_ALLCONFIG": str(configuration.CONFIG_FILE)},
        )
        return configuration.check(tree, release.name)

    def _compile(self, tree: Path, release: Release) -> int:
        """Compile and link; returns how many files were compiled."""
        total = expected_files(release.version, self._learned)
        self._progress.stage(f"Compiling Linux {release.name}", total, "files", about=True)
        done = 0
        linking = False

        def watch(line: str) -> None:
            nonlocal done, linking
            if _COMPILING.match(line) and not linking:
                done += 1
                self._progress.at(done)
            elif _LINKING.match(line) and not linking:
                linking = True
                self._progress.stage(f"Linking Linux {release.name}")

        jobs = len(os.sched_getaffinity(0)) + 1  # one more, because jobs also wait for the disk
        self._run(tree, release, "compiling it", ["make", f"-j{jobs}", "linux"], watch=watch)
        return done

    def _keep(self, tree: Path, release: Release) -> Path:
        """Move the kernel and its files to a directory, after checking that the kernel runs."""
        made = self._workshop / "made"
        made.mkdir()
        self._run(tree, release, "stripping it", ["strip", "-o", str(made / "linux"), "linux"])
        (made / "config").write_bytes((tree / ".config").read_bytes())
        printed = subprocess.run([made / "linux", "--version"], capture_output=True, text=True, check=False, timeout=60)
        if printed.stdout.strip() != release.name:
            raise KernelFailed(
                f"The kernel that was built reports its release as {printed.stdout.strip()!r}, not {release.name!r}",
                printed.stderr,
            )
        return made

    def _run(
        self,
        tree: Path,
        release: Release,
        doing: str,
        command: list[str],
        extra: Mapping[str, str] | None = None,
        *,
        watch: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Run one program of the build in the tree; its output goes to the log."""
        # The compiler's temporary files are on the same disk, so that only one disk can become full.
        environment = plain_environment(
            {"TMPDIR": str(self._workshop / "tmp"), **configuration.MAKE_VARIABLES, **(extra or {})}
        )
        with (
            self._log.open("a", encoding="utf-8") as log,
            group(command, cwd=tree, environment=environment) as child,
        ):
            for line in child.stdout or ():
                self._full = self._full or is_full(line)
                self._tail.append(line)
                log.write(line)
                watch(line)
            status = child.wait()
        if status == 0:
            return
        if self._full:
            raise no_space(f"{doing} (Linux {release.name})")
        raise KernelFailed(
            f"Building Linux {release.name} failed while {doing}: {command[0]} ended with status {status}. "
            f"The whole log: {self._keep_log(release)}",
            "".join(self._tail),
        )

    def _keep_log(self, release: Release) -> Path:
        self._logs.mkdir(exist_ok=True)
        kept = self._logs / f"{release.name}.log"
        self._log.replace(kept)
        return kept


def _to_disk(directory: Path) -> None:
    """Write all files to the disk (fsync), so that a power failure cannot leave a finished kernel with empty files."""
    for path in (*directory.iterdir(), directory):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
