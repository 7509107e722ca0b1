"""The name of a kernel, as ``--kernel`` takes it: ``lab:6.1``, ``host``, ``vm:newest``, ``vm:6.12+real-time``."""

from __future__ import annotations

import platform
from typing import NamedTuple, Self

from handshake_lab.errors import UsageError

_SUFFIX = "+real-time"

#: The kernel where none is named. User-Mode Linux exists for x86-64 only.
USUAL = "vm" if platform.machine() == "aarch64" else "lab"


class KernelName(NamedTuple):
    """A kernel's name.

    Attributes:
        kind: "lab", "host" or "vm".
        version: What follows the colon; "" if nothing does.
        real_time: Whether a stock kernel runs in real time. ``--real-time`` adds it to the name.
    """

    kind: str
    version: str
    real_time: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of a name.

        Raises:
            UsageError: Something other than a stock kernel is to run in real time.
        """
        name = text.removesuffix(_SUFFIX)
        kind, _, version = name.partition(":")
        real_time = name != text
        if real_time and kind != "vm":
            always = "always runs in real time" if kind == "host" else "runs in virtual time only"
            raise UsageError("--real-time", name, always, "--kernel vm --real-time")
        return cls(kind, version, real_time)


def check_lab(name: str, reason: str) -> KernelName:
    """The parts of a lab kernel's name.

    Args:
        name: The name of a kernel.
        reason: Why another kind is refused.

    Raises:
        UsageError: It is another kind.
    """
    found = KernelName.parse(name)
    if found.kind != "lab":
        raise UsageError("--kernel", name, reason, "--kernel lab")
    return found


def in_real_time(name: str) -> str:
    """The name of the same kernel in real time.

    Raises:
        UsageError: It is no stock kernel.
    """
    found = name.removesuffix(_SUFFIX) + _SUFFIX
    KernelName.parse(found)
    return found
