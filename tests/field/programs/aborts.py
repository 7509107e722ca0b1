"""Connects, and resets the connection while nothing answers: aborts.py HOST PORT SECONDS data|keepalive."""

from __future__ import annotations

import socket
import struct
import sys
import time

host, port, limit, what = sys.argv[1:]
connection = socket.create_connection((host, int(port)))
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
if what == "data":
    connection.sendall(b"unanswered")
else:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
time.sleep(float(limit))
connection.close()
