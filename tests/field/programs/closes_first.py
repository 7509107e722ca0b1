"""Opens connections one after the other, and closes each at once: closes_first.py HOST PORT COUNT."""

from __future__ import annotations

import socket
import sys

host, port, count = sys.argv[1:]
for _ in range(int(count)):
    socket.create_connection((host, int(port))).close()
