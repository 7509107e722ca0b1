"""Gives up connecting after its own limit: impatient.py HOST PORT SECONDS."""

from __future__ import annotations

import contextlib
import socket
import sys

host, port, limit = sys.argv[1:]
with contextlib.suppress(TimeoutError):
    socket.create_connection((host, int(port)), timeout=float(limit))
