"""A server that answers requests of one line. It closes each connection."""

import socket


def answer(request: bytes) -> bytes:
    """The answer to a request; an unknown request has none."""
    word, _, name = request.strip().partition(b" ")
    if word != b"HELLO":
        raise ValueError(request)
    return b"HELLO " + name + b"\n"


def serve(connection: socket.socket, log: list[str]) -> None:
    """Read a request, and answer it."""
    request = b""
    while not request.endswith(b"\n"):
        data = connection.recv(100)
        if not data:
            break
        request += data
    try:
        connection.sendall(answer(request))
    except ValueError as error:
        log.append(f"not understood: {error}")
    finally:
        connection.close()


def main() -> None:
    """Serve one connection after the other."""
    log: list[str] = []
    open_connections = []
    listener = socket.create_server(("", 8080), reuse_port=False)
    while True:
        connection, _ = listener.accept()
        open_connections.append(connection)
        serve(connection, log)


main()
