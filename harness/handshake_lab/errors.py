"""Every error this package raises on purpose, in one tree.

HandshakeError
├── UsageError               a value that cannot be meant            exit 2
├── EnvironmentUnsupported   this machine cannot do it               exit 3
│   └── KernelSourceMissing  no kernel source to build from
├── KernelFailed             the lab kernel crashed, hung or spun    exit 3
├── ImpairmentNotApplied     a link is not what was asked for        exit 3
├── FaultNeverFired          a fault matched no segment              exit 1
├── NotAsDocumented          a transition is no edge of the diagram  exit 1
└── RecordUnreadable         a stored run is damaged or newer        exit 2
"""

from __future__ import annotations

from typing import ClassVar


class HandshakeError(Exception):
    """Base of all errors: a message a person can act on, and an exit status."""

    exit_code: ClassVar[int] = 3


class UsageError(HandshakeError):
    """A value that was given cannot be meant.

    Args:
        field: The name of what was given, as the user wrote it (``--loss``).
        value: The value, as given.
        reason: Why it cannot be meant, without a full stop.
        example: A correct example.
    """

    exit_code = 2

    def __init__(self, field: str, value: object, reason: str, example: str) -> None:
        self.field = field
        self.value = value
        self.reason = reason
        self.example = example
        super().__init__(f"{field}: {value!r} {reason}. Right would be, for example: {example}")


class EnvironmentUnsupported(HandshakeError):
    """This machine lacks something that is needed.

    Args:
        lack: What is missing, without a full stop.
        remedy: What to do about it: a command where there is one.
    """

    def __init__(self, lack: str, remedy: str) -> None:
        self.lack = lack
        self.remedy = remedy
        super().__init__(f"{lack}. {remedy}")


class KernelSourceMissing(EnvironmentUnsupported):
    """No kernel source could be found, downloaded or unpacked."""


class KernelFailed(HandshakeError):
    """A kernel did not come to its end: it crashed, hung, or spun.

    Args:
        what: What happened.
        console: The last lines of its console.
    """

    def __init__(self, what: str, console: str = "") -> None:
        self.what = what
        self.console = console
        tail = "\n".join(f"  | {line}" for line in console.splitlines()[-15:])
        super().__init__(f"{what}\n{tail}" if tail else what)


class ImpairmentNotApplied(HandshakeError):
    """The kernel did not take a link's impairment as asked.

    Args:
        where: The interface.
        asked: What was asked for.
        got: What the kernel answered.
    """

    def __init__(self, where: str, asked: str, got: str) -> None:
        self.where = where
        self.asked = asked
        self.got = got
        super().__init__(f"{where}: asked for {asked}, but the kernel has {got}; the run was not started")


class FaultNeverFired(HandshakeError):
    """A fault was set, and no segment ever matched it."""

    exit_code = 1


class NotAsDocumented(HandshakeError):
    """A transition was recorded that RFC 9293's diagram does not have."""

    exit_code = 1


class RecordUnreadable(HandshakeError):
    """A stored run cannot be read: damaged, cut, or written by a newer release."""

    exit_code = 2
