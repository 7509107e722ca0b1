"""A client that sends requests, good ones and bad ones; it waits for each answer, but not for long."""

import socket
import sys

good, bad = int(sys.argv[1]), int(sys.argv[2])
for number in range(good + bad):
    request = b"HELLO you\n" if number < good else b"GOODBYE\n"
    with socket.create_connection(("h2", 8080)) as connection:
        connection.sendall(request)
        connection.settimeout(2.0)
        try:
            answered = connection.recv(100)
        except TimeoutError:
            answered = b""
        if number < good and answered != b"HELLO you\n":
            sys.exit(f"no answer to {request!r}, but {answered!r}")
