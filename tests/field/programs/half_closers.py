"""Ends its own direction at once and reads the other to its end, as `nc -N` does with an empty standard input.

Usage: half_closers.py listen PORT, or half_closers.py connect HOST PORT.
"""

from __future__ import annotations

import socket
import sys

role, *address = sys.argv[1:]
if role == "listen":
    connection, _ = socket.create_server(("", int(address[0]))).accept()
else:
    connection = socket.create_connection((address[0], int(address[1])))
connection.shutdown(socket.SHUT_WR)
while connection.recv(4096):
    pass
connection.close()
