"""Accepts connections on port 80 and reads each to its end."""

import socket

with socket.create_server(("", 80)) as listener:
    while True:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(4096):
                pass
