import socket
import sys

n = int(sys.argv[1])
with socket.create_connection(("h2", 7)) as c:
    c.sendall(bytes(n))
    c.shutdown(socket.SHUT_WR)
    c.settimeout(5)
    got = b""
    try:
        while data := c.recv(100):
            got += data
    except TimeoutError:
        sys.exit(2)
sys.exit(len(got) != n)
