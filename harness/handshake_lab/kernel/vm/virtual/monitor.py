"""QEMU's monitor, through two named pipes in the scratch directory of a machine.

The few commands for a machine are known before it starts, and one event is waited for. A client for the whole protocol
(qemu.qmp) would bring asyncio into each run, and would have to wait until QEMU has made its socket.

Source: docs/interop/qmp-spec.rst of QEMU.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_NAME = "monitor"

#: Memory that is shared with a file is not copied into a template's state, and not read from it.
_CAPABILITIES = [{"capability": name, "state": True} for name in ("x-ignore-shared", "events")]


def arguments(scratch: Path) -> list[str]:
    """The arguments of QEMU for its monitor."""
    path = str(scratch / _NAME).replace(",", ",,")
    return ["-chardev", f"pipe,id=monitor,path={path}", "-mon", "chardev=monitor,mode=control"]


class Monitor:
    """Sends commands to a machine, from its start on. A machine that refuses one is ended.

    Args:
        scratch: The machine's scratch directory, which exists.
    """

    def __init__(self, scratch: Path) -> None:
        pipes = [scratch / f"{_NAME}.{end}" for end in ("in", "out")]
        for pipe in pipes:
            os.mkfifo(pipe)
        # For both, so that nobody waits for the other side to open it.
        self._commands, self._reports = (os.open(pipe, os.O_RDWR | os.O_CLOEXEC) for pipe in pipes)
        self._unread = b""
        self._thread: threading.Thread | None = None
        #: Whether the machine's state was saved completely.
        self.saved = False
        #: Why QEMU refused a command; "" if it refused none.
        self.error = ""
        self.send("qmp_capabilities")
        self.send("migrate-set-capabilities", capabilities=_CAPABILITIES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Both ends of this pipe are open here, so that it has no end of file.
        os.write(self._reports, b"\n{}\n")
        if self._thread:
            self._thread.join()
        os.close(self._commands)
        os.close(self._reports)

    def send(self, command: str, **arguments: object) -> None:
        """Send a command; its answer is not waited for."""
        line = json.dumps({"execute": command, "arguments": arguments})
        os.write(self._commands, line.encode() + b"\n")

    def restore(self, state: str) -> None:
        """Have a machine continue where its template was saved. A panic ends it from then on.

        Args:
            state: A shell command that prints the state.
        """

        def follow() -> None:
            self.send("set-action", panic="shutdown")
            self.send("migrate-incoming", uri=f"exec:{state}")
            if self._await("MIGRATION", status=("completed",)) is not None:
                self.send("cont")
                self._await("SHUTDOWN")  # for its answer

        self._start(follow)

    def save_when_ready(self, state: str) -> None:
        """Save a machine's state as soon as the guest reports that it is ready, and end it.

        Args:
            state: A shell command that receives the state.
        """

        def follow() -> None:
            if self._await("GUEST_PANICKED") is not None:
                self.send("migrate", uri=f"exec:{state}")
                found = self._await("MIGRATION", status=("completed", "failed"))
                if found is not None:
                    self.saved = found["status"] == "completed"
                    self.send("quit")

        self._start(follow)

    def _start(self, follow: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=follow, daemon=True, name="monitor")
        self._thread.start()

    def _await(self, event: str, **wanted: tuple[str, ...]) -> Mapping[str, Any] | None:
        """Read reports up to an event; returns its data, or None if a command is refused or the block ends."""
        while report := self._report():
            if "error" in report:
                self.error = str(report["error"].get("desc", report["error"]))
                self.send("quit")
                return None
            data: Mapping[str, Any] = report.get("data", {})
            if report.get("event") == event and all(data.get(key) in values for key, values in wanted.items()):
                return data
        return None

    def _report(self) -> dict[str, Any]:
        while True:
            line, found, rest = self._unread.partition(b"\n")
            if not found:
                self._unread += os.read(self._reports, 65536)
                continue
            self._unread = rest
            # A machine that was killed may have left half a line.
            with contextlib.suppress(ValueError):
                report: dict[str, Any] = json.loads(line)
                return report
