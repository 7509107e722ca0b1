"""One finding about this machine, and all findings about one kind of kernel."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

# An ordinary user's PATH lacks these on Debian; runs search there too.
SYSTEM_PATH = "/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Check:
    """Something that a kind of kernel needs or can use.

    Attributes:
        name: For example "sch_netem".
        ok: Whether it works here.
        detail: What was found, or the error.
        remedy: The command that fixes it; "" if nothing is wrong, or no command can.
        needed: Whether this kind of kernel cannot be used without it.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Findings:
    """All checks for one kind of kernel.

    Attributes:
        kind: "lab", "host" or "vm".
        purpose: A short description of this kernel.
        checks: In the order in which they were done.
    """

    kind: str
    purpose: str
    checks: tuple[Check, ...]

    @property
    def usable(self) -> bool:
        """Whether a run on this kernel is possible here."""
        return all(check.ok for check in self.checks if check.needed)


def search_path() -> str:
    """The PATH that runs use."""
    return f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}"


def program(name: str, package: str) -> Check:
    """Check that a program is installed; name the package that contains it."""
    where = shutil.which(name, path=search_path())
    if where is None:
        return Check(name, ok=False, detail="not installed", remedy=apt_install(package))
    return Check(name, ok=True, detail=where)


def apt_install(*packages: str) -> str:
    """The command that installs packages on Debian and Ubuntu, with sudo unless this is root."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install --no-install-recommends {' '.join(packages)}"


def as_root(command: str) -> str:
    """A command that needs root, with sudo unless this is root."""
    return command if os.geteuid() == 0 else f"sudo {command}"
