"""Standard input of a script: each line is requested when the script reads it."""

from __future__ import annotations

import io
import sys
from typing import Any


class ScriptInput(io.TextIOBase):
    """Lines of the standard input of ``handshake run``.

    Args:
        channel: The connection to the recorder, which provides them.
    """

    def __init__(self, channel: Any) -> None:
        super().__init__()
        self._channel = channel
        self._rest = ""

    def readable(self) -> bool:
        """True."""
        return True

    def fileno(self) -> int:
        """The descriptor of the process's own standard input, which is empty."""
        return 0

    def readline(self, size: int = -1) -> str:  # type: ignore[override]  # a text stream's
        """The next line with its newline; "" at the end."""
        if not self._rest:
            sys.stdout.flush()
            sys.stderr.flush()
            self._rest = self._channel.ask({"about": "line"}).get("line", "")
        size = len(self._rest) if size is None or size < 0 else size
        line, self._rest = self._rest[:size], self._rest[size:]
        return line

    def read(self, size: int | None = -1) -> str:  # a text stream's
        """Up to ``size`` characters of the current line; everything for -1."""
        if size is None or size < 0:
            return "".join(iter(self.readline, ""))
        return self.readline(size)
