"""One finding about this machine, and all findings about one kernel kind."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

# An ordinary user's PATH lacks these on Debian; runs look there too.
SYSTEM_PATH = "/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a kernel kind needs or can use.

    Attributes:
        name: What it is: "sch_netem".
        ok: Whether it works here.
        detail: What was found, or what went wrong.
        remedy: The command that mends it; "" if it is fine, or nothing can.
        needed: Whether this kernel kind is of no use without it.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Findings:
    """All checks of one kernel kind.

    Attributes:
        kind: "lab", "host" or "vm".
        purpose: What that kernel is, in a few words.
        checks: In the order in which they were made.
    """

    kind: str
    purpose: str
    checks: tuple[Check, ...]

    @property
    def usable(self) -> bool:
        """Whether a run on this kernel can work here."""
        return all(check.ok for check in self.checks if check.needed)


def search_path() -> str:
    """Where runs look for programs."""
    return f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}"


def program(name: str, package: str) -> Check:
    """Whether a program is here, and which package has it."""
    where = shutil.which(name, path=search_path())
    if where is None:
        return Check(name, ok=False, detail="there is no such program", remedy=apt_install(package))
    return Check(name, ok=True, detail=where)


def apt_install(*packages: str) -> str:
    """The command that installs packages on Debian and Ubuntu, for whoever asks."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install --no-install-recommends {' '.join(packages)}"


def as_root(command: str) -> str:
    """A command for root, for whoever asks."""
    return command if os.geteuid() == 0 else f"sudo {command}"
