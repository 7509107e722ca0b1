"""Reads each connection to its end and keeps its socket: never_closes.py PORT."""

from __future__ import annotations

import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
kept = []
while True:
    connection, _ = listener.accept()
    kept.append(connection)
    while connection.recv(1000):
        pass
