"""Connects once, and ends if that fails: refused.py HOST PORT."""

from __future__ import annotations

import contextlib
import socket
import sys

with contextlib.suppress(OSError):
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)
