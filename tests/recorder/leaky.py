"""A server that leaks CLOSE-WAIT sockets: it accepts, answers, and never closes."""

from __future__ import annotations

import socket

kept = []
with socket.create_server(("", 80)) as listener:
    while True:
        accepted, _ = listener.accept()
        accepted.sendall(b"kept\n")
        kept.append(accepted)
