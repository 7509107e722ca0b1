"""The variables by which a user's programs and modules are found: they are the same where a run happens.

Others, such as the locale and the time zone, would make a run depend on who starts it where.
"""

from __future__ import annotations

import os
from pathlib import Path

#: Where Debian has programs that are not in an ordinary user's PATH: nft, tc.
_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")
#: Of virtual environments.
_ENVIRONMENTS = ("VIRTUAL_ENV", "CONDA_PREFIX")


def user_environment() -> dict[str, str]:
    """PATH, PYTHONPATH and the virtual environment that is active."""
    path = [*os.environ.get("PATH", "/usr/bin:/bin").split(":"), *_SYSTEM]
    found = {"PATH": ":".join(dict.fromkeys(filter(None, path)))}
    if modules := _module_directories():
        found["PYTHONPATH"] = ":".join(map(str, modules))
    return {**found, **{name: os.environ[name] for name in _ENVIRONMENTS if os.environ.get(name)}}


def user_directories() -> tuple[Path, ...]:
    """The directories that these variables name: a kernel must show them, wherever they are."""
    names = [os.environ.get(name, "") for name in _ENVIRONMENTS]
    found = [*_module_directories(), *(Path(name) for name in names if name)]
    found += [Path(name) for name in os.environ.get("PATH", "").split(":") if name.startswith("/")]
    return tuple(dict.fromkeys(path.resolve() for path in found if path.is_dir()))


def _module_directories() -> list[Path]:
    return [Path(name).absolute() for name in os.environ.get("PYTHONPATH", "").split(":") if name]
