"""The connection between a script's process and the recorder: each message is a JSON object, and so is its answer.

The script waits for each answer: while the recorder attaches to a node, the script does not continue. This module uses
only the standard library, since it also runs in the script's own interpreter.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

#: Environment: the descriptor of the script's end.
VARIABLE = "HANDSHAKE_CHANNEL"
#: The maximum length of a message in bytes, less than the maximum of a Unix domain socket.
_LONGEST = 1 << 17


class Channel:
    """One end of the connection.

    Args:
        end: A socket of the type SOCK_SEQPACKET.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._said: set[str] = set()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and wait for its answer; do nothing in a child process of the script, which is ignored."""
        if os.getpid() != self._process:
            return {}
        with self._lock:
            self.send(message)
            answer = self.receive() or {}
        for remark in answer.get("remarks", ()):
            self.say(remark)
        return answer

    def say(self, text: str) -> None:
        """Print a sentence to the script's standard error, unless it was printed before."""
        if text not in self._said:
            self._said.add(text)
            print(f"handshake: {text}", file=sys.stderr)  # noqa: T201

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        self._end.send(json.dumps(message).encode())

    def receive(self, limit: float | None = None) -> dict[str, Any] | None:
        """The next message; None if the other end is closed.

        Raises:
            TimeoutError: No message arrived within ``limit`` seconds.
        """
        self._end.settimeout(limit)
        received = self._end.recv(_LONGEST)
        return json.loads(received) if received else None
