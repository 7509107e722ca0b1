"""The small C programs beside the kernel: the supervisor and the seed shim.

They have a separate key and directory in the cache: after a change in one of them,
only these programs are compiled again (0.1 s), not the kernel.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.shared import cache, places

_KERNEL = Path(__file__).parents[1]

#: The C files, in a fixed order.
SOURCES = (_KERNEL / "lab" / "random_device.c", _KERNEL / "lab" / "seed.c", _KERNEL / "shared" / "supervisor.c")

# These are compiled to a library that is preloaded into another program; the others
# are compiled to a program.
_SHARED = frozenset({"seed", "random_device"})
# These must not need the C library: they are loaded into programs that may have another one.
_ALONE = frozenset({"random_device"})

_FLAGS = ("-O2", "-Wall", "-Wextra")


def key() -> str:
    """Twelve characters that identify the sources of the programs and how they are compiled."""
    digest = hashlib.sha256("\0".join([*_FLAGS, *sorted(_SHARED), *sorted(_ALONE)]).encode())
    for source in SOURCES:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:12]


def product(name: str) -> str:
    """The file name that ``name.c`` is compiled to."""
    return f"{name}.so" if name in _SHARED else name


def directory() -> Path:
    """Where they are; the directory in the user's cache that they are compiled into, if they are in no place."""
    compiled = Path("helpers") / key()
    for place in places.places():
        if (place.root / compiled).is_dir():
            return place.root / compiled
    return cache.cache_root() / compiled


def exist() -> bool:
    """Whether they are compiled."""
    # Not Path.is_dir(), which raises an error for a directory in another user's home.
    return os.path.isdir(directory())  # noqa: PTH112


def provide(workshop: Path) -> None:
    """Compile all of them if they are not in the cache; the caller holds the cache's lock.

    Raises:
        EnvironmentUnsupported: The compiler is missing or fails, or the disk is full.
    """
    if exist():
        return
    made = workshop / "helpers"
    with cache.disk_errors("compiling the programs beside the kernel"):
        made.mkdir()
        compile_into(made)
        cache.install(made, directory())


def supervisor() -> Path:
    """The compiled supervisor, for a run on another kind of kernel.

    Raises:
        EnvironmentUnsupported: As for `provide`.
    """
    if not exist():
        from handshake_lab.kernel.shared.processes import tidy_on_signals  # noqa: PLC0415  needed only to compile

        with tidy_on_signals(), cache.exclusive(lambda: None), cache.workshop() as workshop:
            provide(workshop)
    return directory() / product("supervisor")


def compile_into(directory: Path) -> None:
    """Compile all of them.

    Raises:
        EnvironmentUnsupported: The compiler is missing or fails.
    """
    # Every start looks up a kernel, which imports this module.
    import subprocess  # noqa: PLC0415

    from handshake_lab.kernel.shared.processes import plain_environment  # noqa: PLC0415

    for source in SOURCES:
        kind = ["-shared", "-fPIC"] if source.stem in _SHARED else []
        kind += ["-nostdlib", "-fno-builtin"] if source.stem in _ALONE else []
        command = ["gcc", *_FLAGS, *kind, "-o", str(directory / product(source.stem)), str(source)]
        try:
            done = subprocess.run(command, env=plain_environment(), capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise EnvironmentUnsupported(
                f"The C compiler that {source.name} needs is missing (gcc)",
                "Install it: sudo apt-get install --no-install-recommends gcc libc6-dev",
            ) from error
        if done.returncode != 0:
            raise EnvironmentUnsupported(
                f"gcc could not compile {source.name}:\n{done.stderr.strip()}\n",
                "If a header is missing: sudo apt-get install --no-install-recommends gcc libc6-dev",
            )
