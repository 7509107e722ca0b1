"""Running any programs on any hosts, servers before clients; the output of each is kept."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.errors import ProgramFailed, WaitTimedOut
from handshake_lab.experiment.readiness import wait_until_ready
from handshake_lab.experiment.running_program import RunningProgram, start
from handshake_lab.experiment.server_ports import ServerPorts
from handshake_lab.plan.program import Listening, ProgramSpec, ProgramsSpec
from handshake_lab.recording.observations import Failure

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net


def script(net: Net, argument: Any) -> None:
    """Start the servers, wait until each listens, run the clients, wait for the connections that they leave.

    A client that takes longer than its limit is ended, and the record says what it was doing. A program that still runs
    when the record ends is ended after it: what it left open, such as a socket in CLOSE-WAIT, shows as left open.
    """
    request = msgspec.convert(argument, ProgramsSpec)
    recording = net.recording
    servers = [_serve(net, spec) for spec in request.programs if spec.role == "server"]
    clients = [start(recording, spec) for spec in request.programs if spec.role == "client"]
    ends = net.clock.now() + int(request.limit * 1e9)
    # Servers alone: until they end, or time is up.
    for each in clients or servers:
        each.ended.wait(max(0.0, (ends - net.clock.now()) / 1e9))
    for client in clients:
        client.time_is_up()
    with contextlib.suppress(WaitTimedOut):  # the record shows the connections that remain open
        net.wait_until_closed(request.after)
    net.recorder.checkpoint()


def _serve(net: Net, spec: ProgramSpec) -> RunningProgram:
    """Start a server, and wait until it listens. If it ends first, the record shows that."""
    ports = ServerPorts(net.recording, spec.node, Listening.parse(True))
    server = start(net.recording, spec)
    try:
        wait_until_ready(net.recording, server, [ports])
    except ProgramFailed as error:
        net.recording.report(Failure(net.clock.now(), spec.node, str(error)))
    except WaitTimedOut:
        pass  # a program may serve without a socket of the kernel's
    return server
