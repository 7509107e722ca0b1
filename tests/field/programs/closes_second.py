"""Reads each connection to its end, then closes it: closes_second.py PORT."""

from __future__ import annotations

import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    while connection.recv(4096):
        pass
    connection.close()
