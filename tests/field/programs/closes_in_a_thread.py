"""Asks a web server, and has a second thread close the connection when the server has closed, its answer unread."""

from __future__ import annotations

import select
import socket
import threading

connection = socket.create_connection(("h2", 80))
connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
ended = select.poll()
ended.register(connection, select.POLLRDHUP)
ended.poll()
closer = threading.Thread(target=connection.close)
closer.start()
closer.join()
