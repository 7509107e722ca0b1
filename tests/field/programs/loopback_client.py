"""Three short connections, one after the other: loopback_client.py ADDRESS PORT."""

from __future__ import annotations

import socket
import sys

for _ in range(3):
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
        connection.sendall(b"PING\r\n")
        connection.recv(100)
