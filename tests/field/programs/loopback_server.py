"""Answers one request per connection on a loopback address: loopback_server.py ADDRESS PORT."""

from __future__ import annotations

import socket
import sys

address = (sys.argv[1], int(sys.argv[2]))
listener = socket.create_server(address, family=socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
while True:
    connection, _ = listener.accept()
    if connection.recv(100):
        connection.sendall(b"+PONG\r\n")
    connection.recv(100)  # the end
    connection.close()
