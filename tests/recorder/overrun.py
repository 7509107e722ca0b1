"""A script in which the kernel's buffers overflow, because the recorder is paused."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net


def script(net: Net, connections: Any) -> None:
    """Some observed connections, then many while the recorder is paused, then some observed ones."""
    recorder = net.recorder
    listener = net.h2.listen(80)
    assert recorder._tracepoints is not None
    (recorder._tracepoints._buffer._instance / "buffer_size_kb").write_text("8")
    for capture in recorder._captures:
        capture._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)

    def connect() -> None:
        client = net.h1.connect(listener)
        server, _ = listener.accept()
        client.close()
        server.recv(1)
        server.close()

    connect()
    recorder.sync()
    with recorder._changed:
        for _ in range(connections):
            connect()
    recorder.sync()
    connect()
    net.wait_until_closed()
