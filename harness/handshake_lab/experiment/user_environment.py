"""The variables with which a user's programs and modules are found; they are passed to the kernel of a run.

Other variables, such as the locale and the time zone, are not passed, because a run must not depend on them.
"""

from __future__ import annotations

import os
from pathlib import Path

#: Directories of programs that are not in an ordinary user's PATH on Debian: nft, tc.
_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")
#: The variables of virtual environments.
_ENVIRONMENTS = ("VIRTUAL_ENV", "CONDA_PREFIX")


def user_environment() -> dict[str, str]:
    """PATH, PYTHONPATH and the active virtual environment."""
    path = [*os.environ.get("PATH", "/usr/bin:/bin").split(":"), *_SYSTEM]
    found = {"PATH": ":".join(dict.fromkeys(filter(None, path)))}
    if modules := _module_directories():
        found["PYTHONPATH"] = ":".join(map(str, modules))
    return {**found, **{name: os.environ[name] for name in _ENVIRONMENTS if os.environ.get(name)}}


def user_directories() -> tuple[Path, ...]:
    """The directories in these variables, which must be readable in the kernel."""
    names = [os.environ.get(name, "") for name in _ENVIRONMENTS]
    found = [*_module_directories(), *(Path(name) for name in names if name)]
    found += [Path(name) for name in os.environ.get("PATH", "").split(":") if name.startswith("/")]
    # Of another user's PATH, after su: some cannot even be looked at, for which Path.is_dir() raises an error.
    return tuple(dict.fromkeys(path.resolve() for path in found if os.path.isdir(path)))  # noqa: PTH112


def _module_directories() -> list[Path]:
    return [Path(name).absolute() for name in os.environ.get("PYTHONPATH", "").split(":") if name]
