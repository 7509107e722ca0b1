"""Sends a number of bytes, then closes: sends.py HOST PORT BYTES."""

from __future__ import annotations

import socket
import sys

host, port, count = sys.argv[1:]
with socket.create_connection((host, int(port))) as connection:
    connection.sendall(bytes(int(count)))
