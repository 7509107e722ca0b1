"""dnsmasq: a lost query."""

import sys

import pytest
from handshake_lab import Net

ASK = """
import socket, time
query = b"\\x12\\x34\\x01\\x00\\x00\\x01\\0\\0\\0\\0\\0\\0\\x04name\\x04test\\0\\0\\x01\\0\\x01"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(5)
    for attempt in (1, 2, 3):
        sock.sendto(query, ("{}", 53))
        try:
            print(attempt, socket.inet_ntoa(sock.recv(512)[-4:]))
            break
        except TimeoutError:
            pass
"""


@pytest.mark.needs("dnsmasq", "dnsmasq-base")
def test_a_query_that_is_lost_is_asked_again(net: Net) -> None:
    """UDP does not repeat anything: the resolver does, when its own timeout ends."""
    server = ["dnsmasq", "-k", "--no-resolv", "--no-hosts", "--user=root", "--address=/name.test/192.0.2.7"]
    net.h2.start([*server, "--pid-file="], listening="udp:53")
    link = net.link("s1", "h2")
    link.cut()
    asking = net.h1.start([sys.executable, "-c", ASK.format(net.h2.ip)])
    net.sleep(1)
    link.mend()

    assert asking.wait() == 0
    assert asking.output == "2 192.0.2.7\n"
