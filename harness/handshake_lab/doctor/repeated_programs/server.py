"""Accepts connections on port 80 and reads each to its end."""

import socket


def main() -> None:
    """Serve until it is ended."""
    with socket.create_server(("", 80)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                while connection.recv(4096):
                    pass


if __name__ == "__main__":
    main()
