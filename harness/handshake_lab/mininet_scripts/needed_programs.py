"""The programs without which Mininet does not start, looked for before a kernel is."""

from __future__ import annotations

import shutil

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.shared.guest_setup import ENVIRONMENT

#: By Debian's packages. A switch needs one of the last two; the bridge is offered.
_PACKAGES = {"mnexec": "mininet", "ifconfig": "net-tools"}
_SWITCHES = ("brctl", "ovs-vsctl")


def check_programs() -> None:
    """Look for Mininet's programs where a script finds them.

    Raises:
        EnvironmentUnsupported: Some are missing; it names them and their packages.
    """
    missing = {program: package for program, package in _PACKAGES.items() if not _found(program)}
    if not any(map(_found, _SWITCHES)):
        missing["brctl"] = "bridge-utils"
    if missing:
        raise EnvironmentUnsupported(
            f"Mininet needs programs that are not installed: {', '.join(missing)}",
            f"Run: apt-get install --no-install-recommends {' '.join(missing.values())}",
        )


def _found(program: str) -> bool:
    return shutil.which(program, path=ENVIRONMENT["PATH"]) is not None
