"""gRPC: a server that vanishes under an open channel."""

import sys

import pytest
from handshake_lab import Net, RunningProgram, WaitTimedOut, seconds

pytest.importorskip("grpc", reason="grpc is not installed: pip install grpcio")

SERVER = """
import concurrent.futures
import grpc

class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)

server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers([Echo()])
server.add_insecure_port("0.0.0.0:50051")
server.start()
server.wait_for_termination()
"""
CLIENT = """
import sys
import time
import grpc

target, deadline, *options = sys.argv[1:]
chosen = [(name, int(value)) for name, _, value in (each.partition("=") for each in options)]
with grpc.insecure_channel(target, chosen) as channel:
    echo = channel.unary_unary("/example.Echo/Say")
    print(echo(b"first").decode(), flush=True)
    time.sleep(1)
    try:
        echo(b"second", timeout=float(deadline) or None)
    except grpc.RpcError as error:
        print(error.code().name)
"""
KEEPALIVE = ("grpc.keepalive_time_ms=10000", "grpc.keepalive_timeout_ms=5000")


def vanish(net: Net, deadline: int, *options: str) -> RunningProgram:
    """A client calls once, then the server's link is cut, and the client calls again."""
    net.h2.start([sys.executable, "-c", SERVER], listening=50051)
    client = net.h1.start([sys.executable, "-c", CLIENT, f"{net.h2.ip}:50051", str(deadline), *options], prints="first")
    net.link("s1", "h2").cut()
    return client


def test_a_call_without_a_deadline_waits(net: Net) -> None:
    """Two minutes later it still waits: nothing but the kernel's retransmissions could end it."""
    client = vanish(net, 0)
    with pytest.raises(WaitTimedOut):
        client.wait(120)


def test_a_deadline_ends_it(net: Net) -> None:
    """Seven seconds after the call, which is a second after the first."""
    client = vanish(net, 7)
    began = net.clock.now()
    client.wait()
    assert client.output == "first\nDEADLINE_EXCEEDED\n"
    assert seconds(net.clock.now() - began) == pytest.approx(8, abs=0.5)


def test_keepalives_end_it(net: Net) -> None:
    """The keepalive timeout is also the kernel's (TCP_USER_TIMEOUT): data without an answer need no ping."""
    client = vanish(net, 0, *KEEPALIVE)
    began = net.clock.now()
    client.wait()
    assert client.output == "first\nUNAVAILABLE\n"
    assert seconds(net.clock.now() - began) == pytest.approx(6, abs=1)
