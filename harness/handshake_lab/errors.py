"""The hierarchy of all errors that this package raises, and their conversion to JSON and back.

HandshakeError
├── UsageError               an invalid value                          exit 2
├── RecordUnreadable         a stored run is damaged or newer          exit 2
├── EnvironmentUnsupported   this machine lacks a required feature     exit 3
│   ├── SettingMissing       a kernel has no such sysctl
│   └── KernelSourceMissing  no kernel source to build from
├── KernelFailed             a kernel crashed, hung or looped          exit 3
├── KernelRefused            a kernel refused a request                exit 3
│   ├── NetlinkError         a netlink request
│   └── SockDiagError        a sock_diag request
├── SystemCallFailed         a system call failed (also an OSError)    exit 3
├── ImpairmentNotApplied     a link has other settings than requested  exit 3
├── PytestFailed             pytest did not run all tests              exit 3
├── FaultNeverFired          a fault matched no segment                exit 1
├── ScriptLinkNotApplied     a script's link differs from its request  exit 1
├── FaultImpossible          no connection for an injected segment     exit 1
├── ProgramFailed            a program exited before it was ready      exit 1
├── WaitTimedOut             the awaited event did not happen          exit 1
├── SegmentUnexpected       a scripted peer received another segment   exit 1
├── NotRecorded              not in the record (also a LookupError)    exit 1
└── NotAsDocumented          a transition is not in the diagram        exit 1

An error that is raised in a kernel is written as JSON, and raised again by the process that started the kernel
(`HandshakeError.to_document`, `from_document`). Therefore each parameter of a constructor is also an attribute of the
same name, and a JSON value.
"""

from __future__ import annotations

import inspect
import math
import os
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class HandshakeError(Exception):
    """The base class of all errors; their messages state what is wrong and what to do.

    Args:
        message: The whole message.
    """

    #: The exit status of a command that ends with this error (docs/reference/exit-codes.md).
    exit_code: ClassVar[int] = 3

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    def to_document(self) -> dict[str, Any]:
        """This error as a JSON value, for `from_document`."""
        fields = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        return {"error": type(self).__name__, "fields": fields, "notes": list(getattr(self, "__notes__", ()))}

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], HandshakeError], tuple[dict[str, Any]]]:
        # The default calls the class with `args`, which contain the message, not the fields.
        return from_document, (self.to_document(),)


class UsageError(HandshakeError):
    """A value that was given is invalid.

    Args:
        field: The name of the option or argument, as the user writes it (``--loss``).
        value: Its value; converted to text unless it is a string, a number or a boolean.
        reason: What is wrong with it, without a full stop.
        example: A correct example.
    """

    exit_code = 2

    def __init__(self, field: str, value: object, reason: str, example: str) -> None:
        self.field = field
        self.value = _plain(value)
        self.reason = reason
        self.example = example
        super().__init__(f"{field}: {self.value!r} {reason}. For example: {example}")


class RecordUnreadable(HandshakeError):
    """A stored run cannot be read: damaged, cut, or written by a newer release."""

    exit_code = 2


class EnvironmentUnsupported(HandshakeError):
    """This machine lacks something that is needed.

    Args:
        lack: What is missing, without a full stop.
        remedy: What to do about it; a command if possible.
    """

    def __init__(self, lack: str, remedy: str) -> None:
        self.lack = lack
        self.remedy = remedy
        super().__init__(f"{lack}. {remedy}")


class SettingMissing(EnvironmentUnsupported, FileNotFoundError):
    """A kernel does not have a sysctl.

    Args:
        setting: Its name: net.ipv4.tcp_shrink_window.
        node: The host or router.
    """

    def __init__(self, setting: str, node: str) -> None:
        self.setting = setting
        self.node = node
        super().__init__(
            f"{node}: this kernel has no {setting}", "Another release of Linux may have it: --kernel lab:6.12."
        )

    def __str__(self) -> str:
        return self.message


class KernelSourceMissing(EnvironmentUnsupported):
    """No kernel source could be found, downloaded or unpacked."""


class KernelFailed(HandshakeError):
    """A kernel ended before its job was done: it crashed, hung, or looped.

    Args:
        what: What happened.
        console: The last lines of its console.
    """

    def __init__(self, what: str, console: str = "") -> None:
        self.what = what
        self.console = console
        super().__init__("\n".join((what, *_quoted(console))))


class KernelRefused(HandshakeError):
    """A running kernel refused a request, or did not complete it."""


class NetlinkError(KernelRefused):
    """The kernel refused a netlink request.

    Args:
        what: The request, in words.
        errno: The errno of its answer.
        detail: The kernel's own text about it (its extended acknowledgement), if any.
    """

    def __init__(self, what: str, errno: int, detail: str = "") -> None:
        self.what = what
        self.errno = errno
        self.detail = detail
        super().__init__(f"{what}: {os.strerror(errno)}" + (f" ({detail})" if detail else ""))


class SockDiagError(KernelRefused):
    """The kernel refused to list its sockets (sock_diag).

    Args:
        node: The host or router whose sockets were requested.
        errno: The errno of its answer.
    """

    def __init__(self, node: str, errno: int) -> None:
        self.node = node
        self.errno = errno
        super().__init__(f"{node}: sock_diag refused: {os.strerror(errno)}")


class SystemCallFailed(HandshakeError, OSError):
    """A system call failed for which Python has no function. It is also an `OSError`.

    Args:
        number: The errno.
        call: A description of the call.
    """

    def __init__(self, number: int, call: str) -> None:
        self.number = number
        self.call = call
        super().__init__(f"{call}: {os.strerror(number)}")
        self.errno, self.strerror = number, os.strerror(number)

    def __str__(self) -> str:
        return self.message


class ImpairmentNotApplied(HandshakeError):
    """The kernel did not apply a link's impairment as requested.

    Args:
        where: The interface.
        asked: What was requested.
        got: What the kernel reports.
    """

    def __init__(self, where: str, asked: str, got: str) -> None:
        self.where = where
        self.asked = asked
        self.got = got
        super().__init__(f"{where}: requested {asked}, but the kernel has {got}; the run was not started")


class PytestFailed(HandshakeError):
    """Pytest did not run all tests: it failed itself, or found no tests.

    Args:
        what: The command that was run.
        status: Its exit status.
    """

    def __init__(self, what: str, status: int) -> None:
        self.what = what
        self.status = status
        super().__init__(f"{what}: pytest exited with status {status} before all tests had run; see its output above")


class FaultNeverFired(HandshakeError):
    """A fault was active, but no segment matched it; or the run ended before the time of an action."""

    exit_code = 1

    @classmethod
    def of(cls, faults: Mapping[str, str]) -> Self:
        """The error about faults that never fired, each with the reason if it is known."""
        each = (f"the fault {text!r} never fired{': ' * bool(why)}{why}" for text, why in faults.items())
        return cls("; ".join(each) + ". Add 'optional' if the fault may match nothing")


class ScriptLinkNotApplied(HandshakeError):
    """The kernel does not have the settings that a Mininet script requested for a link.

    Args:
        where: The interface.
        asked: The options that the script gave.
        got: What the kernel has instead.
        said: The message of tc, which Mininet ignored; "" if there was none.
    """

    exit_code = 1

    def __init__(self, where: str, asked: str, got: str, said: str = "") -> None:
        self.where = where
        self.asked = asked
        self.got = got
        self.said = said
        ignored = f". Mininet ignored the message of tc: {said}" if said else ". Mininet ignored the value"
        super().__init__(f"{where}: the script requested {asked}, but the kernel has {got}{ignored}")


class FaultImpossible(HandshakeError):
    """A segment cannot be injected, because no connection is known for it.

    Args:
        fault: The fault, in the syntax of ``--fault``.
        reason: Why the connection is not known, without a full stop.
    """

    exit_code = 1

    def __init__(self, fault: str, reason: str) -> None:
        self.fault = fault
        self.reason = reason
        super().__init__(f"the fault {fault!r} cannot act: {reason}. For example: inject RST to h2 on SYN-ACK nth=1")


class ProgramFailed(HandshakeError):
    """A program exited before it was ready.

    Args:
        node: The host in which it ran.
        command: The command.
        reason: How it ended, without a full stop.
        output: Its output, including standard error.
    """

    exit_code = 1

    def __init__(self, node: str, command: str, reason: str, output: str = "") -> None:
        self.node = node
        self.command = command
        self.reason = reason
        self.output = output
        super().__init__("\n".join((f"{node}: {command!r} {reason}", *_quoted(output))))


class WaitTimedOut(HandshakeError):
    """The awaited event did not happen within the time limit.

    Args:
        what: The event.
        waited: The limit, in seconds of the kernel's time.
        last: The last observations, one line each.
    """

    exit_code = 1

    def __init__(self, what: str, waited: float, last: Iterable[str] = ()) -> None:
        self.what = what
        self.waited = waited
        self.last = list(last)
        observed = ["Last observed:", *(f"  {line}" for line in self.last)] if self.last else ["Nothing was observed."]
        super().__init__("\n".join((f"timed out after {waited:g} s waiting for {what}.", *observed)))


class SegmentUnexpected(HandshakeError, AssertionError):
    """A scripted peer received a segment that it did not expect.

    Args:
        peer: The peer's address.
        expected: What it expected.
        got: What it received.
    """

    exit_code = 1

    def __init__(self, peer: str, expected: str, got: str) -> None:
        self.peer = peer
        self.expected = expected
        self.got = got
        super().__init__(f"the peer {peer} expected {expected}, but received {got}")


class NotRecorded(HandshakeError, LookupError):
    """A record does not contain the requested item."""

    exit_code = 1


class NotAsDocumented(HandshakeError):
    """A transition was recorded that RFC 9293's diagram does not have."""

    exit_code = 1


def from_document(document: dict[str, Any]) -> HandshakeError:
    """The error that `HandshakeError.to_document` has converted, with its class, fields and notes.

    Raises:
        KeyError: There is no error class of this name.
    """
    error = kinds()[document["error"]](**document["fields"])
    for note in document["notes"]:
        error.add_note(note)
    return error


def kinds() -> dict[str, type[HandshakeError]]:
    """Every error class, by name."""
    found: dict[str, type[HandshakeError]] = {}
    waiting: list[type[HandshakeError]] = [HandshakeError]
    while waiting:
        kind = waiting.pop()
        found[kind.__name__] = kind
        waiting += kind.__subclasses__()
    return found


def _plain(value: object) -> object:
    """A value that is the same after conversion to JSON and back."""
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def _quoted(output: str) -> list[str]:
    return [f"  | {line}" for line in output.splitlines()[-15:]]
