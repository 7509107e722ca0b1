"""Templates: machines that have booted and imported Python's modules, saved so that each job has its own copy of them.

~/.cache/handshake-lab/machines/
    6.1.0-56-amd64-<key>/           memory, state, template.json

A template is found by a key of QEMU, the kernel and the files in it, so that a change of any makes a new one. It takes
up to 1 GiB. The least recently used ones are removed when there are more than `KEPT`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import stat
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import KernelFailed
from handshake_lab.kernel.shared import cache, helper_programs
from handshake_lab.kernel.shared.guest_setup import is_private
from handshake_lab.kernel.shared.job import PACKAGE_ROOT
from handshake_lab.kernel.shared.processes import tidy_on_signals
from handshake_lab.kernel.shared.supervisor import Supervisor, new_scratch
from handshake_lab.kernel.vm.architecture import of_this_machine
from handshake_lab.kernel.vm.initramfs import Cpio
from handshake_lab.kernel.vm.virtual import guest_files, machine, mailbox, package_root
from handshake_lab.kernel.vm.virtual.monitor import Monitor
from handshake_lab.kernel.vm.virtual.template_guest import BOOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.kernel.shared.progress import Progress
    from handshake_lab.kernel.shared.supervisor import Ending
    from handshake_lab.kernel.vm.architecture import Architecture
    from handshake_lab.kernel.vm.stock_kernels import StockKernel
    from handshake_lab.kernel.vm.virtual.guest_files import GuestFiles

#: How many templates are kept.
KEPT = 6
#: Bytes on disk for one template and the archive that it boots from.
_SPACE_NEEDED = 1600 * cache.MIB
#: Seconds within which a machine boots and imports, even on a very busy machine; it takes about 25.
_BOOT_LIMIT = 600.0

#: What every job needs, imported before the machine is saved; the others if they are installed.
_PRELOAD = (
    "handshake_lab.experiment.recorded_run",
    "handshake_lab.experiment.workloads.request_response",
    "handshake_lab.topologies.pair",
)
_PRELOAD_WITH = {"pytest": "handshake_lab.pytest_plugin.preloaded"}

_ABOUT = "template.json"

#: Directories that a guest needs although there are no files in them.
_DIRECTORIES = ("/dev", "/proc", "/sys", "/tmp", "/run", "/var", "/var/tmp", "/root", "/home", "/mnt")  # noqa: S108


@dataclass(frozen=True, slots=True)
class Template:
    """A saved machine.

    Attributes:
        directory: Where it is.
    """

    directory: Path

    @property
    def about(self) -> Path:
        """The file that is locked while the machine is used; without it, the template is not complete."""
        return self.directory / _ABOUT

    @property
    def memory(self) -> Path:
        """The machine's memory."""
        return self.directory / "memory"

    @property
    def state(self) -> Path:
        """The state of its devices and its processor."""
        return self.directory / "state"

    @contextlib.contextmanager
    def used(self) -> Iterator[bool]:
        """Keep it from being removed during the block; yields whether it is still there."""
        try:
            handle = os.open(self.about, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield False
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            there = cache.is_at(handle, self.about)
            if there:
                with contextlib.suppress(OSError):  # a cache of another user
                    os.utime(handle)
            yield there
        finally:
            os.close(handle)


def root() -> Path:
    """The directory of all templates."""
    return cache.cache_root() / "machines"


def provide(kernel: StockKernel, architecture: Architecture, progress: Progress) -> Template:
    """A template of a kernel with the present files; made if there is none.

    Args:
        kernel: The kernel.
        architecture: Its architecture.
        progress: Receives the steps and their progress.

    Raises:
        KernelFailed: The machine ended before it was ready.
        EnvironmentUnsupported: QEMU is missing, or the disk is full.
    """
    name = f"{kernel.release}-{_key(kernel, architecture)}"
    template = Template(root() / name)
    if template.about.exists():
        return template

    def waiting() -> None:
        progress.note("Another handshake is preparing a kernel; waiting for it.")

    with tidy_on_signals(), cache.exclusive(waiting), cache.workshop() as workshop:
        if template.about.exists():
            return template
        remove_old(KEPT - 1, workshop)
        cache.demand_space(_SPACE_NEEDED, "Preparing a virtual machine")
        made = workshop / name
        with cache.disk_errors("preparing a virtual machine"):
            made.mkdir()
            progress.stage(f"Collecting the files for Linux {kernel.release}")
            if architecture == of_this_machine():
                files = guest_files.of_this_machine(kernel)
            else:
                files = package_root.files(kernel, package_root.provide(architecture, progress, workshop))
            files.check_size()
            write_archive(workshop / "initramfs", files, architecture)
            progress.stage(f"Booting Linux {kernel.release} once, to be restored for each run (about half a minute)")
            _boot(made, kernel, architecture, workshop)
            cache.install(made, template.directory)
    return template


def _key(kernel: StockKernel, architecture: Architecture) -> str:
    program = Path(machine.qemu(architecture)).resolve()
    line = machine.command(
        architecture,
        kernel=kernel.vmlinuz,
        initramfs=None,
        memory=Path("memory"),
        shared=True,
        mailbox_file=Path("mailbox"),
        scratch=Path("scratch"),
    )
    about = [*line, *_preload(), PACKAGE_ROOT]
    if architecture != of_this_machine():
        about.append(package_root.place_of(architecture))
    for path in (program, kernel.vmlinuz, kernel.modules / "modules.dep"):
        if path.exists():  # a kernel of the user's own may have no modules
            found = path.stat()
            about += [path, found.st_size, found.st_mtime_ns]
    digest = hashlib.sha256("\0".join(map(str, about)).encode())
    digest.update(guest_files.key().encode())
    return digest.hexdigest()[:12]


def _preload() -> list[str]:
    return [*_PRELOAD, *(module for package, module in _PRELOAD_WITH.items() if find_spec(package))]


def remove_old(kept: int, workshop: Path) -> None:
    """Remove incomplete templates, and the least recently used that no machine uses; the caller holds the cache's lock.

    Args:
        kept: How many of the complete ones stay.
        workshop: From `handshake_lab.kernel.shared.cache.workshop`.
    """
    if not root().is_dir():
        return
    found = [Template(directory) for directory in root().iterdir() if directory.is_dir()]
    complete = [template for template in found if template.about.exists()]
    complete.sort(key=lambda template: template.about.stat().st_mtime_ns, reverse=True)
    for template in (*(each for each in found if each not in complete), *complete[kept:]):
        remove(template, workshop)


def remove(template: Template, workshop: Path) -> bool:
    """Remove a template unless a machine uses it; returns whether it was removed. The caller holds the cache's lock.

    It is moved to the workshop first: after an interruption, no half of it is at its place.

    Args:
        template: The template.
        workshop: A directory on the cache's disk.
    """
    with contextlib.ExitStack() as stack:
        if template.about.exists():
            file = stack.enter_context(template.about.open("rb"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        moved = workshop / f"{template.directory.name}.removed"
        template.directory.rename(moved)
    cache.discard(moved)
    return True


def write_archive(place: Path, files: GuestFiles, architecture: Architecture) -> None:
    """Write the archive of files that the kernel unpacks, with its first program."""
    hidden = sorted(
        {"/".join(path.split("/")[:3]) for path, _ in files.items() if is_private(path) and path.count("/") > 1}
    )
    boot = {"preload": _preload(), "mailbox": architecture.mailbox, "hidden": hidden}
    own = architecture == of_this_machine()
    modules = [PACKAGE_ROOT, *(() if own else guest_files.package_directories())]
    settings = {"PYTHONHASHSEED": "0", "PYTHONPATH": ":".join(map(str, modules)), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [
        sys.executable if own else "/usr/bin/python3",
        "-P",
        "-m",
        "handshake_lab.kernel.vm.virtual.template_guest",
    ]
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    with place.open("wb") as out:
        archive = Cpio(out)
        sources: dict[str, Path] = dict(files.items())
        parents = {str(parent) for path in sources for parent in Path(path).parents}
        for path in sorted({*sources, *parents, *_DIRECTORIES} - {"/"}):  # each directory before what is in it
            source = sources.get(path)
            if source is None:
                archive.add(path.removeprefix("/"), stat.S_IFDIR | 0o755)
                continue
            found = source.lstat()
            if stat.S_ISLNK(found.st_mode):
                content = os.fsencode(source.readlink())
            elif stat.S_ISREG(found.st_mode):
                content = source.read_bytes()
            elif stat.S_ISDIR(found.st_mode):
                content = b""
            else:
                continue
            archive.add(path.removeprefix("/"), found.st_mode, content, modified=int(found.st_mtime))
        archive.add("dev/console", stat.S_IFCHR | 0o600, device=os.makedev(5, 1))
        archive.add("dev/null", stat.S_IFCHR | 0o666, device=os.makedev(1, 3))
        archive.add(str(BOOT).removeprefix("/"), stat.S_IFREG | 0o644, json.dumps(boot).encode())
        init = f"#!/bin/sh\n{assignments} exec {shlex.join(words)}\n"
        archive.add("init", stat.S_IFREG | 0o755, init.encode())
        archive.finish()


def _boot(made: Path, kernel: StockKernel, architecture: Architecture, workshop: Path) -> None:
    """Boot a machine, and save it when it is ready."""
    scratch = new_scratch()
    template = Template(made)
    line = machine.command(
        architecture,
        kernel=kernel.vmlinuz,
        initramfs=workshop / "initramfs",
        memory=template.memory,
        shared=True,
        mailbox_file=scratch / "mailbox",
        scratch=scratch,
    )
    supervisor = helper_programs.supervisor()
    with Supervisor(supervisor, scratch, line, None, wall_limit=_BOOT_LIMIT, pinned=False) as running:
        mailbox.write_delivery(scratch / "mailbox", mailbox.Delivery(b"", b""))
        with Monitor(scratch) as monitor:
            monitor.save_when_ready(f"cat > {shlex.quote(str(template.state))}")
            ending = running.run()
    if ending.word == "killed":
        raise KeyboardInterrupt
    check_saved(ending, monitor)
    (made / _ABOUT).write_text(json.dumps({"release": kernel.release}))
    for file in (template.memory, template.state):
        with file.open("rb") as written:
            os.fsync(written.fileno())


def check_saved(ending: Ending, monitor: Monitor) -> None:
    """Check that a machine was saved completely.

    Raises:
        KernelFailed: It was not.
    """
    if monitor.error:
        raise KernelFailed(f"QEMU could not save the virtual machine: {monitor.error}", ending.console)
    if (ending.word, ending.detail, monitor.saved) != ("exit", "0", True):
        reported = f"{ending.word} {ending.detail}".strip() or "its supervisor was killed"
        raise KernelFailed(f"the virtual machine ended before it was ready ({reported})", ending.console)
