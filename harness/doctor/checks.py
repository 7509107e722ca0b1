"""One finding about this machine, and all findings about one kernel kind."""

from __future__ import annotations

import os
from dataclasses import dataclass


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

    def described(self) -> dict[str, object]:
        """As it stands in ``--json``."""
        return {
            "name": self.name,
            "ok": self.ok,
            "detail": self.detail,
            "remedy": self.remedy,
            "needed": self.needed,
        }


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

    def described(self) -> dict[str, object]:
        """As it stands in ``--json``."""
        return {"usable": self.usable, "checks": [check.described() for check in self.checks]}


def apt_install(*packages: str) -> str:
    """The command that installs packages on Debian and Ubuntu, for whoever asks."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install --no-install-recommends {' '.join(packages)}"


def as_root(command: str) -> str:
    """A command for root, for whoever asks."""
    return command if os.geteuid() == 0 else f"sudo {command}"
